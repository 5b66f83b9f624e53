"""Neighbours, affinity graphs and agglomeration on them."""

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


def neighbours_in_cells() -> dict[str, np.ndarray]:
    """The approximate search: a few cells and all of them, cells with too few points, far groups, several parts."""
    knn, recall = find("knn"), find("neighbour_recall")
    X = rng(7).normal(size=(12, 6))[rng(8).integers(0, 12, 900)] + 0.4 * rng(9).normal(size=(900, 6))
    sets = {"clumps": X.astype(np.float32), "grid": grid_points(300), "few": blobs(), "three": blobs((2, 1))}
    sets["far"] = np.concatenate([X[:300] * 1e-3, X[:300] * 1e-3 + 1e3])
    found: dict[str, np.ndarray] = {}
    with holding(home("neighbour_recall"), _SAMPLED=90, _AT_ONCE=128, _LEARNT=25, _FEWEST=1):
        for name, rows in sets.items():
            for k in {1, min(6, len(rows) - 1), min(70, len(rows) - 1)}:
                indices, d2 = knn(rows, k, method="approximate", random_state=k)
                found |= {f"{name}.{k}.i": indices, f"{name}.{k}.d2": d2}
                for n in (50, 10_000):
                    found[f"{name}.{k}.recall.{n}"] = np.array(recall(rows, indices, rows=n, random_state=k))
    indices = np.zeros((900, 2), int)
    errors = {
        "shape": ((X, indices[:4]), {}),
        "float": ((X, indices * 1.0), {}),
        "flat": ((X, indices[:, 0]), {}),
        "outside": ((X, indices + 900), {}),
        "below": ((X, indices - 1), {}),
        "rows": ((X, indices), {"rows": 0}),
        "wide": ((X[:2], indices[:2]), {}),
    }
    found |= errors_of(recall, errors)
    asked = {"method": ((X, 3), {"method": "x"}), "k": ((X, 900), {"method": "approximate"})}
    asked["backend"] = ((X, 3), {"method": "approximate", "backend": "x"})
    return found | errors_of(knn, asked)


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
