"""What follows a training of DeepCluster: probes, fine-tuning, retrieval, and VOC in a tiny kit."""

from pathlib import Path

import numpy as np

from witnesses._data import error_of, errors_of, given, pictures, rng, shares, weights_of
from witnesses._find import find, holding, home
from witnesses._sets import plain, registered

TINY = {"n_images": 21, "epochs": 1, "per_class": 2, "width": 0.02, "batch_size": 8, "device": "cpu"}


def _network(size: int = 24, **options):
    import torch

    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        return find("AlexNetSobel")(size, **{"width": 0.02, "kernel": 3, "stride": 1, **options})


def downstream() -> dict[str, np.ndarray]:
    """Probes, fine-tuning, filters, R-MAC, average precisions and an SVM, each by itself."""
    import torch

    found: dict[str, np.ndarray] = {}
    images, labels = pictures(20, 3, 30, 28), np.arange(20) % 3
    probes, tune, scores_of = find("linear_probes"), find("fine_tune"), find("class_scores")
    got = probes(
        _network(),
        images,
        labels,
        images[::-1][:8],
        labels[::-1][:8],
        size=24,
        epochs=3,
        batch_size=6,
        learning_rates=(0.01, 1.0, 30.0),
        weight_decay=0.1,
    )
    found |= {"probed": got.accuracy, "rates": got.learning_rates}
    found["probed.decaying"] = np.array(  # a step size that falls fast enough for an accuracy to show it
        [
            probes(
                _network(),
                images,
                labels,
                images,
                labels,
                size=24,
                epochs=2,
                batch_size=5,
                learning_rates=(3.0,),
                weight_decay=decay,
                seed=seed,
            ).accuracy
            for decay, seed in ((0.3, 0), (1.0, 1), (3.0, 2))
        ]
    )
    found |= errors_of(
        probes,
        {
            n: ((_network(), images, y, images, t), {"size": 24, "epochs": 1})
            for n, (y, t) in {
                "length": (labels[1:], labels),
                "test": (labels, labels[1:]),
                "classes": (labels % 2, labels),
            }.items()
        },
    )
    truth = np.eye(3, dtype=np.int8)[labels]
    truth[0, 1], truth[5] = -1, -1
    source = find("ArrayImages")(images, 24)
    shape, others = given(tune, shape="stretched"), given(tune, fresh=False, statistics="of the batches")
    for layers, norm, clip in (("fc68", "trained", 10.0), ("fc68", "frozen", 0.01), ("all", "trained", 10.0)):
        network = tune(
            _network(),
            source,
            truth,
            layers=layers,
            batch_norm=norm,
            steps=4,
            batch_size=7,
            halve_every=2,
            learning_rate=0.1,
            weight_decay=0.01,
            clip=clip,
            **shape,
            **others,
        )
        found |= {f"{layers}.{norm}.{n}": v.astype(np.float64).sum() for n, v in weights_of(network).items()}
        found[f"{layers}.{norm}.scores"] = scores_of(network, source, crops=2, **shape)
    if others:  # what is younger has nothing to be compared with yet, and is gone through
        scores_of(tune(_network(), source, truth, steps=2, batch_size=7), source, crops=1)
        errors_of(tune, {"truth": ((_network(), source, truth * 5), {"steps": 1})})
    found |= errors_of(
        find("trained_parameters"),
        {str(a): ((_network(), *a), {}) for a in (("x", "trained"), ("all", "x"), ("all", "frozen"))},
    )
    exciting, responses, top = find("exciting_images"), find("responses"), find("top_images")
    for stage in (0, 4):
        found[f"exciting.{stage}"] = exciting(
            _network(), stage, [0, 1], size=24, steps=4, blur_every=2, weight_decay=0.1
        )
        found[f"responses.{stage}"] = responses(_network(), images, stage, size=24)
    found["top"] = top(np.round(responses(_network(), images, 1, size=24), 1), 4)
    found |= errors_of(
        exciting,
        {
            str(a): ((_network(), *a), {"size": 24, "steps": 1})
            for a in ((5, [0]), (-1, [0]), (0, [99]), (0, [2]), (0, []))
        },
    )
    found |= {f"stage.{stage}": error_of(responses, _network(), images, stage, size=24) for stage in (-9, 4, 5, 9)}
    grid, rmac, vectors, whiten = find("region_grid"), find("rmac"), find("region_vectors"), find("pca_whiten")
    for size in ((6, 6), (9, 5), (4, 13), (1, 1), (3, 40), (7, 9)):
        found[f"grid.{size}"] = np.array(grid(*size))
    maps = torch.from_numpy(rng(4).normal(size=(3, 4, 5, 7)).astype(np.float32)).relu()
    w = whiten([vectors(maps).flatten(0, 1)], 3)
    found |= {
        "rmac": rmac(maps).numpy(),
        "rmac 2": rmac(maps, 2).numpy(),
        "rmac white": rmac(maps, 3, w).numpy(),
        "regions": vectors(maps, 2).numpy(),
    }
    precision, queries, mean = (
        find("average_precision", "retrieval"),
        find("class_queries"),
        find("mean_average_precision", "retrieval"),
    )
    ranked = [4, 0, 2, 5, 1, 3]
    found["precision"] = np.array(
        [
            precision(ranked, *map(set, q))
            for q in (([4], []), ([0, 3], [4]), ([1, 2], []), ([0, 1, 2, 3, 4, 5], []), ([3], [0, 2]), ([9], []))
        ]
    )
    asked = queries(np.repeat([0, 1, 2], [7, 2, 1]), 3)
    found["queries"] = np.array([repr((q.image, sorted(q.positives), sorted(q.junk))) for q in asked])
    rows = rng(5).normal(size=(10, 2))
    found["map"] = np.array(mean(rows, rows[[q.image for q in asked[:-1]]], asked[:-1]))
    found |= errors_of(precision, {"none": ((ranked, set(), set()), {})})
    svm, X = find("svm_accuracy"), shares(24, 5)
    y = (X[:, 0] > X[:, 1]).astype(int) + (X[:, 2] > 1)
    found["svm"] = np.array(
        [svm(X, y, X[::2] + 0.4, y[::2], C=c, normalise=n) for c in (0.1, 10.0) for n in (True, False)]
    )
    cases = {
        "labels": ((X, y[1:], X, y), {}),
        "test": ((X, y, X, y[1:]), {}),
        "width": ((X, y, X[:, :3], y), {}),
        "classes": ((X, y * 0, X, y), {}),
        "C": ((X, y, X, y), {"C": 0}),
    }
    return found | errors_of(svm, cases)


def pascal_voc() -> dict[str, np.ndarray]:
    """A kit of six images: labels, objects and masks; a detector, a segmenter, and the scores of all three tasks."""
    found: dict[str, np.ndarray] = {}
    kit = find("VocKit")(_write_kit(Path("VOCdevkit/VOC2007")))
    names = kit.ids("trainval")
    found["labels"] = kit.labels("trainval")
    truth = [kit.objects(name) for name in names]
    found |= {
        f"objects.{i}.{part}": getattr(o, part)
        for i, o in enumerate(truth)
        for part in ("boxes", "classes", "difficult")
    }
    masks = [kit.segmentation(name) for name in names]
    folder, r = kit.images(names), rng(3)
    proposals = [np.sort(r.integers(0, 30, (9, 2, 2)), axis=1).reshape(9, 4).astype(np.float32) for _ in names]
    detection, segmentation = home("train_detector"), home("train_segmenter")
    detector = detection.train_detector(
        _network(24),
        folder,
        truth,
        proposals,
        steps=3,
        learning_rate=0.01,
        step_every=2,
        regions=8,
        short=36,
        **given(detection.train_detector, mirror=False, normalise=False),
    )
    found |= {f"detector.{n}": v.astype(np.float64).sum() for n, v in weights_of(detector).items()}
    bare = find("Objects")(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, bool))
    nothing = ([bare] * len(truth), [bare.boxes] * len(truth))
    found |= errors_of(detection.train_detector, {"regions": ((_network(24), folder, *nothing), {"steps": 1})})
    found["younger"] = np.array(_mirrors_and_spreads(detection, folder, truth, proposals))
    boxes = detection.detect(detector, folder, proposals, short=36, threshold=0.045)
    found["detected"] = np.array([[c, d.image, *d.box, d.score] for c, of in enumerate(boxes) for d in of])
    for layers, norm in (("fc68", "trained"), ("all", "frozen")):
        segmenter = segmentation.train_segmenter(
            _network(24), folder, masks, layers=layers, batch_norm=norm, steps=3, learning_rate=0.3
        )
        found |= {f"{layers}.{n}": v.astype(np.float64).sum() for n, v in weights_of(segmenter).items()}
        found |= {f"{layers}.mask.{i}": mask for i, mask in enumerate(segmentation.segment(segmenter, folder))}
    encode, decode, suppress, sample = detection.encode, detection.decode, detection.suppress, detection.sample_regions
    overlaps = find("overlaps")
    a, b = proposals[0], proposals[1]
    found |= {
        "encoded": encode(a, b),
        "decoded": decode(a, encode(a, b)),
        "far": decode(a, np.full((9, 4), 5.0, np.float32)),
        "overlaps": overlaps(a, b),
    }
    grid = np.array(
        [[0, 0, 9, 9], [0, 0, 9, 4], [5, 0, 14, 9], [0, 0, 9, 9], [20, 20, 20, 20], [0, 0, 4, 5]], np.float32
    )
    found |= {f"kept.{t}": suppress(grid, np.array([0.5, 0.9, 0.5, 0.5, 0.1, 0.2]), t) for t in (0.3, 0.5, 1.0)}
    for i, o in enumerate(truth):
        got = sample(proposals[i], o, 8, rng(i))
        found |= {f"sample.{i}.{part}": getattr(got, part) for part in ("boxes", "classes", "deltas")}
    tight = find("Objects")(np.array([[0, 0, 9, 9]], np.float32), np.array([3]), np.array([False]))
    edges = np.array(
        [[0, 0, 9, 4], [0, 0, 0, 9], [0, 0, 9, 0], [50, 50, 60, 60], [0, 0, 4, 4]], np.float32
    )  # covered by 0.5, 0.1, 0.1, 0, 0.25
    for n in (4, 8, 12):
        got = sample(edges, tight, n, rng(1))
        found |= {f"edges.{n}.boxes": got.boxes, f"edges.{n}.classes": got.classes}
    found["outside"] = sample(edges[:1], tight, 8, rng(1)).boxes
    precision, mean_precision = find("average_precision", "voc"), find("mean_average_precision", "voc")
    s, t = np.array([0.9, 0.8, 0.8, 0.7, 0.6, 0.2, 0.1, 0.05, 0.04, 0.03]), np.array([1, 0, 1, -1, 1, 0, 0, 1, 1, 0])
    found["precision"] = np.array(
        [precision(s, t), precision(s, t, 10), precision(-s, t), precision(s, t * 0), precision(s[:1], t[:1], 10)]
    )
    found["means"] = np.array([mean_precision(np.stack([s, -s, s], 1), np.stack([t, t, t * 0], 1))])
    Detection, found_boxes = find("Detection"), []
    for i, o in enumerate(truth):
        for j, box in enumerate(o.boxes):
            found_boxes += [
                Detection(i, box + 1, 0.9 - 0.1 * j),
                Detection(i, box + np.array([0, 0, 3, 9]), 0.8),
                Detection(i, box + 40, 0.85 + 0.01 * i),
            ]
    half = [Detection(0, np.array([0, 0, 9, 4.0]), 0.5), Detection(0, np.array([0, 0, 9, 3.0]), 0.6)]
    scored = find("detection_precision")
    found["detections"] = np.array(
        [scored(found_boxes, truth, c) for c in range(4)] + [scored(half, [tight], 3), scored(half[1:], [tight], 3)]
    )
    intersection = find("mean_intersection_over_union")
    found["iou"] = np.array(
        [
            intersection(masks[1:] + masks[:1], masks),
            intersection(masks, masks, 21),
            intersection([m // 2 for m in masks], masks),
        ]
    )
    from scipy.io import savemat

    cells = np.empty((1, 2), object)
    cells[0, 0], cells[0, 1] = np.array([[1, 2, 30, 40]], np.uint16), np.zeros((0, 4), np.uint16)
    savemat("boxes.mat", {"boxes": cells})
    found |= {f"read.{i}": box for i, box in enumerate(detection.read_proposals("boxes.mat"))}
    Path("none.mat").write_bytes(b"x")
    found |= (
        errors_of(detection.read_proposals, {"mat": (("none.mat",), {})})
        | errors_of(kit.objects, {"xml": (("none",), {})})
        | errors_of(kit.segmentation, {"png": (("none",), {})})
        | errors_of(kit.images, {"jpg": ((["none"],), {})})
        | errors_of(kit.ids, {"txt": (("none",), {})})
    )
    found |= errors_of(detection.train_detector, {"n": ((_network(24), folder, truth[1:], proposals), {})}) | errors_of(
        segmentation.train_segmenter, {"masks": ((_network(24), folder, masks[1:]), {})}
    )
    for name in ("convolve", "activations"):  # an image of which nothing is left, and one of which just a pixel is
        found[f"speck.{name}"] = np.array([_runs(getattr(_network(24), name), side) for side in range(1, 32)])
    found |= errors_of(segmentation.read_pair, {"shape": ((folder, 0, masks[0][1:]), {})}) | errors_of(
        mean_precision, {"shapes": ((s, t[1:]), {})}
    )
    return found | _on_voc()


def _runs(function, side: int) -> bool:
    import torch

    try:
        return bool(function(torch.zeros(1, 3, side, 40)) is not None)
    except (RuntimeError, ValueError):
        return False


def _mirrors_and_spreads(detection, folder, truth, proposals) -> list[bool]:
    """Whether what is younger than this witness computes what it is to: there is nothing to compare it with."""
    if not hasattr(detection, "spread_of_deltas"):
        return [True] * 4
    a, b, mirrored = proposals[0], proposals[1], detection._mirrored
    seen = detection.encode(mirrored(a, 30), mirrored(b, 30))
    as_seen = np.allclose(seen, detection.encode(a, b) * [-1, 1, 1, 1], atol=1e-5)
    as_seen &= bool((detection.IN_A_MIRROR == [-1, 1, 1, 1]).all())
    sides = mirrored(np.array([[3.0, 1, 7, 5]]), 20)
    box = find("Objects")(np.array([[4, 4, 23, 23]], np.float32), np.array([2]), np.array([False]))
    shifts = np.array([[4, 4, 23, 23], [6, 4, 25, 23], [4, 5, 23, 24], [4, 4, 24, 23], [40, 40, 44, 44]], np.float32)
    (mean, spread), (plain, _) = (detection.spread_of_deltas([box], [shifts], mirror) for mirror in (True, False))
    known = detection.encode(np.concatenate([shifts[:4], box.boxes]), np.repeat(box.boxes, 5, 0))
    both = np.concatenate([known, known * [-1, 1, 1, 1]])
    right = np.allclose(mean[3], both.mean(0)) and np.allclose(spread[3], both.std(0).clip(min=1e-3))
    right &= np.allclose(plain[3], known.mean(0)) and bool((np.delete(spread, 3, 0) == 1).all())
    alone = detection.spread_of_deltas([box], [shifts[4:]], False)
    right &= bool((alone[0] == 0).all() and (alone[1] == 1).all())
    trained = detection.train_detector(_network(24), folder, truth, proposals, steps=9, regions=8, short=36)
    again = [np.isfinite(v).all() for v in weights_of(trained).values()]
    from torch import arange, float32

    units, rows = arange(84, dtype=float32).view(21, 4) / 9 + 0.5, arange(2.0 * trained.network.n_features) / 7
    learnt = trained.deltas(rows.view(2, -1)).view(2, 21, 4)
    trained.unnormalise(units.numpy() - 3, units.numpy())
    again.append(
        np.allclose(
            *(n.detach() for n in (trained.deltas(rows.view(2, -1)).view(2, 21, 4), learnt * units + units - 3)),
            atol=1e-3,
        )
    )
    return [bool(as_seen), sides.tolist() == [[12, 1, 16, 5]], bool(right), all(again)]


def _on_voc() -> dict[str, np.ndarray]:
    """The three tasks of the run itself, with the kit and proposals where they are looked for."""
    from scipy.io import savemat

    found: dict[str, np.ndarray] = {}
    run, module = find("transfer_to"), home("transfer_to")
    boxes = np.empty((6, 1), object)
    for i in range(6):
        boxes[i, 0] = np.array([[1, 1, 20, 20], [5, 3, 30, 28], [10, 10, 25, 40]]) + i
    Path("selective_search_data").mkdir()
    for part in ("trainval", "test"):
        savemat(f"selective_search_data/voc_2007_{part}.mat", {"boxes": boxes})
    with registered() as made, holding(home("prepare"), SHORT=36, LONG=60):
        made["voc2007"] = made["imagenette"]
        with holding(module.datasets, folder=lambda name: Path(".").resolve()):
            for task in ("classification", "detection", "segmentation"):
                found |= plain(run("voc2007", "Random", task, steps=1, **TINY), f"run.{task}")
            Path("selective_search_data/voc_2007_test.mat").unlink()
            found |= errors_of(run, {"no boxes": (("voc2007", "Random", "detection"), {"steps": 1, **TINY})})
    return found


def _write_kit(root: Path) -> Path:
    from PIL import Image

    for name in ("Annotations", "JPEGImages", "SegmentationClass", "ImageSets/Main", "ImageSets/Segmentation"):
        (root / name).mkdir(parents=True)
    images, r = pictures(6, 3, 40, 36), rng(8)
    names = [f"00{i}" for i in range(6)]
    present = {name: [] for name in find("CLASSES")}
    listed = list(present)
    for i, name in enumerate(names):
        Image.fromarray(images[i].transpose(1, 2, 0)).save(root / f"JPEGImages/{name}.jpg", quality=95)
        objects = "".join(
            f"<object><name>{listed[j % 4]}</name><difficult>{int((i + j) % 3 == 2)}</difficult>"
            f"<bndbox><xmin>{3 + 4 * j}</xmin><ymin>{2 + i}</ymin>"
            f"<xmax>{20 + 3 * j}</xmax><ymax>{25 + i}</ymax></bndbox></object>"
            for j in range(i % 3 + (i != 3))
        )
        (root / f"Annotations/{name}.xml").write_text(f"<annotation>{objects}</annotation>", encoding="utf-8")
        mask = np.zeros((40, 36), np.uint8)
        mask[4:20, 3:18], mask[19:21], mask[30:, :9] = 1 + i % 3, 255, 2
        Image.fromarray(mask).save(root / f"SegmentationClass/{name}.png")
    for part in ("trainval", "test", "train", "val"):
        for where in ("Main", "Segmentation"):
            (root / f"ImageSets/{where}/{part}.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
        for k, label in enumerate(listed):
            rows = [f"{name} {r.choice([-1, 0, 1]) if k < 4 else -1}" for name in names]
            (root / f"ImageSets/Main/{label}_{part}.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root


WITNESSES = {
    "downstream": downstream,
    "pascal-voc": pascal_voc,
}
