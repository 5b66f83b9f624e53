"""Neighbours, affinity graphs and agglomeration on them."""

import inspect
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from witnesses._data import blobs, errors_of, grid_points, rng
from witnesses._find import find, holding, home


def _tree(prefix: str, tree) -> dict[str, np.ndarray]:
    found = {f"{prefix}.{name}": getattr(tree, name) for name in ("initial", "children", "heights", "sizes")}
    for k in {1, 2, 3, tree.n_leaves // 2 or 1, tree.n_leaves}:
        found[f"{prefix}.labels.{k}"] = tree.labels(k)
    return found


def neighbours() -> dict[str, np.ndarray]:
    """Ties, duplicates, points far off; every way to search, by blocks smaller than the data."""
    knn, affinity_graph = find("knn"), find("affinity_graph")
    found: dict[str, np.ndarray] = {}
    sets = {"grid": grid_points(45), "blobs": blobs(), "flat": np.ones((9, 2), np.float32), "three": blobs((2, 1))}
    sets["far"] = (grid_points(30) + 5000).astype(np.float64)
    with holding(home("_search_blocks"), _BLOCK=16), holding(home("_search_blocks"), compiled=True, _GROUP=4):
        for name, X in sets.items():
            for k in {1, min(6, len(X) - 1), len(X) - 1}:
                for backend in ("blocks", "torch", "faiss") if k == 6 else ("auto",):
                    found |= dict(
                        zip((f"{name}.{k}.{backend}.i", f"{name}.{k}.{backend}.d2"), knn(X, k, backend=backend))
                    )
    for variant in ("published", "released"):
        for name in ("grid", "blobs", "flat", "three"):
            for k, a in ((2, 1.0), (7, 0.25)):
                if k < len(sets[name]):
                    graph = affinity_graph(sets[name], k, a, variant=variant)
                    key = f"{variant}.{name}.{k}"
                    found |= {f"{key}.weights": graph.weights, f"{key}.sigma2": np.array(graph.sigma2)}
    pair = knn(sets["grid"], 8)
    found["from a pair"] = affinity_graph(pair, 5).weights
    flat, d2 = np.zeros((3, 1), int), np.ones((3, 1))
    errors = {
        "k 0": ((sets["flat"], 0), {}),
        "k n": ((sets["flat"], 9), {}),
        "k n-1": ((sets["flat"], 8), {}),
        "backend": ((sets["flat"], 2), {"backend": "x"}),
        "huge": ((sets["flat"] * 1e30, 2), {}),
        "large": ((sets["grid"] * 5e16, 2), {}),
        "nan": ((sets["flat"] * np.nan, 2), {}),
    }
    found |= errors_of(knn, errors)
    graphs = {
        "a 0": ((sets["flat"], 2, 0.0), {}),
        "a inf": ((sets["flat"], 2, np.inf), {}),
        "variant": ((sets["flat"], 2), {"variant": "x"}),
        "pair k": (((flat, d2), 2), {}),
        "pair index": (((flat + 3, d2), 1), {}),
        "pair -1": (((flat - 1, d2), 1), {}),
        "pair d2": (((flat, d2 - 2), 1), {}),
        "pair 0": (((flat, d2 - 1), 1), {}),
        "pair inf": (((flat, d2 * np.inf), 1), {}),
        "pair shape": (((flat, d2[:2]), 1), {}),
        "pair float": (((flat * 1.0, d2), 1), {}),
    }
    return found | errors_of(affinity_graph, graphs)


def _plain_recall(X: np.ndarray, indices: np.ndarray, *, rows: int = 1000, random_state: int = 0) -> float:
    """What ``neighbour_recall`` measures, from the definition."""
    sample = np.sort(rng([random_state, 1]).permutation(len(X))[:rows])
    d2 = np.square(X[sample, None].astype(np.float64) - X.astype(np.float64)).sum(axis=2)
    d2[np.arange(len(sample)), sample] = np.inf
    limit = np.sort(d2, axis=1)[:, indices.shape[1] - 1]
    return float((np.take_along_axis(d2, indices[sample], axis=1) <= limit[:, None] * (1 + 1e-12)).mean())


def neighbours_in_cells() -> dict[str, np.ndarray]:
    """The approximate search. In all cells it is the exact one; in a few, what is found is counted.

    A revision without it gives what it has to give: the exact neighbours, and the share by its definition.
    """
    knn, there = find("knn"), "method" in inspect.signature(find("knn")).parameters
    asked: dict[str, Any] = {"method": "approximate", "random_state": 3} if there else {}
    recall = find("neighbour_recall") if there else _plain_recall
    cells = home("neighbour_recall") if there else home("knn")
    clumps = rng(7).normal(size=(12, 6))[rng(8).integers(0, 12, 200)] + 0.4 * rng(9).normal(size=(200, 6))
    sets = {
        "clumps": clumps.astype(np.float32),
        "far": np.concatenate([clumps[:300] * 1e-3, clumps[:300] * 1e-3 + 1e3]),
    }
    sets |= {"few": rng(2).normal(size=(40, 3)), "three": rng(3).normal(size=(3, 2))}
    found: dict[str, np.ndarray] = {}
    for name, X in sets.items():
        for k in {1, min(6, len(X) - 1), min(20, len(X) - 1)}:
            with holding(cells, _FEWEST=10**6, _AT_ONCE=128, _LEARNT=12):
                found |= dict(zip((f"{name}.{k}.i", f"{name}.{k}.d2"), knn(X, k, **asked)))
            with holding(cells, _SAMPLED=50, _AT_ONCE=128, _LEARNT=12, _FEWEST=1):
                indices, d2 = knn(X, k, **asked)
            share = _plain_recall(X, indices, rows=len(X))
            found[f"{name}.{k}.enough"] = np.array([share >= 0.98, (indices >= 0).all(), (np.diff(d2) >= 0).all()])
            exact = found[f"{name}.{k}.i"]
            worse = np.where(rng(4).random(indices.shape) < 0.4, exact[::-1], exact)
            for n in (30, 10_000):
                found[f"{name}.{k}.recall.{n}"] = np.round(recall(X, worse, rows=n, random_state=k), 9)
    with holding(cells, _cells_needed=lambda *_: 1):  # so few points that all are looked at
        indices, d2 = knn(sets["clumps"], 90, **asked)
    found["short"] = np.array([(indices >= 0).all(), np.isfinite(d2).all(), (np.sort(indices) != indices).any()])
    with holding(home("knn"), MOST_EXACT=199), holding(cells, _FEWEST=10**6):
        found["auto"] = knn(sets["clumps"], 5)[0]
        found["auto graph"] = find("affinity_graph")(sets["clumps"], 5).weights
    return found | _linkage_in_cells(sets["clumps"][:90], there) | _refused(sets["clumps"], there)


def _linkage_in_cells(X: np.ndarray, there: bool) -> dict[str, np.ndarray]:
    """Graph linkage and JULE's merging on neighbours from all cells; the graph is kept for another linkage."""
    found: dict[str, np.ndarray] = {}
    cells = home("neighbour_recall") if there else home("knn")
    with tempfile.TemporaryDirectory() as folder, holding(cells, _FEWEST=10**6):
        kept = {"checkpoint": Path(folder) / "graph", "neighbor_method": "approximate"} if there else {}
        for linkage in ("gdl", "path"):
            model = find("GraphLinkage")(4, linkage, **kept).fit(X)
            found |= _tree(f"kept.{linkage}", model.tree_) | {f"kept.{linkage}.labels": model.labels_}
            found[f"kept.{linkage}.recall"] = np.array(model.history_[0]["recall"] if there else 1.0)
        exact = {"neighbor_method": "exact"} if there else {}
        with holding(home("knn"), MOST_EXACT=len(X) - 1):  # numbered otherwise, cut alike
            model = find("GraphLinkage")(4, **exact).fit(X)
            found["renumbered"] = np.stack([model.labels_at(k) for k in range(1, model.n_leaves_ + 1)])
        with holding(home("knn"), MOST_EXACT=len(X)):
            found |= _tree("as it is", find("GraphLinkage")(4, update="released_fast", **exact).fit(X).tree_)
        asked = {"method": "approximate"} if there else {}
        merging = find("Merging")(5, 1.0, "local", 5, 1.0, "exact", "nearest", "published", "cpu", **asked)
        graph = merging.graph(X)
        found |= {"merging.i": graph.indices, "merging.w": graph.weights}
        found["merging.recall"] = np.array(merging.recall(graph, X)["recall"] if there else 1.0)
    return found


def _refused(X: np.ndarray, there: bool) -> dict[str, np.ndarray]:
    """What is refused; a revision without the search refuses it all."""
    indices = np.zeros((200, 2), int)
    recall = {
        "shape": ((X, indices[:4]), {}),
        "float": ((X, indices * 1.0), {}),
        "flat": ((X, indices[:, 0]), {}),
        "outside": ((X, indices + 200), {}),
        "below": ((X, indices - 1), {}),
        "rows": ((X, indices), {"rows": 0}),
        "wide": ((X[:2], indices[:2]), {}),
    }
    search = {"method": ((X, 3), {"method": "x"}), "k": ((X, 200), {"method": "approximate"})}
    search["backend"] = ((X, 3), {"method": "approximate", "backend": "x"})
    if there:
        return errors_of(find("neighbour_recall"), recall) | errors_of(find("knn"), search)
    return {f"error.{name}": np.array("refused") for name in (*recall, *search)}


def _graphs() -> dict[str, tuple]:
    """Graphs with what agglomeration has to cope with, their first clusters and their features."""
    affinity_graph, first = find("affinity_graph"), find("initial_clusters", "linkage")
    made = {}
    for name, X, k in (
        ("grid", grid_points(50), 6),
        ("blobs", blobs((14, 9, 6, 3, 1)), 4),
        ("plain", rng(5).normal(size=(44, 3)), 5),
    ):
        graph = affinity_graph(X, k)
        made[name] = graph, first(graph), X
    return made


def _linked(**options) -> dict[str, np.ndarray]:
    """Every graph by every rule for isolated clusters, a few merges a call."""
    with holding(home("graph_linkage"), _MERGES_PER_CALL=4):
        return _trees(**options)


def _trees(**options) -> dict[str, np.ndarray]:
    graph_linkage = find("graph_linkage")
    found: dict[str, np.ndarray] = {}
    for name, (graph, labels, X) in _graphs().items():
        for isolated in ("keep", "nearest", "released"):
            tree = graph_linkage(
                graph, labels, isolated=isolated, features=X, n_clusters=1 if name == "grid" else 2, **options
            )
            found |= _tree(f"{name}.{isolated}", tree)
        found |= _tree(f"{name}.singletons", graph_linkage(graph, np.arange(len(labels)), **options))
    return found


def merging_by_affinity() -> dict[str, np.ndarray]:
    """Graph degree linkage: exact and fast updates, candidates."""
    found = {f"exact.{k}": v for k, v in _linked().items()}
    for update in ("paper_fast", "released_fast"):
        found |= {f"{update}.{k}": v for k, v in _linked(update=update).items()}
    for n in (19, 20, 21):  # the released rescue asks for more than twenty times as many clusters
        X = grid_points(n)
        graph = find("affinity_graph")(X, 3)
        tree = find("graph_linkage")(graph, np.arange(n), isolated="released", features=X, n_clusters=1)
        found |= _tree(f"rescue.{n}", tree)
    return found | {f"candidates.{k}": v for k, v in _linked(candidates=3).items()}


def merging_by_local_structure() -> dict[str, np.ndarray]:
    """Eq. (7) of JULE, as printed and as released."""
    found = {f"local.{k}": v for k, v in _linked(criterion="local", k_c=3).items()}
    found |= {f"k_c 1.{k}": v for k, v in _linked(criterion="local", k_c=1, weight=0.5).items()}
    with holding(home("RELEASED_COLUMNS"), compiled=True, RELEASED_COLUMNS=8):
        found |= {f"released.{k}": v for k, v in _linked(criterion="released", update="released_fast").items()}
    return found


def merging_by_paths() -> dict[str, np.ndarray]:
    """Path integral linkage, with and without self-loops."""
    loops = {f"loops.{k}": v for k, v in _linked(linkage="path", self_loops=True).items()}
    return loops | {f"large.{k}": v for k, v in _linked(linkage="path", z=0.1).items()}


def merging_by_cycles() -> dict[str, np.ndarray]:
    """Zeta linkage, with and without self-loops."""
    loops = {f"loops.{k}": v for k, v in _linked(linkage="zeta", self_loops=True).items()}
    return loops | {f"large.{k}": v for k, v in _linked(linkage="zeta", z=0.1).items()}


WITNESSES = {
    "neighbours": neighbours,
    "neighbours-in-cells": neighbours_in_cells,
    "merging-by-affinity": merging_by_affinity,
    "merging-by-local-structure": merging_by_local_structure,
    "merging-by-paths": merging_by_paths,
    "merging-by-cycles": merging_by_cycles,
}
