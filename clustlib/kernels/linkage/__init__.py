"""Agglomerative clustering on a sparse directed graph: graph degree linkage, path integral and zeta linkage."""

from __future__ import annotations

import numpy as np
from tqdm.auto import tqdm

from clustlib._validation import check_features
from clustlib.errors import UsageError
from clustlib.kernels.linkage.criterion import ByLocalStructure
from clustlib.kernels.linkage.forest import Forest, has_room, roomier
from clustlib.kernels.linkage.gdl import ISOLATED, NO_AFFINITY, NO_ROOM, ByAffinity, gdl_forest
from clustlib.kernels.linkage.initial import initial_clusters
from clustlib.kernels.linkage.isolated import (
    Centroids,
    cheapest_by_ward,
    finish_by_ward,
    finish_in_order,
    in_contact,
    isolated_clusters,
    lowest_nodes,
    released_joins,
    to_nearest,
)
from clustlib.kernels.linkage.tree import MergeTree, subtree_sizes
from clustlib.kernels.neighbours import KnnGraph

__all__ = ["MergeTree", "graph_linkage", "initial_clusters"]

_NAMES = {
    "linkage": ("gdl",),
    "update": ("exact", "paper_fast", "released_fast"),
    "criterion": ("affinity", "local", "released"),
    "isolated": ("keep", "nearest", "released"),
}
Rule = ByAffinity | ByLocalStructure
_MERGES_PER_CALL = 2048  # between two looks at the progress bar and at the keyboard


def graph_linkage(
    graph: KnnGraph,
    labels0: np.ndarray,
    *,
    linkage: str = "gdl",
    update: str = "exact",
    criterion: str = "affinity",
    k_c: int = 5,
    weight: float = 1.0,
    candidates: int | None = None,
    isolated: str = "keep",
    features: np.ndarray | None = None,
    n_clusters: int = 1,
) -> MergeTree:
    """Merge initial clusters, always the pair with the largest affinity, down to one.

    Among equal values the pair with the smallest nodes is merged: initial clusters by number, then merged ones by
    age. Affinities are held in float64. Memory is O(edges + pairs of clusters that exchange edges both ways).

    Parameters
    ----------
    graph : KnnGraph
        See :func:`clustlib.kernels.affinity_graph`.
    labels0 : (N,) integers
        Initial clusters; the i-th smallest label is leaf i. See :func:`initial_clusters`.
    linkage : {"gdl"}
    update : {"exact", "paper_fast", "released_fast"}
        How the affinity of a merged cluster comes from those of its parts; see :func:`.gdl.gdl_forest`.
    criterion : {"affinity", "local", "released"}
        What the merged pair maximises: its affinity, or Eq. (7) of JULE with ``k_c`` and ``weight`` (lambda);
        "released" is Eq. (7) as JULE.torch has it, see :class:`.criterion.Local`.
    candidates : int, optional
        AGDL: only the ``candidates`` nearest clusters of each cluster, by affinity, are partners until so few
        clusters are left that it makes no difference (1.2 ``candidates``). Goes with the criterion "affinity".
    isolated : {"keep", "nearest", "released"}
        Clusters without affinity to any other. "keep": left alone. "nearest": as soon as there is one of at most K
        points (K neighbours), it joins the cluster with the nearest centroid. "released" (JULE.torch): the same,
        but only before the first merge, in the order of their numbers, and only if there are more than
        20 ``n_clusters`` clusters. When no affinity is left, the rest is merged at height 0: by Ward's criterion on
        the centroids for "nearest", otherwise lowest nodes first.
    features : (N, D) floating
        For the centroids; needed unless ``isolated`` is "keep".
    n_clusters : int
        Only read by ``isolated="released"``: the tree always goes down to one cluster.

    Raises
    ------
    ValueError
        An unknown name; labels that do not fit the graph; options that do not go together.
    """
    label = _leaves(graph, labels0)
    _check_names(linkage=linkage, update=update, criterion=criterion, isolated=isolated)
    _check_numbers(k_c, weight, candidates, criterion)
    forest, power = gdl_forest(graph, label, update)
    rule: Rule
    if criterion == "affinity":
        rule = ByAffinity(forest, power, candidates)
    else:
        rule = ByLocalStructure(forest, power, k_c, weight, released=criterion == "released")
    centroids = None
    if isolated != "keep":
        centroids = Centroids(check_features(features, minimum=len(label))[: len(label)], forest)
    if isolated == "released" and len(forest.node) > 20 * n_clusters:
        for a, b in released_joins(forest, centroids, shrink=update == "released_fast"):
            forest = _join(forest, rule, a, b)
    small = graph.indices.shape[1] if isolated == "nearest" else 0
    forest = _merge_all(forest, rule, small, centroids)
    sizes = subtree_sizes(forest.children, np.bincount(label))
    return MergeTree(label, forest.children, forest.heights, sizes)


def _merge_all(forest: Forest, rule: Rule, small: int, centroids: Centroids | None) -> Forest:
    """Merge down to one cluster.

    Isolated clusters of up to ``small`` vertices are rescued at once. Where no affinity is left, two clusters are
    merged at height 0, by Ward's criterion if ``small`` is positive; their union may have affinities again.
    """
    n = len(forest.node)
    lonely = isolated_clusters(forest, small)
    with tqdm(total=n - 1, unit="merge", delay=3, leave=False) as bar:
        while True:
            while lonely and n - forest.count[0] > 1:
                for a, b in to_nearest(forest, centroids, lonely):
                    forest = _join(forest, rule, a, b)
                lonely = isolated_clusters(forest, small)
            status = rule.advance(forest, small, max(1, n - int(forest.count[0]) - _MERGES_PER_CALL))
            bar.update(int(forest.count[0]) - bar.n)
            if n - forest.count[0] == 1:
                return forest
            if status == NO_ROOM:
                forest = roomier(forest)
            elif status == ISOLATED:
                lonely = [int(forest.count[1])]
            elif status == NO_AFFINITY and in_contact(forest):
                pair = cheapest_by_ward(forest, centroids) if centroids and small else lowest_nodes(forest)
                forest = _join(forest, rule, *pair)
                lonely = isolated_clusters(forest, small)
            elif status == NO_AFFINITY:
                finish_by_ward(forest, centroids) if centroids and small else finish_in_order(forest)
                return forest


def _join(forest: Forest, rule: Rule, a: int, b: int) -> Forest:
    """Join two clusters whatever their affinity."""
    if not has_room(forest, a, b):
        forest = roomier(forest)
    rule.merge(forest, a, b)
    return forest


def _leaves(graph: KnnGraph, labels0: np.ndarray) -> np.ndarray:
    labels0 = np.asarray(labels0)
    if labels0.shape != (len(graph.indices),) or labels0.dtype.kind not in "iu":
        raise ValueError(f"labels0 must be {len(graph.indices)} integers, got {labels0.dtype} of shape {labels0.shape}")
    return np.unique(labels0, return_inverse=True)[1].astype(np.int32)


def _check_names(**given: str) -> None:
    for name, value in given.items():
        if value not in _NAMES[name]:
            raise UsageError(f"{name} must be one of {', '.join(_NAMES[name])}; got {value!r}")


def _check_numbers(k_c: int, weight: float, candidates: int | None, criterion: str) -> None:
    if k_c < 1:
        raise UsageError(f"k_c must be at least 1, got {k_c!r}")
    if not (np.isfinite(weight) and weight >= 0):
        raise UsageError(f"weight must be finite and not negative, got {weight!r}")
    if candidates is not None and candidates < 1:
        raise UsageError(f"candidates must be at least 1, got {candidates!r}")
    if candidates is not None and criterion != "affinity":
        raise UsageError("candidates go with criterion='affinity' only")
