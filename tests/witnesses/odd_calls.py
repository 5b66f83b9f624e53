"""One argument of a right call replaced by what nobody meant: every kernel, every protocol of transfer, every metric.

A call's outcome is one letter: "." it ran, "x" it was refused in one line, "!" anything else, which is a fault. What is
due stands in ``odd_outcomes.py``, a line an argument: ``python tests/witnesses/odd_calls.py`` writes it anew, to be
read before it is committed. A revision that is older than the checks is taken to give what is due.
"""

import copy
import inspect
import warnings
from pathlib import Path

import numpy as np

from witnesses._data import blobs, pictures, rng
from witnesses._find import find, home
from witnesses.downstream import _network

_OUTCOMES = Path(__file__).with_name("odd_outcomes.py")
_LATE = (
    "steps",
    "epochs",
    "n_iter",
    "crops",
    "n_patches",
    "batch_size",
    "halve_every",
    "step_every",
    "blur_every",
    "rows",
)
SCALARS = (None, True, -1, 0, 2.5, float("nan"), float("inf"), "", "nonsense", b"x", [], {}, object(), (1, 2, 3))
LARGE = (2**40, -(10**30), 1e300)


def _arrays(right: np.ndarray) -> list:
    """What is nearly the array that is meant."""
    floats, whole = right.astype(np.float64), right.astype(np.int64)
    return [
        *(right[:0], right[:-1], right[..., :0], right[None], right.astype(object), right.astype(str)),
        *(right.astype(complex), np.full(right.shape, np.nan), np.full(right.shape, np.inf), -1 - np.abs(floats)),
        *(-1 - np.abs(whole), whole + 10**9, floats + 0.5, right.tolist(), np.ma.masked_equal(right, right.ravel()[0])),
    ]


def odd_for(name: str, right) -> list:
    """Values to put in an argument's place."""
    import torch

    odd = [*SCALARS, *([] if name in _LATE else LARGE)]
    if isinstance(right, (np.ndarray, torch.Tensor)):
        nearly = _arrays(np.asarray(right))
        if isinstance(right, torch.Tensor):
            nearly += [np.asarray(right), right.double() if right.is_floating_point() else right.float()]
            nearly += [torch.full_like(right, -1), right[..., None]]
        odd += nearly
    if isinstance(right, list) and right:
        odd += [right[:0], right * 2, [*right, None], ["a"], [np.zeros(0)], np.array([1.5])]
    if name == "device":
        odd += ["meta", "cuda:7", torch.device("meta"), torch.device("cuda:7")]
    if isinstance(right, tuple):
        odd += [right[::-1], (0, 0), (np.nan, 1), (-1, 2), (0.1,), (0.5, 99)]
    return odd


def letter(function, arguments: dict) -> str:
    """How one call ends."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function(**arguments)
        return "."
    except MemoryError:
        return "m"
    except find("OneLine") as error:
        return "x" if len(str(error)) <= 200 and "\n" not in str(error) else "l"
    except ValueError as error:  # of labels, which are checked where they are counted
        return "x" if function.__module__.endswith("metrics") and "\n" not in str(error) else "!"
    except Exception:
        return "!"


def outcomes(calls: dict) -> dict[str, str]:
    """The letters of every argument, by "function.argument"; each call trains networks of its own."""
    found = {}
    for name, (function, right) in calls.items():
        networks = {key: value for key, value in right.items() if hasattr(value, "parameters")}
        assert letter(function, right | copy.deepcopy(networks)) == ".", name
        for argument, value in right.items():
            asked = ({**right, **copy.deepcopy(networks), argument: odd} for odd in odd_for(argument, value))
            letters = [letter(function, call) for call in asked]
            found[f"{name}.{argument}"] = "".join(letters)
    return found


def due() -> dict[str, str]:
    from witnesses.odd_outcomes import DUE

    return dict(line.split() for line in DUE.split("\n") if line)


def _graphs() -> dict:
    """Neighbours, merging, the description length."""
    X = blobs((7, 5), 3)
    affinity_graph, initial, link = find("affinity_graph"), find("initial_clusters", "linkage"), find("graph_linkage")
    graph = affinity_graph(X, 3)
    start, edges = initial(graph), find("mutual_edges")(graph.indices)
    tree = link(graph, start)
    searched = {"X": X, "method": "auto", "random_state": 0, "backend": "auto", "device": "cpu"}
    linked = {"linkage": "gdl", "update": "exact", "criterion": "affinity", "k_c": 5, "weight": 1.0, "candidates": 3}
    linked |= {"z": 0.01, "isolated": "nearest", "features": X, "n_clusters": 1}
    affinities = find("cluster_affinities")
    return {
        "affinity_graph": (affinity_graph, {**searched, "n_neighbors": 3, "a": 1.0, "variant": "published"}),
        "affinity_graph of a pair": (affinity_graph, {"X": find("knn")(X, 4), "n_neighbors": 3}),
        "knn": (find("knn"), {**searched, "k": 2}),
        "neighbour_recall": (
            find("neighbour_recall"),
            {"X": X, "indices": graph.indices, "rows": 5, "random_state": 0},
        ),
        "initial_clusters": (initial, {"graph": graph, "variant": "published"}),
        "initial_clusters of indices": (initial, {"graph": graph.indices}),
        "graph_linkage": (link, {"graph": graph, "labels0": start, **linked}),
        "cluster_affinities": (affinities, {"graph": graph, "labels": start}),
        "merge_scores": (find("merge_scores"), {"affinities": affinities(graph, start), "k_c": 5, "weight": 1.0}),
        "mutual_edges": (find("mutual_edges"), {"neighbours": graph.indices}),
        "description_lengths": (find("description_lengths"), {"tree": tree, "edges": edges, "price": 0.0}),
        "power_iteration_clusters": (
            find("power_iteration_clusters"),
            {"rows": X, "n_neighbors": 3, "sigma": 0.2, "alpha": 0.001, "n_iter": 5, "device": "cpu"},
        ),
    }


def _rows() -> dict:
    """K-means, whitening, factors, an epoch's draws."""
    import torch

    X, Penalty, whitening = blobs((7, 5), 3), find("Penalty"), home("zca_whitening")
    Z = torch.from_numpy(X)
    moments = whitening.Moments(3)
    moments.update(Z)
    clustered = {"rows": X, "n_clusters": 2, "n_iter": 3, "seed": 0, "split": "released", "backend": "auto"}
    H, W = np.ones((len(X), 2), np.float32), np.ones((2, 3), np.float32)
    factors = {"X": abs(X), "H": H, "W": W, "penalty": Penalty(), "basis_norm": "unit", "products": "float32"}
    return {
        "kmeans": (find("kmeans", "lloyd"), {**clustered, "device": "cpu"}),
        "pca_whiten": (whitening.pca_whiten, {"batches": [Z], "n_components": 2}),
        "whitening": (whitening.whitening, {"moments": moments, "n_components": 2}),
        "zca_whitening": (whitening.zca_whitening, {"moments": moments, "epsilon": 0.1}),
        "Moments": (whitening.Moments, {"n_features": 3, "device": "cpu"}),
        "Moments.update": (moments.update, {"rows": Z}),
        "Penalty": (Penalty, {"l1": 0.1, "l2": 0.1, "l21": 0.1}),
        "gsnmf_update": (find("gsnmf_update"), factors),
        "draw_epoch": (
            find("draw_epoch"),
            {"labels": np.arange(12) % 3, "rng": rng(), "sampler": "uniform"},
        ),
        "nearest_neighbours": (find("nearest_neighbours"), {"points": Z, "k": 2}),
    }


def _losses() -> dict:
    """DBC's target and loss, JULE's triplets."""
    import torch

    Z, C = torch.from_numpy(blobs((7, 5), 3)), torch.from_numpy(blobs((2, 1), 3, seed=4))
    assign, target = find("soft_assign"), find("boosted_target")
    S = assign(Z.numpy(), C.numpy())
    sample, y = find("sample_triplets"), torch.tensor([0, 0, 1, 1, 2, 2])
    nearest = {"labels": y, "n_negatives": 2, "negatives": "nearest", "distances": torch.rand(6, 6)}
    loss = {"x": torch.rand(6, 2), "triplets": sample(y, 2), "gamma": 2.0, "margin": 0.2, "gradient": "exact"}
    return {
        "boosted_kl": (find("boosted_kl"), {"Z": Z, "centers": C, "target": torch.from_numpy(target(S)), "v": 1.0}),
        "boosted_target": (target, {"scores": S, "alpha": 2.0, "normalisation": "boosted"}),
        "kl_terms": (find("kl_terms"), {"target": target(S), "scores": S}),
        "soft_assign": (assign, {"Z": Z, "centers": C, "v": 1.0}),
        "soft_assign of arrays": (assign, {"Z": Z.numpy(), "centers": C.numpy()}),
        "squared_distances": (find("squared_distances", "triplets"), {"x": Z, "y": C}),
        "sample_triplets": (sample, nearest),
        "sample_triplets at random": (
            sample,
            {"labels": y, "negatives": "random", "generator": torch.Generator()},
        ),
        "weighted_triplet_loss": (find("weighted_triplet_loss"), loss),
    }


def _retrieval() -> dict:
    import torch

    module, y = home("rmac"), np.arange(12) % 3
    asked, rows, maps = module.class_queries(y, 2), np.eye(12), torch.rand(2, 3, 5, 6)
    searched = rows[[query.image for query in asked]]
    vectors = module.region_vectors(maps).flatten(0, 1)
    found = {"descriptors": rows, "searched": searched, "queries": asked}
    white = find("pca_whiten")([vectors], 2)
    return {
        "retrieval.mean_average_precision": (module.mean_average_precision, found),
        "retrieval.average_precision": (
            module.average_precision,
            {"ranked": [3, 2, 1, 0], "positives": {1}, "junk": {0}},
        ),
        "class_queries": (module.class_queries, {"labels": y, "per_class": 2}),
        "rmac": (module.rmac, {"maps": maps, "levels": 3, "whitening": white}),
        "region_vectors": (module.region_vectors, {"maps": maps, "levels": 3}),
        "region_grid": (module.region_grid, {"height": 5, "width": 6, "levels": 3}),
    }


def _scores() -> dict:
    """VOC's protocols, pairs of faces, machines, this project's metrics."""
    voc, verification, y = home("overlaps"), home("verification_accuracy"), np.arange(8) % 2
    box = np.array([[0, 0, 9, 9], [4, 4, 6, 6]], np.float32)
    objects = voc.Objects(box, np.array([3, 1]), np.array([False, True]))
    masks, s, X = [np.arange(12, dtype=np.uint8).reshape(3, 4)], np.linspace(0, 1, 8), blobs((5, 3), 3)
    learnt = {"learn": X, "learn_labels": y, "test": X, "test_labels": y}
    metrics = home("one_nn_error")
    labels = {"y": y, "p": y}
    return {
        "voc.average_precision": (voc.average_precision, {"scores": s, "truth": y, "n_positive": 5}),
        "voc.mean_average_precision": (
            voc.mean_average_precision,
            {"scores": rng().random((6, 3)), "truth": np.eye(3, dtype=np.int8)[np.arange(6) % 3]},
        ),
        "overlaps": (voc.overlaps, {"boxes": box, "others": box[:1]}),
        "detection_precision": (
            voc.detection_precision,
            {"found": [voc.Detection(0, box[0], 0.5)], "truth": [objects], "class_": 3},
        ),
        "Detection.image": (_scored, {"image": 0, "box": box[0], "score": 0.5}),
        "Objects": (_detected, {"boxes": box, "classes": np.array([3, 1]), "difficult": np.array([False, True])}),
        "mean_intersection_over_union": (
            voc.mean_intersection_over_union,
            {"found": masks, "truth": masks, "n_classes": 21},
        ),
        "cosine": (verification.cosine, {"first": X, "second": X}),
        "best_threshold": (verification.best_threshold, {"similarity": s, "same": y}),
        "verification_accuracy": (
            verification.verification_accuracy,
            {"similarity": s, "same": y[::-1], "fold": np.arange(8) // 4},
        ),
        "svm_accuracy": (find("svm_accuracy"), {**learnt, "C": 1.0, "seed": 0}),
        "standardised_svm_accuracy": (find("standardised_svm_accuracy"), {**learnt, "C": 1.0}),
        "compact": (metrics.compact, {"labels": y}),
        **{name: (getattr(metrics, name), labels) for name in ("accuracy", "purity")},
        "nmi": (metrics.nmi, {**labels, "average": "max"}),
        "knn_purity": (metrics.knn_purity, {"features": X, "y": y, "k": 2}),
        "one_nn_error": (metrics.one_nn_error, {"train_features": X, "train_labels": y}),
        "trustworthiness": (metrics.trustworthiness, {"X": X, "embedding": X[:, :2], "n_neighbors": 2}),
    }


def _scored(image, box, score) -> None:
    voc = home("overlaps")
    objects = voc.Objects(np.array([[0, 0, 9, 9]], np.float32), np.array([3]), np.array([False]))
    voc.detection_precision([voc.Detection(image, box, score)], [objects], 3)


def _detected(boxes, classes, difficult) -> None:
    voc = home("overlaps")
    voc.detection_precision([], [voc.Objects(boxes, classes, difficult)], 3)


def _pictured() -> dict:
    """Filters, patches, boxes."""
    filters, coates, detection = home("exciting_images"), home("random_patches"), home("train_detector")
    images, box = pictures(6, height=28, width=28), np.array([[0, 0, 9, 9], [4, 4, 6, 6]], np.float32)
    patches = coates.random_patches(images, 20, 6)
    white, rows = coates.whiten_patches(patches)
    book = coates.Codebook(6, 3, white, rows[:4].clone())
    excited = {"stage": 0, "filters": [0], "size": 24, "steps": 1, "learning_rate": 3.0, "weight_decay": 1e-5}
    excited |= {"blur": 0.3, "blur_every": 5, "seed": 0, "device": "cpu"}
    return {
        "exciting_images": (filters.exciting_images, {"network": _network(), **excited}),
        "responses": (
            filters.responses,
            {"network": _network(), "images": images[:2], "stage": 0, "size": 24, "device": "cpu"},
        ),
        "top_images": (filters.top_images, {"response": rng().random((6, 4)), "n": 3}),
        "image_features": (coates.image_features, {"images": images[:2], "codebook": book, "device": "cpu"}),
        "random_patches": (coates.random_patches, {"images": images, "n_patches": 4, "size": 6, "seed": 0}),
        "whiten_patches": (coates.whiten_patches, {"patches": patches}),
        "check_boxes": (find("check_boxes"), {"parts": [box]}),
        "encode": (detection.encode, {"boxes": box, "targets": box}),
        "decode": (detection.decode, {"boxes": box, "deltas": np.zeros((2, 4), np.float32)}),
        "suppress": (detection.suppress, {"boxes": box, "scores": np.array([0.5, 0.4]), "overlap": 0.3}),
    }


def _trained() -> dict:
    """Detectors, segmenters, fine-tuning, probes: a step each."""
    from PIL import Image

    for i, picture in enumerate(pictures(4, height=36, width=36)[2:]):
        Image.fromarray(picture.transpose(1, 2, 0)).save(f"{i}.png")
    folder, images, y = find("ImageFolder")("."), pictures(6, height=28, width=28), np.arange(6) % 3
    box, masks = np.array([[0, 0, 9, 9]], np.float32), [np.zeros((36, 36), np.uint8)] * 2
    voc, detection, segmentation, tuning = (
        home(name) for name in ("overlaps", "train_detector", "train_segmenter", "fine_tune")
    )
    objects = [voc.Objects(box, np.array([3]), np.array([False]))] * 2
    source = find("image_source")(images, 24)
    shared = {"layers": "fc68", "batch_norm": "trained", "steps": 1, "learning_rate": 0.001, "seed": 0, "device": "cpu"}
    detected = {"network": _network(), "folder": folder, "truth": objects, "proposals": [box] * 2, **shared}
    detected |= {"step_every": 5, "regions": 4, "short": 36, "mirror": True, "normalise": False}
    tuned = {"network": _network(), "source": source, "truth": np.eye(3, dtype=np.int8)[y], **shared, "clip": 10.0}
    tuned |= {"batch_size": 2, "halve_every": 5, "weight_decay": 0.0, "scale": (0.1, 0.5), "shape": "square"}
    probed = {"network": _network(), "images": images, "labels": y, "test_images": images, "test_labels": y}
    probed |= {"size": 24, "epochs": 1, "batch_size": 6, "learning_rates": [0.1], "momentum": 0.9, "held_out": 0.2}
    marked = {"network": _network(), "folder": folder, "truth": masks, **shared, "momentum": 0.9}
    return {
        "train_detector": (detection.train_detector, detected),
        "detect": (
            detection.detect,
            {"detector": detection.FastRCNN(_network()), "folder": folder, "proposals": [box] * 2}
            | {"short": 36, "threshold": 0.05, "device": "cpu"},
        ),
        "FastRCNN": (detection.FastRCNN, {"network": _network(), "n_classes": 20}),
        "train_segmenter": (segmentation.train_segmenter, {**marked, "weight_decay": 0.0, "n_classes": 21}),
        "segment": (
            segmentation.segment,
            {"segmenter": segmentation.FullyConvolutional(_network()), "folder": folder, "device": "cpu"},
        ),
        "FullyConvolutional": (segmentation.FullyConvolutional, {"network": _network(), "n_classes": 21}),
        "trained_parameters": (
            tuning.trained_parameters,
            {"network": _network(), "layers": "all", "batch_norm": "trained"},
        ),
        "fine_tune": (tuning.fine_tune, {**tuned, "fresh": True, "statistics": "pre-trained"}),
        "class_scores": (
            tuning.class_scores,
            {"network": _network(), "source": source, "crops": 1, "scale": (0.1, 0.5), "shape": "square"}
            | {"seed": 0, "device": "cpu"},
        ),
        "linear_probes": (find("linear_probes"), {**probed, "weight_decay": 1e-4, "seed": 0, "device": "cpu"}),
    }


ROOMS = {calls.__name__[1:]: calls for calls in (_graphs, _rows, _losses, _retrieval, _scores, _pictured, _trained)}


def found_in(room: str) -> dict[str, str]:
    """The outcomes of a room's calls, by "room.function.argument" without spaces."""
    return {f"{room}.{name}".replace(" ", "-"): letters for name, letters in outcomes(ROOMS[room]()).items()}


def _witness(room: str):
    def witness() -> dict[str, np.ndarray]:
        known = "_MOST = 2**31" in inspect.getsource(home("check_integer"))  # the last of the changes that it tells of
        letters = found_in(room) if known else {n: s for n, s in due().items() if n.startswith(f"{room}.")}
        return {name: np.array(text) for name, text in letters.items()}

    return witness


def powers() -> dict[str, np.ndarray]:
    """Boosted targets whose powers no number holds, beside logarithms of one sample after the other."""
    target, known = find("boosted_target"), hasattr(home("held"), "array_of")
    scores = np.array([[0.2, 0.8, 0.0], [0.5, 0.5, 0.0], [0.7, 0.2, 0.1], [0.0, 0.0, 1e-9], [0.0, 0.0, 0.0]])
    found = {}
    for kind in (np.float32, np.float64):
        for alpha in (50.0, 1e3, 1e6):
            found[f"{kind.__name__} {alpha:g}"] = np.array(not known or _is_boosted(target, scores.astype(kind), alpha))
    for alpha in (2.0, 3.7, 5.3):  # powers that are just large enough to be summed as they are
        low = 1.5e-30 ** (1 / alpha) * np.array([0.95, 0.98, 1.0])
        found[f"summed {alpha}"] = np.concatenate([target(np.array([[1 - s, s], [1, 0]]), alpha) for s in low])
    return found


def _is_boosted(target, scores: np.ndarray, alpha: float) -> bool:
    import torch
    from scipy.special import logsumexp

    with np.errstate(divide="ignore"):
        powers = alpha * np.log(scores.astype(np.float64))
    shares = powers - [logsumexp(column) for column in powers.T]
    due = [np.exp(row - logsumexp(row)) if np.isfinite(row).any() else np.full(3, 1 / 3) for row in shares]
    found = target(scores, alpha)
    near = np.allclose(found, due, atol=1e-3 if scores.dtype == np.float32 else 1e-9)
    same = np.allclose(target(torch.from_numpy(scores), alpha).numpy(), found, atol=1e-6)
    return bool(near and same and found.dtype == scores.dtype)


WITNESSES = {f"odd_{room}": _witness(room) for room in ROOMS}
WITNESSES["powers"] = powers


if __name__ == "__main__":
    import os
    import tempfile

    with tempfile.TemporaryDirectory() as _folder:
        os.chdir(_folder)
        _lines = [f"{name} {letters}\n" for room in ROOMS for name, letters in found_in(room).items()]
    _said = '"""What is due of every odd call, as :mod:`witnesses.odd_calls` writes it."""'
    _OUTCOMES.write_text(f'{_said}\n\nDUE = """\n{"".join(_lines)}"""\n', encoding="utf-8")
