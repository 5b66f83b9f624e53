"""Numbers at the edge of their type: NumPy's small integers, neighbouring floats, labels that a mask hides.

Each outcome is compared with what the same call gives with plain numbers; a revision from before is taken to agree.
"""

import contextlib
import inspect
import os
import sqlite3
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from witnesses._data import pictures, rng
from witnesses._find import find, home
from witnesses.refusals import _asked


def _same(definition, marker: str, pairs: dict) -> dict[str, np.ndarray]:
    """Whether a call and the value that is due agree, or why not."""
    known = marker in inspect.getsource(definition)
    return {name: _agree(call, due) if known else np.array("as due") for name, (call, due) in pairs.items()}


def _agree(call, due) -> np.ndarray:
    try:
        return np.array("as due" if np.array_equal(call(), due) else "otherwise")
    except Exception as error:
        return np.array(type(error).__name__)


def purities() -> dict[str, np.ndarray]:
    X, y = rng(3).normal(size=(300, 3)), np.arange(300) % 7
    purity = find("knn_purity")
    ks = np.array([5, 120, 200])
    pairs = {kind: (lambda kind=kind: purity(X, y, ks.astype(kind)), purity(X, y, ks)) for kind in ("i2", "u1", "i8")}
    return _same(purity, "astype(np.int64)", pairs)


def trusts() -> dict[str, np.ndarray]:
    X, trust = rng(3).normal(size=(300, 3)), find("trustworthiness")
    due = trust(X, X[:, :2], 120)
    pairs = {kind: (lambda kind=kind: trust(X, X[:, :2], np.dtype(kind).type(120)), due) for kind in ("i1", "u1", "i2")}
    return _same(trust, "int(n_neighbors)", pairs)


def masks() -> dict[str, np.ndarray]:
    score, scores, y = find("accuracy"), find("scores", "metrics"), [0, 0, 1, 1]
    hidden, bare = np.ma.array(y, mask=[0, 0, 0, 1]), np.ma.array(y)
    pairs = {
        "first": (lambda: _says(score, hidden, y), "masked"),
        "second": (lambda: _says(score, y, hidden), "masked"),
    }
    pairs |= {"bare": (lambda: _says(score, bare, y), "nothing"), "plain": (lambda: _says(score, y, y), "nothing")}
    large = {"clusters": (lambda: scores([0, 1, 1], [-1, 2**63, 2**63 + 1])["n_clusters"], 3)}
    return _same(find("_check_labels"), "is_masked", pairs) | _same(scores, "_check_labels", large)


def _says(function, *values) -> str:
    try:
        function(*values)
    except ValueError as error:
        return "masked" if "masked" in str(error) else str(error)
    return "nothing"


def thresholds() -> dict[str, np.ndarray]:
    best, up = find("best_threshold"), np.nextafter(1, 2)
    tests = {
        "neighbours": ([1.0, up], [0, 1], up),
        "beyond": ([1e17], [0], np.nextafter(1e17, np.inf)),
        "between": ([0.25, 0.75], [0, 1], 0.5),
        "all the same": ([0.25, 0.75], [1, 1], -0.75),
        "none": ([0.25, 0.75], [0, 0], 1.75),
        "too large to add": ([1e308, 1.5e308], [0, 1], 1.5e308),
    }
    pairs = {name: (lambda s=s, y=y: best(np.array(s), np.array(y)), due) for name, (s, y, due) in tests.items()}
    return _same(best, "nextafter", pairs)


def graphs() -> dict[str, np.ndarray]:
    """Neighbours that are not there, weights that are no numbers, counts in eight bits."""
    X = rng(5).normal(size=(240, 3))
    affinity_graph, link, knn, made = find("affinity_graph"), find("graph_linkage"), find("knn"), find("KnnGraph")
    graph = affinity_graph(X, 4)
    start = np.arange(240) // 2
    low, high = graph.indices.copy(), graph.indices.copy()
    low[7, 2], high[9, 1] = -1, 240
    nan, inf = graph.weights.copy(), graph.weights.copy()
    nan[3, 1], inf[0, 0] = np.nan, np.inf
    tests = {"right": (graph.indices, graph.weights, "ran"), "low": (low, graph.weights, "refused")}
    tests |= {"high": (high, graph.weights, "refused"), "nan": (graph.indices, nan, "refused")}
    tests["inf"] = (graph.indices, inf, "refused")
    cases = {n: (lambda i=i, w=w: link(made(i, w, 1.0), start), due) for n, (i, w, due) in tests.items()}
    found = _asked(find("_leaves", "linkage"), "must be finite", cases)
    tree, few = link(graph, start), np.int8(100)
    pairs = {"cut": (lambda: tree.labels(few), tree.labels(100))}
    found |= _same(find("MergeTree").labels, "int(n_clusters)", pairs)
    average = find("AverageLinkage")(3).fit(X)
    found |= _same(
        find("AverageLinkage").labels_at,
        "int(n_clusters)",
        {"average": (lambda: average.labels_at(few), average.labels_at(100))},
    )
    pairs = {"exact": (lambda: knn(X, few)[0], knn(X, 100)[0])}
    found |= _same(find("_exact_knn"), "int(k)", pairs)
    many = np.uint8(200)
    pairs = {"approximate": (lambda: knn(X, many, method="approximate")[0], knn(X, 200, method="approximate")[0])}
    return found | _same(find("approximate_knn"), "int(k)", pairs)


def loops() -> dict[str, np.ndarray]:
    """A switch of the walks that is none; nothing is merged, so that little else is gone through."""
    link, graph = find("graph_linkage"), find("KnnGraph")(np.array([[1], [0]], np.int32), np.ones((2, 1)), 1.0)
    values = ("no", 1, None)
    cases = {str(v): (lambda v=v: link(graph, np.arange(2), self_loops=v), "refused") for v in values}
    return _asked(link, "self_loops)", cases)


def places() -> dict[str, np.ndarray]:
    """Where a checkpoint may lie, and which parameters are another fit's."""
    kept = find("Checkpoint")
    with tempfile.TemporaryDirectory() as folder, open(f"{folder}/file", "w", encoding="utf-8"):
        cases = {
            name: (lambda place=place: kept(f"{folder}/{place}", {}), due)
            for name, place, due in (
                *(("free", "new", "ran"), ("deep", "a/b/c", "ran"), ("below a file", "file/x", "refused")),
                *(("folder", "", "refused"), ("long", "a" * 300, "refused"), ("zero", "a\0b", "refused")),
            )
        }
        cases["nowhere"] = (lambda: kept(None, {}), "ran")
        found = _asked(kept, "real_file", cases)

        def again(first: dict, then: dict) -> None:
            kept(f"{folder}/fit", first).save({"epoch": 1})
            kept(f"{folder}/fit", then).load()

        pairs = (({"gamma": 2.0}, {"gamma": 2}, "ran"), ({"gamma": 2}, {"gamma": 2.5}, "refused"))
        pairs += (({"gamma": 2}, {"gamma": 2, "a": 1}, "refused"), ({"gamma": "2"}, {"gamma": 2}, "refused"))
        cases = {str(i): (lambda a=a, b=b: again(a, b), due) for i, (a, b, due) in enumerate(pairs)}
        return found | _asked(kept, "json.loads(identity)", cases)


def parameters() -> dict[str, np.ndarray]:
    """Integers beyond every float; a switch of the SVM that is none."""
    check, svm = find("check_number"), find("svm_accuracy")
    tests = {"large": (10**400, "refused"), "small": (-(10**400), "refused"), "nan": (float("nan"), "refused")}
    tests |= {"inf": (float("inf"), "refused"), "whole": (3, "ran"), "most": (1e15, "ran"), "zero": (0, "refused")}
    cases = {name: (lambda value=value: check("a", value), due) for name, (value, due) in tests.items()}
    found = _asked(check, "beyond what", cases)
    X, y = np.eye(4), np.array([0, 0, 1, 1])
    cases = {
        str(value): (lambda value=value: svm(X, y, X, y, normalise=value), due)
        for value, due in ((True, "ran"), (False, "ran"), ("no", "refused"), (1, "refused"))
    }
    return found | {f"unit {name}": value for name, value in _asked(svm, 'check_flag("normalise"', cases).items()}


def centres() -> dict[str, np.ndarray]:
    """DeepCluster with more clusters than there are different images: a centre for each that has some."""
    deep = find("DeepCluster")
    images = np.repeat(pictures(4), 5, 0)
    how = {"network_options": {"width": 0.02, "kernel": 3, "stride": 1}, "image_size": 24, "n_components": 3}

    def nearest() -> np.ndarray:
        model = deep(9, epochs=1, batch_size=10, random_state=0, verbose=False, device="cpu", **how).fit(images)
        away = ((model.transform(images)[:, None] - model.cluster_centers_) ** 2).sum(2)
        return away.argmin(1) == model.labels_

    return _same(deep._assign, "centroids[numbers]", {"nearest": (nearest, np.ones(20, bool))})


def stores() -> dict[str, np.ndarray]:
    """The cache of features: whose file it may be, and one that is damaged at its head, inside, or in its tables."""
    made, module = find("Store", "images"), home("Store", "images")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "text").write_text("mine", encoding="utf-8")
        (folder / "empty").touch()
        (folder / "folder").mkdir()
        (folder / "short").write_bytes(b"SQLite format 3\0")
        with contextlib.closing(sqlite3.connect(folder / "other")) as other:
            other.execute("CREATE TABLE files (a)")
        for place, mark in (("marked", 1668052339), ("one more", 1668052340)):
            with contextlib.closing(sqlite3.connect(folder / place)) as begun:
                begun.execute(f"PRAGMA application_id = {mark}")
        due = {"text": "refused", "other": "refused", "folder": "refused", "short": "refused"}
        due |= {"marked": "ran", "one more": "refused"}
        due |= {"empty": "ran", "free": "ran", "free again": "ran"}

        def kept(place: str) -> None:
            with made(folder / place.removesuffix(" again")) as store:
                store.keep_picture(b"a", "rule", ("", b"", b""))
                assert store.known("rule", [b"a"]) == {b"a"}

        cases = {place: (lambda place=place: kept(place), said) for place, said in due.items()}
        found = _asked(module, "_check_own", cases)
        cases = {"other's": (lambda: module._open(folder / "other").execute("SELECT path FROM files"), "ran")}
        cases["written"] = (lambda: _written_over(made, folder / "written"), "refused")
        for page in (0, 1, 5, 11):
            cases[f"page {page}"] = (lambda page=page: _damaged(made, folder / f"own {page}", page), "ran")
        found |= _asked(module, "_begun_anew", cases)
        cases = {"kept from reading": (lambda: _without_table(made, folder / "kept"), "ran")}
        return found | _asked(module, "cannot be read", cases)


def _broken(made, path: Path, page: int) -> list[bytes]:
    """A store of which a page is written over; the keys of its rows."""
    keys = [b"%d" % i for i in range(300)]
    with made(path) as store:
        for key in keys:
            store.keep_picture(key, "rule", ("", b"v" * 99, b""))
            store.keep_file(key, "state", b"content")
    content, head = bytearray(path.read_bytes()), 16 * (page == 0)
    content[page * 4096 + head : page * 4096 + 64] = b"\xff" * (64 - head)
    path.write_bytes(content)
    return keys


def _without_table(made, path: Path) -> None:
    """What is not damage removes nothing: here a table that goes away between two questions."""
    with made(path) as store:
        store.keep_file(b"a", "state", b"content")
        store.commit()
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute("DROP TABLE files")
        try:
            store.contents([(b"a", "state")])
        except find("DataCorrupt") as error:
            assert "cannot be read" in str(error)
    assert path.exists()


def _written_over(made, path: Path) -> None:
    keys = _broken(made, path, 5)
    with made(path) as store:
        for key in keys:
            store.keep_picture(key, "rule", ("", b"w", b""))


def _damaged(made, path: Path, page: int) -> None:
    """Read from and write to a store with a damaged page: begun anew at once, or the next time."""
    keys, failed = _broken(made, path, page), []
    for _ in range(2):
        try:
            with made(path) as store:
                rows, states = list(store.rows("rule", keys)), store.contents([(key, "state") for key in keys])
                assert not rows
                assert not states
                store.keep_picture(b"new", "rule", ("", b"v", b""))
                store.commit()
                assert store.known("rule", [b"new"])
                break
        except find("DataCorrupt") as error:
            failed.append(str(error))
            assert "damaged" in str(error)
            assert not path.exists()
    assert len(failed) == (page in (5, 11))


def folders() -> dict[str, np.ndarray]:
    """The largest side that a folder's images may have, and the labels that they may take."""
    from PIL import Image

    load = find("load_folder", "images")
    with tempfile.TemporaryDirectory() as name:
        Image.fromarray(pictures(2)[0, 0]).save(f"{name}/one.png")
        tests = {
            "whole": ({"size": 4096}, "ran"),
            "larger": ({"size": 4097}, "refused"),
            "none": ({"size": 0}, "refused"),
        }
        tests |= {"labels": ({"size": 4, "labels": "folders"}, "ran"), "other": ({"size": 4, "labels": "x"}, "refused")}
        tests["number"] = ({"size": 4, "labels": 3}, "refused")
        cases = {
            n: (lambda how=how: load(name, cache=f"{name}-cache", verbose=False, **how), due)
            for n, (how, due) in tests.items()
        }
        return _asked(load, "LARGEST_SIZE", cases)


def running() -> dict[str, np.ndarray]:
    """Where a system's fit is kept while it runs: nowhere, where the cache cannot be made or written."""
    module, before = home("cluster_folder", "images"), os.environ.get("XDG_CACHE_HOME")

    def place(method: str, cache: str) -> bool:
        os.environ["XDG_CACHE_HOME"] = cache
        try:
            given = [method, np.zeros(3), 2, 0]
            if "store" in inspect.signature(module._checkpoint).parameters:  # since it lies beside the cache in use
                given.append(SimpleNamespace(path=Path(cache, "clustlib", "images", "pictures.sqlite")))
            return module._checkpoint(*given) is not None
        finally:
            os.environ.pop("XDG_CACHE_HOME")
            os.environ |= {} if before is None else {"XDG_CACHE_HOME": before}

    with tempfile.TemporaryDirectory() as name:
        Path(name, "file").touch()
        found = {  # as ever, so that a revision from before goes through it as well
            "there": _agree(lambda: place("jule", f"{name}/cache"), True),
            "again": _agree(lambda: place("jule", f"{name}/cache"), True),
            "kmeans": _agree(lambda: place("kmeans", f"{name}/cache"), False),
        }
        pairs = {"below a file": (lambda: place("jule", f"{name}/file"), False)}
        return found | _same(module._checkpoint, "os.access", pairs)


WITNESSES = {
    f"narrow_{witness.__name__}": witness
    for witness in (
        purities,
        trusts,
        masks,
        thresholds,
        graphs,
        loops,
        places,
        parameters,
        centres,
        stores,
        folders,
        running,
    )
}
