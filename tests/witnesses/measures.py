"""Scores, and the checks of what goes in."""

import io
import sqlite3
import tempfile
import warnings
from contextlib import redirect_stderr
from pathlib import Path
from typing import ClassVar

import numpy as np

from witnesses._data import blobs, digits, error_of, errors_of, grid_points, pictures, rng
from witnesses._find import find, holding, home


def scores() -> dict[str, np.ndarray]:
    """Labelings with more and fewer clusters than classes, equal ones, single ones; neighbours at equal distances."""
    accuracy, nmi, purity = find("accuracy"), find("nmi"), find("purity")
    r = rng(3)
    y = np.repeat([0, 1, 2, 7], [20, 9, 3, 1])
    pairs = {
        "more": (y, r.integers(0, 9, len(y))),
        "fewer": (y, (y > 1) + 0),
        "same": (y, 5 - y),
        "one": (y, y * 0),
        "none": (y * 0, y * 0),
        "each": (y, np.arange(len(y))),
        "floats": ((y - 2.0).tolist(), (y // 2).tolist()),
        "large": ([-1, 2**63, 2**63 - 1], [0, 1, 1]),
    }
    found: dict[str, np.ndarray] = {}
    for name, (a, b) in pairs.items():
        averages = {f"nmi {kind}": nmi(a, b, kind) for kind in ("max", "min", "geometric", "arithmetic")}
        values = {"accuracy": accuracy(a, b), "purity": purity(a, b), "purity back": purity(b, a), **averages}
        found |= {f"{name}.{what}": np.array(value) for what, value in values.items()}
    wrong = {
        "lengths": (([0, 1], [0]), {}),
        "empty": (([], []), {}),
        "rank": (([[0]], [[0]]), {}),
        "half": (([0.5], [0]), {}),
        "nan": ((np.array([np.nan]), [0]), {}),
        "text": ((["a"], [0]), {}),
        "ragged": (([[0], [0, 1]], [0, 1]), {}),
        "inf": ((np.array([np.inf]), [0]), {}),
        "bool": (([True, False], [0, 1]), {}),
        "object": (([None], [0]), {}),
    }
    found |= errors_of(accuracy, wrong)
    found |= {f"nmi.{name}": value for name, value in errors_of(nmi, {"average": (([0, 1], [1, 1], "x"), {})}).items()}
    return found | _of_features()


def _of_features() -> dict[str, np.ndarray]:
    knn_purity, one_nn, trust = find("knn_purity"), find("one_nn_error"), find("trustworthiness")
    X, y = grid_points(30), np.arange(30) % 4
    found = {
        "purity 3": np.array(knn_purity(X, y, 3)),
        "purity all": knn_purity(X, y, [1, 2, 29]),
        "1nn": np.array(one_nn(X, y)),
        "1nn test": np.array(one_nn(X, y, blobs((9, 4), 3), np.arange(13) % 3)),
        "trust": np.array(trust(X, X[:, :1], 4)),
        "trust 14": np.array(trust(X, blobs((20, 10), 2), 14)),
    }
    with holding(home("trustworthiness"), **{}):
        found["trust of one"] = np.array(trust(X[:5], X[:5, 1:2], 2))
    found |= errors_of(knn_purity, {f"k {k!r}": ((X, y, k), {}) for k in (0, 1, 29, 30, [], [1, 30], 1.5)})
    found |= {
        f"trust.{n}": v
        for n, v in errors_of(trust, {f"{k!r}": ((X, X, k), {}) for k in (0, 14, 15, True, 2.0)}).items()
    }
    halves = {
        "labels": ((X, y), {"test_labels": y}),
        "width": ((X, y, X[:, :2], y), {}),
        "y": ((X, y[:3]), {}),
        "n": ((X[:1], y[:1]), {}),
    }
    return found | {f"1nn.{n}": v for n, v in errors_of(one_nn, halves).items()}


def checks() -> dict[str, np.ndarray]:
    """What is refused, at the boundary of what is not, and what the accepted becomes."""
    features, images = find("check_features"), find("check_images")
    integer, n_clusters = find("check_integer"), find("check_n_clusters")
    ones = np.ones((4, 3))
    found = {
        "fortran": features(np.asfortranarray(ones)),
        "bool": features(ones > 0),
        "halves": features(ones.astype(np.float16)),
    }
    found |= {
        "three": images(np.ones((2, 3, 3))),
        "bytes": images(np.ones((2, 1, 3, 3), np.uint8)),
        "f": images(np.ones((2, 1, 3, 3))),
    }
    root3 = 3**0.5
    cases = {
        "text": ((np.array([["a"]]),), {}),
        "rank": ((np.ones(3),), {}),
        "empty": ((np.ones((0, 3)),), {}),
        "nan": ((ones * np.nan,), {}),
        "inf": ((ones * np.inf,), {}),
        "negative": ((-ones,), {"nonnegative": True}),
        "zero": ((ones * 0,), {"nonnegative": True}),
        "few": ((ones,), {"minimum": 5}),
        "enough": ((ones,), {"minimum": 4}),
        "clusters": ((ones, 5), {}),
        "as many": ((ones, 4), {}),
        "32": ((ones * 4e18 / root3 * 1.001,), {}),
        "32 below": ((ones * 4e18 / root3 * 0.999,), {}),
        "64": ((ones * -6e153 / root3 * 1.001,), {"distances": "float64"}),
        "64 below": ((ones * -6e153 / root3 * 0.999,), {"distances": "float64"}),
    }
    found |= {f"features.{name}": value for name, value in errors_of(features, cases).items()}
    pictures = np.ones((4, 1, 3, 3))
    cases = {
        "text": ((np.array([[["a"]]]),), {}),
        "rank": ((ones,), {}),
        "empty": ((pictures[:0],), {}),
        "nan": ((pictures * np.nan,), {}),
        "shape": ((pictures,), {"shape": (1, 3, 4)}),
        "its shape": ((pictures,), {"shape": (1, 3, 3)}),
        "few": ((pictures,), {"minimum": 5}),
        "enough": ((pictures,), {"minimum": 4}),
        "clusters": ((pictures, 5), {}),
        "as many": ((pictures, 4), {}),
    }
    found |= {f"images.{name}": value for name, value in errors_of(images, cases).items()}
    values = (0, 1, 2, -1, True, 1.0, "1", np.int64(1), None)
    found |= {
        f"integer.{n}": v for n, v in errors_of(integer, {f"{v!r}": (("size", v, 1), {}) for v in values}).items()
    }
    return found | {
        f"k.{n}": v for n, v in errors_of(n_clusters, {f"{v!r}": ((v, 3), {}) for v in (0, 1, 3, 4, 1.0)}).items()
    }


def said() -> dict[str, np.ndarray]:
    """Warnings of fewer clusters than were asked for, options looked at by name, a picture cache whose disk is full.

    A revision that has none of the first two is taken to say what it should.
    """
    found: dict[str, np.ndarray] = {}
    known = _warns_of_fewer()
    for labels, k, due in (([0, 1, 1], 3, 1), ([0, 1, 1], 2, 0), ([0, 1, 1], 1, 0), ([0, 1], None, 0)):
        warned = _warnings(lambda y=labels, k=k: find("warn_of_fewer")(np.array(y), k)) if known else due
        found[f"{labels} {k}"] = np.array(warned)
    cases = [None, {}, {"filters": 2}, {"filters": 0}, {"filters": True}, {"x": 1}, {"padding": 0}]
    if known:
        network = find("NETWORK", "jule")
        found |= {str(case): error_of(find("check_options"), "network", case, network) for case in cases}
    else:
        refused = ["refused" if case in cases[3:6] else "ran" for case in cases]
        found |= {str(case): np.array(name) for case, name in zip(cases, refused, strict=True)}
    return found | _without_disk()


def parameters() -> dict[str, np.ndarray]:
    """Parameters, and the dicts among them, looked at by name; a revision without the latter gives what is due."""
    from numbers import Integral

    from sklearn.base import BaseEstimator
    from sklearn.utils._param_validation import Interval

    size = [Interval(Integral, 1, None, closed="left")]

    class Closed:
        def get_params(self, deep=True):
            raise ValueError("nobody asks for these")

    class Made(BaseEstimator):
        _parameter_constraints: ClassVar[dict] = {
            "size": size,
            "fast": ["boolean"],
            "options": [dict, None],
            "inner": "no_validation",
        }

        def __init__(self, size=2, fast=True, options=None, inner=None):
            self.size, self.fast, self.options, self.inner = size, fast, options, inner

        def _options(self):
            return {"options": {"width": size, "bias": ["boolean"]}}

    check, known = find("check_parameters"), hasattr(home("check_parameters"), "_check_each")
    wide = [{"width": 3}, {"width": 0}, {"width": True}, {"depth": 1}, {"bias": True}, {}]
    due = dict(zip(map(str, wide), ["ran", "refused", "refused", "refused", "ran", "ran"], strict=True))
    cases = [{}, {"size": 0}, {"size": True}, {"fast": 1}, {"size": np.int64(3)}, {"inner": Closed()}]
    found = {}
    for case in [*cases, *({"options": each} for each in wide)]:
        made, name = Made(**case), str({key: type(value).__name__ for key, value in case.items()})
        name += "" if "inner" in case else str(case)[:40]
        said = error_of(check, made)
        if "options" in case and not known:
            said = np.array(due[str(case["options"])])
        found |= {name: said, f"{name}.size": np.array(type(made.size).__name__)}
    return found | {"instead": error_of(check, Made(None), size=4), "instead, wrong": error_of(check, Made(), size=0)}


def said_by_dbc() -> dict[str, np.ndarray]:
    """A fit that finds three clusters, of which more are asked for."""
    images = np.repeat(digits((3, 3, 3))[0][[0, 3, 7]], 10, axis=0)
    small = find("FCAEFeatures")(epochs=1, whiten=2, random_state=0, device="cpu")
    how = {"features": small, "discriminant": False, "epochs": 1, "device": "cpu"}
    return _fewer(lambda k: find("DBC")(k, **how).fit(images))


def said_by_deepcluster() -> dict[str, np.ndarray]:
    """The same of the other system that can find fewer."""
    images = np.repeat(pictures(3), 10, axis=0)
    how = {"network": "vgg16", "network_options": {"width": 0.02}, "image_size": 32, "epochs": 1, "n_components": 4}
    how |= {"batch_size": 10, "random_state": 0, "device": "cpu", "verbose": False}
    return _fewer(lambda k: find("DeepCluster")(k, **how).fit(images))


def _fewer(fit) -> dict[str, np.ndarray]:
    """The warnings of a fit that was asked for two clusters and for six; a revision without them gives what is due."""
    warned = [_warnings(lambda k=k: fit(k)) for k in (2, 6)]
    return {"warned": np.array(warned if _warns_of_fewer() else [0, 1])}


def _warns_of_fewer() -> bool:
    return hasattr(home("check_integer"), "warn_of_fewer")


def _warnings(call) -> int:
    """How many warnings of fewer clusters a call gives."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        call()
    return sum("fewer than n_clusters" in str(each.message) for each in said)


def _without_disk() -> dict[str, np.ndarray]:
    module = home("Store", "images")
    row = module.Row((None, b"vector", b"thumbnail"))
    with tempfile.TemporaryDirectory() as folder, module.Store(f"{folder}/pictures") as store:
        store.keep_picture(b"before", "rule", row)
        store.commit()
        store.keep_picture(b"after", "rule", row)
        if not hasattr(store, "_since_commit"):  # such a store waits for itself for ever
            store.commit()
        with redirect_stderr(io.StringIO()):
            store._go_to_memory(sqlite3.OperationalError("full"))
        kept = store.known("rule", [b"before", b"after", b"never"])
    return {"kept": np.array(sorted(kept))}


def ties() -> dict[str, np.ndarray]:
    """Two groupings of equal cost, residuals that halve exactly, as many clusters as distinct rows."""
    axes = np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    labels, ratio = find("scatter_ratio_kmeans")(axes, 2, np.random.RandomState(0), n_init=8)
    stalled, of_few = find("_stalled"), find("warn_of_few_rows")
    found = {"labels": labels, "ratio": np.array(ratio)}
    for last in (0.4, 0.5, 0.6, 0.95):
        passes = [{"residual": value} for value in [1.0] * 3 + [last] * 25]
        found[f"stalled.{last}"] = np.array([stalled(passes), stalled(passes[:25])])
    rows = np.repeat(np.eye(3, dtype=np.float32), 2, axis=0)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found["few"] = np.array([of_few(k, rows, "") for k in (2, 3, 4)])
        found["few, grouped"] = np.array([of_few(k, rows, "", np.arange(6) // 2) for k in (3, 4)])
    return found | {"said": np.array(len(said))}


def image_sets() -> dict[str, np.ndarray]:
    """Draws, parts and pixels of sets with and without labels; a blank image; a folder's files; pairs of faces."""
    images, labels = digits((6, 5, 4))
    split = np.array(["train", "test", "extra"])[np.arange(len(images)) % 3]
    whole = find("ImageSet")(images, labels, "made", split=split, files=[f"{i}.png" for i in range(len(images))])
    colour = find("ImageSet")(pictures(5, height=6, width=8), None, "colour")
    found = {f"pixels.{norm}": whole.pixels(norm) for norm in ("l2", "unit", None)} | {"colour": colour.pixels()}
    drawn = {f"take {n} {seed}": whole.take(n, seed) for n, seed in ((1, 0), (7, 0), (7, 1), (len(images), 2))}
    drawn |= {part: whole.part(part) for part in whole.parts}
    for name, few in drawn.items():
        found |= {f"{name}.images": few.images, f"{name}.labels": few.labels, f"{name}.files": np.array(few.files)}
        found[f"{name}.of"] = np.array([few.name, *few.parts, few.checksum])
    found["without labels"] = colour.take(3, 0).images
    found["told"] = np.array([repr(whole), repr(colour), str(whole.n_classes), str(colour.n_classes), str(len(colour))])
    found |= errors_of(whole.take, {f"{n} {s}": ((n, s), {}) for n, s in ((0, 0), (99, 0), (2, -1), (2.5, 0))})
    found |= errors_of(whole.part, {"part": (("valid",), {})}) | errors_of(colour.part, {"none": (("train",), {})})
    found |= errors_of(whole.pixels, {"norm": (("l1",), {})})
    made, files = find("ImageSet"), tuple("abcdefghijklmno")
    wrong = {
        "rank": ((images[0], labels, ""), {}),
        "floats": ((images / 2, labels, ""), {}),
        "empty": ((images[:0], labels[:0], ""), {}),
        "labels": ((images, labels[1:], ""), {}),
        "halves": ((images, labels / 2, ""), {}),
        "split": ((images, labels, ""), {"split": split[1:]}),
        "files": ((images, labels, ""), {"files": files[1:]}),
        "right": ((images, labels, ""), {"files": files, "class_names": [0, 1, 2]}),
    }
    return found | errors_of(made, wrong) | _of_a_folder(images) | _pairs()


def _of_a_folder(images: np.ndarray) -> dict[str, np.ndarray]:
    from PIL import Image

    with tempfile.TemporaryDirectory() as name:
        for i, image in enumerate(images[:6]):
            place = Path(name) / "ab"[i % 2]
            place.mkdir(exist_ok=True)
            Image.fromarray(image[0]).save(place / f"{i}.png")
        (Path(name) / "a" / "text.png").write_text("no picture", encoding="utf-8")
        folder = find("ImageFolder")(name)
        read = [folder.read(i) for i in range(len(folder))]
        few = folder.only(np.array([0, 3, 5]))
        return {
            "folder.files": np.array(folder.files),
            "folder.labels": folder.labels,
            "folder.classes": np.array(folder.class_names),
            "folder.read": np.stack([np.asarray(image) for image in read if image is not None]),
            "folder.unreadable": np.array([f"{i}: {why}" for i, why in folder.unreadable.items()]),
            "folder.only": np.array([few.files, few.labels.astype(str)]),
            "folder.only's": np.array([len(few), len(few.unreadable)]),
        }


def _pairs() -> dict[str, np.ndarray]:
    pairs_within, people = find("pairs_within"), np.repeat(np.arange(9), [1, 2, 3, 4, 2, 5, 3, 2, 1])
    drawn = {"two": pairs_within(people, 2, 4), "three": pairs_within(people, 3, 100, 1)}
    found = {f"pairs.{name}.{i}": column for name, pairs in drawn.items() for i, column in enumerate(pairs)}
    cases = {"folds": ((people, 1), {}), "persons": ((people, 5), {}), "alone": ((np.arange(9), 2), {})}
    return found | errors_of(pairs_within, cases)


WITNESSES = {
    "said": said,
    "said-by-dbc": said_by_dbc,
    "said-by-deepcluster": said_by_deepcluster,
    "scores": scores,
    "checks": checks,
    "parameters": parameters,
    "ties": ties,
    "image-sets": image_sets,
}
