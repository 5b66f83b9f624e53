"""Fits of GSNMF and FCN, of DBC's two stages, of DeepCluster, and of the other papers' auto-encoders."""

from pathlib import Path

import numpy as np

from witnesses._data import blobs, digits, errors_of, pictures, rng, shares, untimed, weights_of
from witnesses._find import find, holding, home


def _attributes(prefix: str, model, names: str) -> dict[str, np.ndarray]:
    return {f"{prefix}.{name}": np.asarray(getattr(model, name)) for name in names.split()}


def _raised(make, cases: list[dict]) -> dict[str, np.ndarray]:
    return errors_of(lambda **options: make(**options), {str(options): ((), options) for options in cases})


def group_sparse_nmf() -> dict[str, np.ndarray]:
    """Every start and norm of the basis, whole and in batches, killed and resumed."""
    GSNMF = find("GSNMF")
    X, found = shares(20, 9), {}
    variants = {
        "paper": {}, "more than rank": {"n_components": 12, "random_state": 0}, "mixed": {"l21": 0.3}, "nndsvda": {"init": "nndsvda"},
        "random": {"init": "random", "random_state": 0, "basis_norm": "compensated"}, "ball": {"basis_norm": "ball", "l1": 0.0},
        "free": {"basis_norm": None, "l2": 0.5}, "bfloat16": {"products": "bfloat16", "init": "random", "random_state": 1},
        "batches": {"batch_size": 6, "random_state": 0}, "last batch": {"batch_size": 7, "forget_factor": 0.0, "random_state": 0, "basis_norm": "compensated"},
        "early": {"tol": 0.05, "max_iter": 40, "init": "random", "random_state": 3},
    }  # fmt: skip
    with holding(home("update_coefficients"), _ROWS={"cpu": 8}):
        for name, options in variants.items():
            model = GSNMF(**{"n_components": 4, "max_iter": 5, "transform_iter": 3, "device": "cpu", **options}).fit(X)
            found |= _attributes(name, model, "embedding_ components_ n_iter_") | untimed(model.history_, f"{name}.history")
            found[f"{name}.new"], found[f"{name}.back"] = model.transform(X[::-1] * 2), model.inverse_transform(model.embedding_)
    with holding(home("_Fit", "gsnmf"), _SAVE_SECONDS=0.0):
        kept = {"n_components": 3, "batch_size": 6, "random_state": 2, "checkpoint": Path("gsnmf.pt"), "device": "cpu"}
        GSNMF(max_iter=2, **kept).fit(X)
        again = GSNMF(max_iter=4, **kept).fit(X)
        found |= _attributes("resumed", again, "embedding_ components_") | untimed(again.history_, "resumed.history")
        found |= {f"other.{n}": v for n, v in _raised(lambda **o: GSNMF(**{**kept, **o}).fit(X), [{"l1": 0.1}, {"max_iter": 5}]).items()}
    from scipy.sparse import csr_array

    leading, start = find("leading_svd"), find("start", "nndsvd")
    with holding(home("leading_svd"), _DENSE=5):
        for init in ("nndsvd", "nndsvda", "random"):
            found |= dict(zip((f"start.{init}.H", f"start.{init}.W"), start(shares(30, 14), 6, init, np.random.RandomState(0))))
    update, Penalty = find("gsnmf_update"), find("Penalty")
    H, W = rng(1).random((20, 3)), rng(2).random((3, 9))
    for norm in ("unit", "compensated", "ball", None):
        h, w = H.copy(), W.copy() * 3
        value = [update(X.astype(np.float64), h, w, Penalty(0.1, 0.2, 0.3), basis_norm=norm) for _ in range(2)]
        found |= {f"update.{norm}.value": np.array(value), f"update.{norm}.H": h, f"update.{norm}.W": w}
    del csr_array, leading
    make = lambda **o: GSNMF(**{"n_components": 2, "max_iter": 1, **o}).fit(X)  # noqa: E731
    cases = [{"l1": -1}, {"l2": np.inf}, {"l21": 0}, {"init": "x"}, {"basis_norm": "x"}, {"products": "x"}, {"n_components": 0}, {"n_components": 1}, {"max_iter": 0}, {"transform_iter": 0}, {"batch_size": 0}, {"batch_size": 1}, {"forget_factor": 1.01}, {"forget_factor": 1}, {"forget_factor": -0.1}]
    found |= _raised(make, cases)
    fitted = make()
    found |= errors_of(fitted.transform, {"width": ((X[:, :4],), {}), "negative": ((-X,), {})}) | errors_of(GSNMF(2).fit, {"zeros": ((X * 0,), {})})
    h, w = H[:, :2].copy(), W[:2].copy()
    shapes = {"H": ((X.astype(float), H[:3], W), {}), "dtype": ((X, H, W), {}), "norm": ((X.astype(float), H, W), {"basis_norm": "x"}), "products": ((X.astype(float), H, W), {"products": "x"})}
    return found | {f"update.{n}": v for n, v in errors_of(update, shapes).items()}


def factorised_network() -> dict[str, np.ndarray]:
    """FCN on what a small random network makes of pictures, off the shelf and fine-tuned; folded batch norms."""
    import torch

    FCN, found = find("FCN"), {}
    torch.manual_seed(0)
    models = home("pretrained")
    tiny = _tiny_network()
    with holding(models, pretrained=lambda *_, **__: tiny()), holding(home("FCN"), pretrained=lambda *_, **__: tiny()):
        images = pictures(14, 3, 10, 12)
        for name, options in {
            "shelf": {"n_clusters": 3}, "tuned": {"fine_tune": True, "epochs": 2, "basis_norm": "compensated", "n_clusters": 2},
            "last": {"fine_tune": True, "epochs": 1, "forget_factor": 0.0},
        }.items():  # fmt: skip
            how = {"n_components": 3, "max_iter": 3, "transform_iter": 3, "size": 32, "batch_size": 5, "random_state": 0, "device": "cpu"}
            model = FCN(**{**how, **options}).fit(images)
            found |= _attributes(name, model, "embedding_") | untimed(model.history_, f"{name}.history") | {f"{name}.new": model.transform(images[::2])}
            if "n_clusters" in options:
                found[f"{name}.labels"] = model.labels_
            found |= {f"{name}.{n}": v for n, v in weights_of(model.network_.last_hidden).items()}
        kept = {**how, "fine_tune": True, "checkpoint": Path("fcn.pt")}
        FCN(**kept, epochs=1).fit(images)
        again = FCN(**kept, epochs=3).fit(images)
        found |= _attributes("resumed", again, "embedding_") | untimed(again.history_, "resumed.history")
        extract, network = find("extract", "models"), tiny()
        for hidden in (True, False):
            found[f"extracted.{hidden}"] = extract(images[:, :1], network, size=32, hidden=hidden, device="cpu", cache="kept")
        found["kept"] = np.array(extract(images[:, :1], network, size=32, device="cpu", cache="kept"))
        with holding(home("to_input"), _SAVE_EVERY=8, _BATCH=4):
            found["noted"] = np.array(extract(images, network, size=32, device="cpu", cache="noted"))
        cases = {"rank": ((images[0], network), {}), "channels": ((images[:, :2], network), {}), "none": ((images[:0], network), {}), "31": ((images, network), {"size": 31}), "nan": ((images * np.nan, network), {}), "bool": ((images > 9, network), {})}
        found |= errors_of(extract, cases)
        make = lambda **o: FCN(**{**how, "max_iter": 1, **o}).fit(images)  # noqa: E731
        found |= _raised(make, [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0}, {"learning_rate": np.inf}, {"n_clusters": 15}, {"n_clusters": 14}])
    return found


def _tiny_network():
    """A maker of networks with the parts that a pretrained one has; the same weights each time."""
    import torch
    from torch import nn

    class Tiny(nn.Module):
        n_features, mean, scale = 6, (10.0, 20.0, 30.0), (50.0, 60.0, 70.0)

        def __init__(self):
            super().__init__()
            self.convolution = nn.Sequential(nn.Conv2d(3, 4, 5, stride=5), nn.BatchNorm2d(4))
            self.last_hidden = nn.Linear(4, 6)

        def trunk(self, x):
            return torch.relu(self.convolution(x)).mean((2, 3))

        def head(self, inner):
            return torch.relu(self.last_hidden(inner))

    def make():
        with torch.random.fork_rng([]):
            torch.manual_seed(4)
            return Tiny().eval()

    return make


def convolutional_autoencoder() -> dict[str, np.ndarray]:
    """DBC's stage I by every option, on digits of which one is blank; its fused layers; killed and resumed."""
    Features, found = find("FCAEFeatures"), {}
    images, _ = digits((5, 4, 3))
    variants = {
        "paper": {"whiten": 3}, "relu": {"code": "bn-relu", "whiten": None, "scaling": "pixels", "optimizer": "sgd", "learning_rate": 0.1},
        "corner": {"unpooling": "corner", "whiten": None, "code": "linear"}, "nearest": {"unpooling": "nearest", "whiten": None, "code": "relu", "weight_decay": 0.1},
    }  # fmt: skip
    for name, options in variants.items():
        model = Features(**{"epochs": 1, "batch_size": 5, "random_state": 0, "device": "cpu", **options}).fit(images)
        found |= _attributes(name, model, "embedding_") | untimed(model.history_, f"{name}.history")
        found |= {f"{name}.new": model.transform(images[:3]), f"{name}.told": model.reconstruct(images[:2])}
        if name in ("paper", "corner"):
            found |= {f"{name}.{n}": v for n, v in model.activations(images[:2]).items()}
        sums = {n: v.astype(np.float64).sum() for n, v in weights_of(model.model_).items()}
        found[f"{name}.weights"] = np.array(list(sums.values()))
    weights = {n.removeprefix("weights."): v for n, v in weights_of(model.model_).items()}
    found["restored"] = Features(whiten=None, unpooling="nearest", code="relu", device="cpu").restore(images, weights).embedding_
    with holding(home("over_all"), _WHOLE=5, _SETTLING=7):
        kept = {"batch_size": 6, "whiten": None, "random_state": 1, "checkpoint": Path("fcae.pt"), "device": "cpu"}
        Features(epochs=1, **kept).fit(images / np.float32(255))
        again = Features(epochs=2, **kept).fit(images / np.float32(255))
        found |= _attributes("resumed", again, "embedding_") | untimed(again.history_, "resumed.history")
        found |= {f"other.{n}": v for n, v in _raised(lambda **o: Features(epochs=2, **{**kept, **o}).fit(images / np.float32(255)), [{"batch_size": 5}, {"learning_rate": 0.1}, {"random_state": 2}]).items()}
    make = lambda **o: Features(**{"epochs": 0, "device": "cpu", "whiten": None, **o}).fit(images)  # noqa: E731
    cases = [{"epochs": -1}, {"batch_size": 1}, {"batch_size": 2}, {"learning_rate": 0}, {"learning_rate": True}, {"weight_decay": -1}, {"optimizer": "x"}, {"scaling": "x"}, {"code": "x"}, {"unpooling": "x"}, {"whiten": 0}, {"whiten": 1}, {"whiten": 12}, {"whiten": 11}, {"whiten": 2, "code": "relu"}, {"checkpoint": "."}]
    found |= _raised(make, cases)
    return found | errors_of(Features(whiten=None, epochs=0).fit, {"one": ((images[:1],), {}), "two": ((images[:2],), {})}) | {f"wh.{n}": v for n, v in errors_of(Features(whiten=161, epochs=0).fit, {"161": ((np.repeat(images, 18, 0),), {})}).items()}


def fused_layers() -> dict[str, np.ndarray]:
    """Pooling behind batch normalisation and un-pooling before a convolution: ties, negative scales, odd sides."""
    import torch

    found: dict[str, np.ndarray] = {}
    pooled, unpooled, unpool = find("pooled_norm"), find("unpooled_deconvolution"), find("unpool")
    r = torch.Generator().manual_seed(0)
    for shape in ((3, 3, 5, 4), (2, 2, 6, 7), (1, 1, 2, 2)):
        for kind in (torch.float32, torch.float64):
            maps = torch.randn(shape, generator=r).mul(2).round().div(2).to(kind)
            norm = torch.nn.BatchNorm2d(shape[1]).to(kind)
            with torch.no_grad():
                norm.weight[0], norm.bias[-1] = -0.7, 0.4
            for training in (True, False):
                norm.train(training)
                norm.momentum = 0.3 if shape[0] == 3 else None
                x = maps.clone().requires_grad_()
                out, where = pooled(x, norm)
                out.square().sum().add(out[0].sum()).backward()
                key = f"{shape}.{kind}.{training}"
                found |= {f"{key}.out": out.detach().numpy(), f"{key}.where": where.numpy(), f"{key}.by x": x.grad.numpy()}
                found |= {f"{key}.{n}": p.grad.numpy().copy() for n, p in norm.named_parameters()}
                found |= {f"{key}.{n}": v.numpy().copy() for n, v in norm.state_dict().items()}
                norm.zero_grad()
            for out_channels, kernel, padding in ((2, 3, 1), (1, 5, 0), (3, 7, 2), (5, 3, 0)):
                layer = torch.nn.ConvTranspose2d(shape[1], out_channels, kernel, padding=padding).to(kind)
                with torch.no_grad():
                    for p in layer.parameters():
                        p.copy_(torch.randn(p.shape, generator=r))
                value = out.detach().clone().requires_grad_()
                size = tuple(shape[2:])
                if min(s + kernel - 1 - 2 * padding for s in size) < 1:
                    continue
                told = unpooled(value, where, layer, size)
                told.square().sum().add(told[..., 0].sum()).backward()
                key = f"{shape}.{kind}.{out_channels}.{kernel}"
                found |= {f"{key}.told": told.detach().numpy(), f"{key}.by v": value.grad.numpy(), f"{key}.by w": layer.weight.grad.numpy(), f"{key}.by b": layer.bias.grad.numpy()}
            found[f"{shape}.{kind}.unpool"] = unpool(out.detach(), where, tuple(shape[2:])).numpy()
    return found


def boosted_clustering() -> dict[str, np.ndarray]:
    """DBC by every option: a start that is even, smoothed or not, epochs to the end and resumed."""
    DBC, Features, found = find("DBC"), find("FCAEFeatures"), {}
    images, labels = digits((7, 6, 5, 2))
    features = Features(epochs=1, whiten=6, random_state=0, batch_size=8, device="cpu").fit(images)
    variants = {
        "book": {"features": features}, "letter": {"features": features, "smoothing": 0, "discriminant": False, "radius": None, "alpha": 1.5},
        "sgd": {"features": features, "optimizer": "sgd", "learning_rate": 0.1, "settle": False, "start": "even", "normalisation": "soft", "v": 3.0},
        "none": {"features": features, "normalisation": "none", "decay": 1.0, "n_neighbors": 40, "smoothing": 1, "weight_decay": 0.01},
        "still": {"features": features, "learning_rate": 1e-9, "epochs": 3}, "two": {"features": features, "n_clusters": 2},
        "one": {"features": features, "n_clusters": 1},
    }  # fmt: skip
    for name, options in variants.items():
        made = DBC(**{"n_clusters": 3, "epochs": 2, "n_init": 4, "smoothing": 3, "batch_size": 9, "random_state": 0, "device": "cpu", **options})
        seen = []
        model = made.fit(images, monitor=lambda epoch, S, Z: seen.append((epoch, S.sum(0), Z.sum(0))) or {"noted": epoch})
        found |= _attributes(name, model, "labels_ soft_assignments_ embedding_ cluster_centers_ start_labels_ n_iter_ converged_")
        found |= untimed(model.history_, f"{name}.history") | {f"{name}.p": model.predict_proba(images[:4]), f"{name}.y": model.predict(images[::3])}
        found |= {f"{name}.seen.{i}": np.concatenate([[e], s, z]) for i, (e, s, z) in enumerate(seen)}
    kept = {"n_clusters": 3, "features": features, "n_init": 2, "smoothing": 2, "batch_size": 7, "random_state": 0, "checkpoint": Path("dbc.pt"), "device": "cpu"}
    DBC(epochs=1, **kept).fit(images)
    again = DBC(epochs=3, **kept).fit(images)
    found |= _attributes("resumed", again, "labels_ soft_assignments_ cluster_centers_") | untimed(again.history_, "resumed.history")
    found |= {f"other.{n}": v for n, v in _raised(lambda **o: DBC(epochs=3, **{**kept, **o}).fit(images), [{"alpha": 3.0}, {"smoothing": 1}, {"v": 2.0}, {"n_init": 3}]).items()}
    own = DBC(3, features=Features(epochs=1, whiten=4, batch_size=9), epochs=1, n_init=2, smoothing=1, random_state=5, checkpoint=Path("own.pt"), device="cpu").fit(images)
    found |= _attributes("own", own, "labels_ embedding_")
    averaged, evenness, start = find("averaged"), find("evenness"), find("kmeans_start")
    X = blobs((12, 6, 2), 4)
    for neighbours, rounds in ((3, 0), (3, 1), (2, 4), (50, 2)):
        found[f"averaged.{neighbours}.{rounds}"] = averaged(X, neighbours, rounds, "cpu")
    found["even"] = np.array([evenness(np.array(y), k) for y, k in (([0, 0, 0, 1], 2), ([0, 1, 2], 3), ([0, 0], 1), ([2, 2, 0], 3), ([0, 1], 5))])
    with holding(home("kmeans_start"), SAMPLE=15):
        for choice in ("distortion", "even"):
            for k in (2, 4):
                found[f"start.{choice}.{k}"] = start(rng(9).normal(size=(25, 3)), k, 8, choice, 1)
    make = lambda **o: DBC(**{"n_clusters": 2, "features": features, "epochs": 0, "n_init": 1, "smoothing": 0, "random_state": 0, **o}).fit(images)  # noqa: E731
    cases = [{"alpha": 0}, {"v": -1}, {"radius": 0}, {"decay": 0}, {"decay": 1.01}, {"decay": 1}, {"normalisation": "x"}, {"start": "x"}, {"n_init": 0}, {"smoothing": -1}, {"n_neighbors": 0}, {"n_neighbors": 1}, {"features": 3}, {"epochs": -1}, {"batch_size": 1}, {"optimizer": "x"}, {"n_clusters": 21}]
    found |= _raised(make, cases)
    return found | errors_of(make, {}) | {f"shape.{n}": v for n, v in errors_of(DBC(2, features=features, epochs=0, n_init=1).fit, {"other": ((images[:, :, :6],), {})}).items()}


def deep_cluster() -> dict[str, np.ndarray]:
    """DeepCluster by both networks, fronts, samplers, clusterings and splits; killed within an epoch and resumed."""
    DeepCluster, found = find("DeepCluster"), {}
    images, labels = pictures(18, 3, 40, 36), np.arange(18) % 3
    small = {"width": 0.02, "kernel": 3, "stride": 1}
    variants = {
        "sobel": {}, "rgb": {"front": "rgb", "sampler": "released", "split": "paper", "n_clusters": 9}, "pic": {"clustering": "pic", "n_components": 3},
        "vgg": {"network": "vgg16", "network_options": {"width": 0.02}, "image_size": 32, "epochs": 1, "momentum": 0.0},
    }  # fmt: skip
    for name, options in variants.items():
        how = {"n_clusters": 4, "network_options": small, "epochs": 2, "batch_size": 7, "n_components": 4, "kmeans_iterations": 4, "device": "cpu", "verbose": False}
        model = DeepCluster(**{**how, **options}).fit(images, labels)
        found |= _attributes(name, model, "labels_ embedding_") | untimed(model.history_, f"{name}.history")
        found |= {f"{name}.final.{n}": np.array(v) for n, v in model.final_.items()} | {f"{name}.new": model.transform(images[:4])}
        sums = [v.astype(np.float64).sum() for v in weights_of(model.network_).values()]
        found[f"{name}.weights"] = np.array(sums)
    with holding(home("extract", "_features"), BATCH=7):
        kept = {**how, "checkpoint": Path("deep.pt"), "checkpoint_every": 1, "feature_memory": 100, "dropout": 0.2}
        gray = images[:, :1] / np.float32(255)
        DeepCluster(**{**kept, "epochs": 1}).fit(gray)
        again = DeepCluster(**kept).fit(gray)
        found |= _attributes("resumed", again, "labels_ embedding_") | untimed(again.history_, "resumed.history")
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
        found |= _attributes("revived", DeepCluster(**kept).fit(gray, labels), "labels_ embedding_")
        found |= {f"other.{n}": v for n, v in _raised(lambda **o: DeepCluster(**{**kept, **o}).fit(gray), [{"momentum": 0.1}, {"epochs": 2}]).items()}
    make = lambda **o: DeepCluster(**{**how, "epochs": 1, **o}).fit(images)  # noqa: E731
    cases = [{"network": "x"}, {"clustering": "x"}, {"sampler": "x"}, {"epochs": 0}, {"batch_size": 1}, {"n_components": 0}, {"kmeans_iterations": 0}, {"n_clusters": 19}, {"front": "x"}, {"network_options": {"width": 0}}, {"network_options": {"width": 1.1}}, {"image_size": 3}]
    found |= _raised(make, cases)
    fit = DeepCluster(**how).fit
    return found | errors_of(fit, {"y": ((images, labels[:4]), {}), "rank": ((images[0],), {}), "two": ((images[:, :2],), {}), "int": ((images.astype(int),), {}), "over": ((images / np.float32(254),), {}), "negative": ((images / np.float32(255) - 0.1,), {})})


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
    for name, made in (("array", source(images, None)), ("sized", source(images / np.float32(255), 11)), ("files", source(Folder(folder), 12))):
        index = np.array([3, 0, 2, 1])
        for kind, got in (("central", made.central(index)), ("random", made.random(index, drawn.rows(slice(0, 4))))):
            found |= {f"{name}.{kind}": got[0].numpy(), f"{name}.{kind}.kept": got[1]}
        found[f"{name}.length"] = np.array([len(made), made.size])
    shifted, ten = find("shifted_crops"), find("ten_crops")
    found |= {"shifted": shifted(source(images, 13), index, rng(4)).numpy(), "ten": ten(source(images, 13), index).numpy()}
    scaled = find("scaled", "fine_tuning")
    found["scaled"] = scaled(drawn).boxes
    part = find("Processes")()
    found["part"] = np.array([part.part(7).start, part.part(7).stop, part.world, part.rank])
    return found


def other_autoencoders() -> dict[str, np.ndarray]:
    """Linear and deep auto-encoders and ensemble projection."""
    found: dict[str, np.ndarray] = {}
    X = shares(21, 6)
    Linear, Deep, Ensemble = find("LinearAutoencoder"), find("DeepAutoencoder"), find("EnsembleProjection")
    for name, options in {"free": {"epochs": 3}, "nonnegative": {"nonnegative": True, "validation": 0.3, "epochs": 2}, "patient": {"patience": 1, "learning_rate": 0.5, "epochs": 12}, "all": {"patience": None, "epochs": 2, "batch_size": 100, "validation": 0.01}}.items():
        model = Linear(**{"n_components": 3, "batch_size": 6, "random_state": 0, "device": "cpu", **options}).fit(X)
        found |= _attributes(name, model, "encoder_ encoder_bias_ decoder_ decoder_bias_") | untimed(model.history_, f"{name}.history")
        found[f"{name}.new"] = model.transform(X[:3])
    pixels = X / X.max()
    kept = {"hidden": (5, 4), "batch_size": 8, "random_state": 1, "device": "cpu", "checkpoint": Path("deep.pt")}
    Deep(2, epochs=1, **kept).fit(pixels)
    model = Deep(2, epochs=3, **kept).fit(pixels)
    with holding(home("DeepAutoencoder"), _WHOLE=5):
        found |= {"deep": model.transform(pixels), "back": model.reconstruct(pixels) if hasattr(model, "reconstruct") else np.zeros(0)}
    found |= untimed(model.history_, "deep.history") | {f"deep.{n}": v for n, v in weights_of(model.network_).items()}
    found |= {f"other.{n}": v for n, v in _raised(lambda **o: Deep(2, epochs=3, **{**kept, **o}).fit(pixels), [{"hidden": (5,)}, {"batch_size": 7}]).items()}
    for name, options in {"ensemble": {}, "two": {"n_prototypes": 2, "n_members": 21, "C": 2.0}, "alone": {"n_members": 1, "n_hypotheses": 1}}.items():
        model = Ensemble(**{"n_sets": 2, "n_prototypes": 4, "n_members": 3, "n_hypotheses": 5, "random_state": 0, **options}).fit(X)
        found |= _attributes(name, model, "coef_ intercept_ prototypes_") | {f"{name}.new": model.transform(X[:5])}
    cases = [{"n_components": 0}, {"epochs": 0}, {"batch_size": 0}, {"batch_size": 1}, {"validation": 0}, {"validation": 1}, {"learning_rate": 0}]
    found |= _raised(lambda **o: Linear(**{"n_components": 1, "epochs": 1, **o}).fit(X), cases)
    cases = [{"n_components": 0}, {"epochs": 0}, {"batch_size": 0}, {"batch_size": 1}, {"learning_rate": 0}, {"hidden": ()}, {"hidden": (0,)}]
    found |= {f"deep.{n}": v for n, v in _raised(lambda **o: Deep(**{"n_components": 1, "hidden": (2,), "epochs": 1, **o}).fit(pixels), cases).items()}
    found |= {f"range.{n}": v for n, v in errors_of(Deep(1, hidden=(2,), epochs=1).fit, {"over": ((pixels * 1.01,), {}), "under": ((pixels - 0.01,), {}), "one": ((pixels[:1],), {})}).items()}
    cases = [{"n_sets": 0}, {"n_prototypes": 1}, {"n_prototypes": 2}, {"n_members": 0}, {"n_members": 22}, {"n_hypotheses": 0}, {"C": 0}]
    return found | {f"ensemble.{n}": v for n, v in _raised(lambda **o: Ensemble(**{"n_sets": 1, "n_prototypes": 2, "n_members": 2, "n_hypotheses": 1, **o}).fit(X), cases).items()}


WITNESSES = {
    "group-sparse-nmf": group_sparse_nmf,
    "factorised-network": factorised_network,
    "convolutional-autoencoder": convolutional_autoencoder,
    "fused-layers": fused_layers,
    "boosted-clustering": boosted_clustering,
    "deep-cluster": deep_cluster,
    "crops": crops,
    "other-autoencoders": other_autoencoders,
}
