"""The number of clusters: the rule, its curve and the runs that compare it with others."""

import tempfile
import warnings
from pathlib import Path

import numpy as np

from witnesses._data import blobs, digits, error_of, rng
from witnesses._find import find, holding, home
from witnesses._sets import plain, refusals, registered
from witnesses.narrow import _same


def number_of_clusters() -> dict[str, np.ndarray]:
    """Every cut of a tree on groups of very different sizes, doubles and points alone; the runs on digits."""
    runs = home("count_clusters", "images")
    found: dict[str, np.ndarray] = {}
    pairs: dict = {}
    estimate, lengths, mutual = find("estimate", "images"), find("description_lengths"), find("mutual_edges")
    kinds = (
        ("wide", blobs((80, 60, 40, 20), 6)),
        ("groups", blobs((25, 12, 8, 3, 1), 5)),
        ("few", blobs((4, 2), 3)),
        ("one", blobs((30,), 4)),
    )
    for name, rows in kinds:
        case = runs.prepared(rows, 1)
        k, curve = _due(case, lengths, mutual)
        chosen = estimate(case.tree, case.neighbours)
        pairs |= {
            f"{name}.k": (lambda case=case: estimate(case.tree, case.neighbours).n_clusters, k),
            f"{name}.curve": (lambda chosen=chosen: chosen.description_length.round(8), curve.round(8)),
            f"{name}.others": (lambda chosen=chosen: chosen.alternatives, _minima(curve, k)),
            f"{name}.price": (
                lambda case=case: estimate(case.tree, case.neighbours, price=2.0).n_clusters,
                _due(case, lengths, mutual, 2.0)[0],
            ),
        }
        found[f"{name}.plain"] = lengths(case.tree, mutual(case.neighbours))
        near = np.stack([case.neighbours[:, 0], np.arange(len(rows))], axis=1)
        for kind, shares in (("first", (1, 0.5)), ("second", (0.5, 1)), ("quarter", (0.9, 0.25))):
            due = lengths(case.tree, near)
            pairs[f"{name}.{kind}"] = (
                lambda case=case, shares=shares: _by_nearest(case, shares).round(8),
                due.round(8),
            )
    found |= _same(home("estimate", "number_of_clusters"), "def curve", pairs)
    with registered() as sets:
        images, labels = digits((40, 30, 20, 12))
        sets["digits"] = type(sets["digits"])(images, labels, "digits")
        for method in ("Description length", "Planted partition", "Largest drop", "Silhouette", "Eigengap", "HDBSCAN"):
            found |= plain(runs.count_clusters("digits", method, features="pixels"), method)
        found |= plain(runs.count_clusters("digits", "Description length", features="pixels", size=60), "drawn")
        found |= plain(runs.count_on_subsets("digits", features="pixels", draws=4, seed=2), "subsets")
        found |= plain(runs.count_clusters("digits", "Description length", features="cnn", size=20), "activations")
        found |= plain(runs.count_one_class("digits", features="pixels"), "one class")
        found |= refusals(runs.count_clusters, [{"method": "x"}, {"size": 19}, {"features": "x"}], dataset="digits")
    return found


def _due(case, lengths, mutual, price=0.6) -> tuple[int, np.ndarray]:
    """The number of clusters and its curve, written out."""
    n = len(case.rows)
    most = min(max(min(round(n**0.5 / 2), 20), 5), n - 1)
    edges = [mutual(case.neighbours[:, : max(min(5, most), round(most / part))]) for part in (1, 2, 4)]
    curves = [lengths(case.tree, some, price * np.log(n)) * len(edges[0]) / len(some) for some in edges]
    curve = sum(curves) / 3
    return int(curve.argmin()) + 1, curve


def _by_nearest(case, shares) -> np.ndarray:
    """The curve on the edges to nearest neighbours, without a price; the narrower graph is without edges."""

    def edges_of(near):
        edges = np.stack([near[:, 0], np.arange(len(near))], axis=1)
        return edges if len(near) < 100 or near.shape[1] > 5 else edges[:0]

    return find("curve", "number_of_clusters")(case.tree, case.neighbours, price=0, shares=shares, edges_of=edges_of)


def _minima(curve: np.ndarray, k: int) -> list[int]:
    inner = [i for i in range(len(curve)) if all(curve[i] < curve[j] for j in (i - 1, i + 1) if 0 <= j < len(curve))]
    return [i + 1 for i in sorted(inner, key=lambda i: curve[i]) if i + 1 != k][:2]


def methods() -> dict[str, np.ndarray]:
    """A part of a set as a person's folder: its number of clusters given and not; a revision that cannot is silent."""
    runs = home("cluster_as_folder", "images")
    found: dict[str, np.ndarray] = {}
    with registered() as sets:
        images, labels = digits((20, 15, 9))
        sets["digits"] = type(sets["digits"])(images, labels, "digits")
        for method, known, size in (("gdl", True, 500), ("gdl", False, 500), ("kmeans", True, 30)):
            how = {"features": "pixels", "known": known, "size": size}
            made = runs.cluster_as_folder("digits", method, **how)
            timed = {name: value for name, value in made.items() if not name.startswith("seconds")}
            found |= plain(timed, f"{method} {known} {size}") | {f"{method} {known} {size}": np.array(sorted(made))}
        seen = runs.cluster_as_folder("digits", "kmeans", features="cnn", size=20)
        found["by activations"] = np.array([seen["accuracy"], seen["nmi_geometric"]])
        found |= _result_folder()
        cases = [{"method": "x"}, {"size": 19}, {"features": "x"}, {"method": "jule"}, {"seed": -1}]
        cases.append({"method": "DEC", "features": "pixels", "known": False})
        found |= refusals(runs.cluster_as_folder, cases, dataset="digits")
    return found


def _result_folder() -> dict[str, np.ndarray]:
    """The clusters of a few pictures, and a folder that cannot be the result's."""
    from PIL import Image

    cluster_folder = find("cluster_folder", "images")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "in").mkdir()
        for i, image in enumerate(digits((5, 5))[0]):
            Image.fromarray(image[0]).save(place / "in" / f"{i}.png")
        how = {"clusters": 2, "features": "pixels", "cache": place / "cache", "verbose": False}
        calls = []
        # the page's template is a file, which no revision has whose modules are held in memory
        with holding(home("check_target", "images"), write=lambda *given: calls.append(given[2].name + str(given[3]))):
            made = cluster_folder(place / "in", out=place / "out", folders="copy", **how)
        inside = error_of(cluster_folder, place / "in", out=place / "in" / "out", **how)
        too_many = error_of(cluster_folder, place / "in", **{**how, "clusters": 99})
    return {
        "cut": made.cut(3).labels,
        "labels of a folder": made.labels,
        "files": np.array(made.files),
        "written": np.array(calls),
        "inside": inside,
        "too many": too_many,
    }


def left_by_a_killed_fit() -> dict[str, np.ndarray]:
    """A system's state lies beside the cache in use, is gone on from, begun anew where that cannot be, and cleared."""
    clusters, systems = home("cluster_folder", "images"), home("_dbc_codes", "images")
    pairs = {  # as text: lists of several lengths are no array
        kind: (lambda kind=kind: repr(_killed(clusters, systems, kind)), repr(due)) for kind, due in _KILLED.items()
    }
    return _same(clusters, "def _left_of", pairs)


_KILLED = {
    "nothing": (1, "ended", [], []),
    "gone on": (2, "ended", ["begun"], []),
    "another": (3, "ended", ["begun", None], []),
    "damaged": (3, "ended", ["begun", None], []),
    "own error": (1, "UsageError", [None], ["begun"]),
    "two": (2, "ended", ["begun"], ["beside"]),
    "k-means": (1, "ended", [], []),
}


def _killed(clusters, systems, kind: str) -> tuple[int, str, list, list]:
    """Fits made, how the last call ended, what fits after the first found, and what lies there in the end."""
    errors = home("UsageError", "errors")
    fits: list = []

    def fit(data, k, seed, checkpoint, device):
        fits.append(None if checkpoint is None or not checkpoint.exists() else checkpoint.read_text(encoding="utf-8"))
        if checkpoint is None:
            return systems.kmeans(data, k, seed)
        if kind in ("another", "damaged") and fits[-1]:
            raise errors.UsageError("another") if kind == "another" else errors.DataCorrupt("damaged")
        if kind != "nothing" and not fits[-1] and len(fits) < 3:
            checkpoint.write_text("begun", encoding="utf-8")
            checkpoint.with_name(f"{checkpoint.name}.more").write_text("begun", encoding="utf-8")
            raise errors.UsageError("no") if kind == "own error" else KeyboardInterrupt
        return systems.kmeans(data, k, seed)

    from PIL import Image

    method = "kmeans" if kind == "k-means" else "gsnmf"
    with tempfile.TemporaryDirectory() as name:
        place, folder = Path(name), Path(name, "in")
        folder.mkdir()
        for i, image in enumerate(digits((6, 6))[0]):
            Image.fromarray(image[0]).save(folder / f"{i}.png")
        how = {"clusters": 2, "features": "pixels", "method": method, "cache": place / "own", "verbose": False}
        usual = systems.SYSTEMS[method]
        systems.SYSTEMS[method] = type(usual)(usual.reads, fit, usual.embedder)
        try:
            for call in range(2 if kind in ("gone on", "another", "damaged", "two") else 1):
                if kind == "two" and call:
                    (place / "own.running" / "other").write_text("beside", encoding="utf-8")
                try:
                    clusters.cluster_folder(folder, **how)
                    ended = "ended"
                except (KeyboardInterrupt, errors.UsageError, errors.DataCorrupt) as error:
                    ended = type(error).__name__
        finally:
            systems.SYSTEMS[method] = usual
        left = place / "own.running"
        lies = sorted({file.read_text(encoding="utf-8") for file in left.iterdir()}) if left.exists() else []
    return len(fits), ended, fits if kind == "own error" else fits[1:], lies


def few_images_to_jule() -> dict[str, np.ndarray]:
    """Where JULE begins on a small folder and how long it trains; what is said of a fit that is not trained."""
    systems = home("_dbc_codes", "images")

    class Asked:
        batch_size, epochs, n_neighbors, a, unrolling_rate = 100, 20, 20, 1.0, 0.9

        def __init__(self, n_clusters: int = 0, epochs: int = 20, start: str = "", **how) -> None:
            self.how = (epochs, start)

        def fit(self, images: np.ndarray) -> "Asked":
            self.labels_, self.embedding_, self.network_ = self.how, images, self
            return self

        def state_dict(self) -> dict:
            return {}

    def asked(images: np.ndarray, k: int) -> tuple:
        with holding(home("JULE", "estimator"), JULE=Asked):
            made = systems.jule(images, k, 0)
        return (*made.labels, *made.notes)

    pairs: dict = {}
    for n in (40, 301, 500, 1001):
        images = rng(n).integers(0, 256, (n, 1, 3, 3)).astype(np.uint8)
        near = _initial(images)
        for k in {2, near - 1, near, near + 1, max(near + 1, n // 4), n - 1}:
            pairs[f"{n} {k}"] = (lambda images=images, k=k: asked(images, k), _jule_due(n, near, k))
    found = _same(systems, "_LEAST_STEPS", pairs)
    warn = home("JULE", "estimator").warn_of_few_steps
    cases = {"none": (0, 500), "one": (0, 0), "few": (2, 74), "as few": (1, 1), "enough": (2, 75), "at once": (1, 150)}
    due = {"none": "not trained", "one": "not trained", "few": "148 steps", "as few": "1 steps"}
    pairs = {
        name: (lambda case=case, name=name: _said(warn, *case, due.get(name)), True) for name, case in cases.items()
    }
    fits = {"last": {"train_last": True}, "first": {}, "merges": {"train_first": False}}
    pairs |= {f"a fit: {name}": (lambda how=how: _untrained(**how), name != "last") for name, how in fits.items()}
    return found | _same(home("warn_of_few_steps", "unrolling"), "def periods_of", pairs)


def _initial(images: np.ndarray) -> int:
    n = len(images)
    rows = images.reshape(n, -1).astype(float)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    graph = find("affinity_graph", "kernels")(rows.astype(np.float32), min(20, n - 1), 1.0)
    return int(find("initial_clusters", "kernels")(graph).max()) + 1


def _jule_due(n: int, near: int, k: int) -> tuple:
    """Epochs and start, written out; and the sentences."""
    start, begun, notes = "neighbours", near, []
    if near <= k:
        start, begun = ("kmeans", (n + 3) // 4) if n > 4 * k else ("singletons", n)
        notes = [f"JULE begins with {begun:,} clusters ({start}) in place of {near}, of neighbours: k is {k}"]
    periods, left = 0, begun
    while left > k:
        left, periods = max(k, left - int(np.ceil(0.9 * left - 1e-9))), periods + 1
    epochs = max(20, int(np.ceil(200 / (periods * int(np.ceil(n / 100))))))
    if epochs > 20:
        notes.append(f"JULE trains {epochs} epochs a period in place of 20: {n} images")
    return (epochs, start, *notes)


def _said(warn, periods: int, steps: int, part: str | None) -> bool:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        warn(periods, steps)
    return part in str(heard[0].message) if part else not heard


def _untrained(**how) -> bool:
    """Whether a fit to as many clusters as there are, or to one fewer by merging first, says that it trains nothing."""
    images, _ = digits((30, 30))
    k = _initial(images) - (not how.get("train_first", True))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        find("JULE", "estimator")(k, epochs=1, **how).fit(images)
    return any("not trained" in str(one.message) for one in heard)


WITNESSES = {
    "number-of-clusters": number_of_clusters,
    "methods-on-a-folder": methods,
    "few-images-to-jule": few_images_to_jule,
    "left-by-a-killed-fit": left_by_a_killed_fit,
}
