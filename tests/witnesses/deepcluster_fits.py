"""Fits of DeepCluster, and the crops that it sees."""

import inspect
import tempfile
from pathlib import Path

import numpy as np

from witnesses._data import attributes, errors_of, given, pictures, raised, rng, untimed, weights_of
from witnesses._find import find, holding, home


def deep_cluster() -> dict[str, np.ndarray]:
    """DeepCluster by both networks, fronts, samplers, clusterings and splits; killed within an epoch and resumed."""
    DeepCluster, found = find("DeepCluster"), {}
    images, labels = pictures(18, 3, 40, 36), np.arange(18) % 3
    small = {"width": 0.02, "kernel": 3, "stride": 1}
    variants = {
        "sobel": {},
        "rgb": {"front": "rgb", "sampler": "released", "split": "paper", "n_clusters": 9},
        "pic": {"clustering": "pic", "n_components": 3},
        "vgg": {"network": "vgg16", "network_options": {"width": 0.02}, "image_size": 32, "epochs": 1, "momentum": 0.0},
    }
    for name, options in variants.items():
        how = {
            "n_clusters": 4,
            "network_options": small,
            "epochs": 2,
            "batch_size": 7,
            "n_components": 4,
            "kmeans_iterations": 4,
            "device": "cpu",
            "verbose": False,
        }
        model = DeepCluster(**{**how, **options}).fit(images, labels)
        found |= attributes(name, model, "labels_ embedding_") | untimed(model.history_, f"{name}.history")
        found |= {f"{name}.final.{n}": np.array(v) for n, v in model.final_.items()} | {
            f"{name}.new": model.transform(images[:4])
        }
        sums = [v.astype(np.float64).sum() for v in weights_of(model.network_).values()]
        found[f"{name}.weights"] = np.array(sums)
    with holding(home("extract", "_features"), BATCH=7):
        kept = {**how, "checkpoint": Path("deep.pt"), "checkpoint_every": 1, "feature_memory": 100, "dropout": 0.2}
        gray = images[:, :1] / np.float32(255)
        DeepCluster(**{**kept, "epochs": 1}).fit(gray)
        again = DeepCluster(**kept).fit(gray)
        found |= attributes("resumed", again, "labels_ embedding_") | untimed(again.history_, "resumed.history")
        kind, calls = home("Classification").Classification, []
        step = kind._step

        def dies(self, *arguments):
            calls.append(1)
            if len(calls) == 4:
                raise KeyboardInterrupt
            return step(self, *arguments)

        kept["checkpoint"] = Path("killed.pt")
        kind._step = dies
        try:
            DeepCluster(**kept).fit(gray, labels)
        except KeyboardInterrupt:
            found["killed"] = np.array(len(calls))
        finally:
            kind._step = step
        found |= attributes("revived", DeepCluster(**kept).fit(gray, labels), "labels_ embedding_")
        found |= {
            f"other.{n}": v
            for n, v in raised(
                lambda **o: DeepCluster(**{**kept, **o}).fit(gray), [{"momentum": 0.1}, {"epochs": 2}]
            ).items()
        }
    make = lambda **o: DeepCluster(**{**how, "epochs": 1, **o}).fit(images)  # noqa: E731
    cases = [
        {"network": "x"},
        {"clustering": "x"},
        {"sampler": "x"},
        {"epochs": 0},
        {"batch_size": 1},
        {"n_components": 0},
        {"kmeans_iterations": 0},
        {"n_clusters": 19},
        {"front": "x"},
        {"network_options": {"width": 0}},
        {"network_options": {"width": 1.1}},
        {"image_size": 3},
    ]
    found |= raised(make, cases)
    fit = DeepCluster(**how).fit
    return found | errors_of(
        fit,
        {
            "y": ((images, labels[:4]), {}),
            "rank": ((images[0],), {}),
            "two": ((images[:, :2],), {}),
            "int": ((images.astype(int),), {}),
            "over": ((images / np.float32(254),), {}),
            "negative": ((images / np.float32(255) - 0.1,), {}),
        },
    )


def shared_batch_norm() -> dict[str, np.ndarray]:
    """Batch norm over processes, of which there is one: outputs, gradients and running statistics, twice."""
    import torch
    import torch.distributed as dist

    found: dict[str, np.ndarray] = {}
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        layers = torch.nn.Sequential(torch.nn.BatchNorm2d(3))
        find("share_batch_norm")(layers)
        for seed in (0, 1):
            maps = torch.from_numpy(pictures(4, 3, 5, 7, seed).astype(np.float32) / 64).requires_grad_()
            out = layers(maps)
            (out * torch.arange(out.numel()).view(out.shape).sin()).sum().backward()
            assert maps.grad is not None
            found |= {f"{seed}.out": out.detach().numpy(), f"{seed}.gradient": maps.grad.numpy()}
            found |= {f"{seed}.{n}": p.grad.numpy() for n, p in layers.named_parameters() if p.grad is not None}
        found |= {n: v.double().numpy() for n, v in layers.state_dict().items()}
        found["still"] = layers.eval()(maps).detach().numpy()
    finally:
        dist.destroy_process_group()
    return found


def crops() -> dict[str, np.ndarray]:
    """Boxes inside wide, high and tiny images; crops of arrays and of files of which one is damaged; batches."""
    from PIL import Image

    found: dict[str, np.ndarray] = {}
    central, boxes, uniforms = find("central_box"), find("random_boxes"), find("draw_uniforms")
    found["central"] = np.array([central(h, w) for h, w in ((256, 256), (8, 8), (1, 1), (40, 36), (36, 41), (3, 100))])
    drawn = uniforms(30, rng(0))
    heights, widths = np.resize([40, 9, 1, 200], 30), np.resize([36, 100, 1, 3, 40], 30)
    found |= {"boxes": boxes(drawn.boxes, heights, widths), "flips": drawn.flips, "rows": drawn.rows(slice(3, 7)).boxes}
    found["none fits"] = boxes(np.ones((4, 2, 4)) * 0.999, np.array([2, 40, 3, 10]), np.array([50, 2, 3, 3]))
    n_batches = find("n_batches")
    found["batches"] = np.array([n_batches(n, b, w) for n in (1, 2, 7, 8, 9, 10) for b in (2, 4, 8) for w in (1, 2, 3)])
    images = pictures(6, 3, 24, 30)
    folder = Path("files")
    folder.mkdir()
    for i, image in enumerate(images[:5]):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{i}.png")
    (folder / "2.png").write_bytes(b"no image")
    source, Folder = find("image_source"), find("ImageFolder")
    for name, made in (
        ("array", source(images, None)),
        ("sized", source(images / np.float32(255), 11)),
        ("files", source(Folder(folder), 12)),
    ):
        index = np.array([3, 0, 2, 1])
        for kind, got in (("central", made.central(index)), ("random", made.random(index, drawn.rows(slice(0, 4))))):
            found |= {f"{name}.{kind}": got[0].numpy(), f"{name}.{kind}.kept": got[1]}
        found[f"{name}.length"] = np.array([len(made), made.size])
    shifted, ten = find("shifted_crops"), find("ten_crops")
    found |= {
        "shifted": shifted(source(images, 13), index, rng(4)).numpy(),
        "ten": ten(source(images, 13), index).numpy(),
    }
    scaled = find("scaled", "fine_tuning")
    found["scaled"] = scaled(drawn, **given(scaled, shape="stretched")).boxes
    part = find("Processes")()
    found["part"] = np.array([part.part(7).start, part.part(7).stop, part.world, part.rank])
    return found


def deep_cluster_loaded() -> dict[str, np.ndarray]:
    """A fit that is saved, loaded and asked for the clusters of new images; a dict that holds what is not known."""
    kind, images = find("DeepCluster"), pictures(24)
    how = {"network": "vgg16", "network_options": {"width": 0.02}, "image_size": 32, "epochs": 1, "n_components": 4}
    how |= {"batch_size": 10, "random_state": 0, "device": "cpu", "verbose": False}
    with tempfile.TemporaryDirectory() as folder:
        kind(3, **how).fit(images).save(Path(folder) / "model")
        again = kind.load(Path(folder) / "model", device="cpu")
    found = {"labels": again.labels_, "embedding": again.embedding_, "new": again.predict(pictures(9, seed=5))}
    found |= {"mean": again.whitening_.mean.numpy(), "matrix": again.whitening_.matrix.numpy()}
    found |= {"size": np.array(again.image_size_), **weights_of(again.network_)}
    options = [{"x": 1}, {"width": 0}, {"width": True}]
    cases = {str(each): ((), {**how, "network_options": each}) for each in options}
    return found | errors_of(lambda **chosen: kind(3, **chosen).fit(images), cases)


def feeding() -> dict[str, np.ndarray]:
    """Crops of files, cut here and by workers that run ahead; two files cannot be read, the last batch is small."""
    import torch
    from PIL import Image

    module, draw, seeded = home("Feed"), find("draw_uniforms"), find("seeded", "processes")
    parts = [np.arange(0, 5), np.arange(5, 10), np.arange(10, 13)]
    found: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as name:
        for i, image in enumerate(pictures(13, 3, 40, 36)):
            Image.fromarray(image.transpose(1, 2, 0)).save(Path(name) / f"{i:02d}.png")
        for damaged in ("03.png", "11.png"):
            (Path(name) / damaged).write_bytes(b"none")

        def source():
            return find("FolderImages")(find("ImageFolder")(name), 24)

        drawn = [draw(len(part), seeded(0, i)) for i, part in enumerate(parts)]
        for workers, uniforms in ((0, drawn.__getitem__), (2, drawn.__getitem__), (2, None)):
            seen = source()
            feed = module.Feed(seen, parts, torch.device("cpu"), uniforms, workers)
            for i, (crops, kept) in enumerate(feed):
                found |= {f"{workers} {uniforms is None} {i}": crops.numpy().copy(), f"{workers} {i} kept": kept}
            found[f"{workers} unreadable"] = np.array(sorted(seen.unreadable))
            found[f"{workers} waited"] = np.array(feed.seconds_waiting > 0)
        found |= _in_a_worker(module, source(), parts, drawn)
    return found


def _in_a_worker(module, source, parts: list, drawn: list) -> dict[str, np.ndarray]:
    """What a worker does with a batch, here; a revision whose workers send everything has no memory to write to."""
    import torch

    slots = torch.zeros((2, 5, 24, 24, 3), dtype=torch.uint8)
    shares = "slots" in inspect.signature(module._Batches).parameters
    on_gpu = module.Feed(source, parts, torch.device("cuda"), None, 2)
    alone = not hasattr(on_gpu, "_slots") or on_gpu._slots() is None
    asked = list(module._Wanted(parts, drawn.__getitem__))
    found = {"asked": np.array([len(asked), len(module._Wanted(parts, None)), alone])}
    for name, memory in (("sent", None), ("shared", slots)):
        batches = module._Batches(source, memory) if shares else module._Batches(source)
        for i, one in enumerate(asked):
            pixels, kept, missing = batches[one]
            if shares and memory is not None:
                pixels = memory[i % len(memory), : len(kept)].permute(0, 3, 1, 2)
            found |= {
                f"{name} {i}": pixels.numpy().copy(),
                f"{name} {i} kept": kept,
                f"{name} {i} missing": np.array(sorted(missing)),
            }
    return found


WITNESSES = {
    "feeding": feeding,
    "deep-cluster": deep_cluster,
    "deep-cluster-loaded": deep_cluster_loaded,
    "crops": crops,
    "shared-batch-norm": shared_batch_norm,
}
