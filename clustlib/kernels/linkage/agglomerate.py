"""From a graph and its initial clusters to a merge tree."""

from __future__ import annotations

import numpy as np
from tqdm.auto import tqdm

from clustlib._arrays import check_made, check_within, shown
from clustlib._validation import check_choice, check_features, check_flag, check_integer, check_number
from clustlib.errors import UsageError
from clustlib.kernels.linkage.bywalks import PATH, ZETA, ByWalks
from clustlib.kernels.linkage.criterion import ByLocalStructure
from clustlib.kernels.linkage.forest import Forest, has_room, roomier
from clustlib.kernels.linkage.gdl import ISOLATED, NO_AFFINITY, NO_ROOM, ByAffinity, gdl_forest
from clustlib.kernels.linkage.isolated import (
    Centroids,
    cheapest_by_ward,
    finish_by_ward,
    finish_in_order,
    lowest_nodes,
    released_joins,
    to_nearest,
)
from clustlib.kernels.linkage.path import path_forest
from clustlib.kernels.linkage.tree import MergeTree, subtree_sizes
from clustlib.kernels.linkage.zeta import zeta_forest
from clustlib.kernels.neighbours import KnnGraph

_NAMES = {
    "linkage": ("gdl", "path", "zeta"),
    "update": ("exact", "paper_fast", "released_fast"),
    "criterion": ("affinity", "local", "released"),
    "isolated": ("keep", "nearest", "released"),
}
Rule = ByAffinity | ByLocalStructure | ByWalks
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
    z: float = 0.01,
    self_loops: bool = False,
    isolated: str = "keep",
    features: np.ndarray | None = None,
    n_clusters: int = 1,
) -> MergeTree:
    """Merge initial clusters, always the pair with the largest affinity, down to one.

    Among equal values the pair with the smallest nodes is merged: initial clusters by number, then merged ones by
    age. Affinities are held in float64; memory is proportional to the number of edges.

    Parameters
    ----------
    graph : KnnGraph
        See :func:`clustlib.kernels.affinity_graph`.
    labels0 : (N,) integers
        Initial clusters; the i-th smallest label is leaf i. See :func:`initial_clusters`.
    linkage : {"gdl", "path", "zeta"}
        Graph degree linkage, or the increment of the path integral or of the zeta entropy; see :mod:`.gdl`,
        :mod:`.path`, :mod:`.zeta`. Options from ``update`` to ``candidates`` belong to "gdl", the next two to others.
    update : {"exact", "paper_fast", "released_fast"}
        How the affinity of a merged cluster comes from those of its parts; see :func:`.gdl.gdl_forest`.
    criterion : {"affinity", "local", "released"}
        What the merged pair maximises: its affinity, or Eq. (7) of JULE with ``k_c`` and ``weight`` (lambda);
        "released" is Eq. (7) as JULE.torch has it, see :class:`.criterion.Local`.
    candidates : int, optional
        AGDL: only the ``candidates`` nearest clusters of each cluster, by affinity, are partners until so few
        clusters are left that it makes no difference (1.2 ``candidates``). Goes with the criterion "affinity".
    z : float
        Weight of a step of a walk, 0 < z <= 0.1. At 0.01 path integrals are exact to nine digits, zeta to seven.
    self_loops : bool
        Give W a unit diagonal before its rows are scaled to sum to one, as gactoolbox does.
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
    check_integer("n_clusters", n_clusters, 1)
    check_made("graph", graph, "a KnnGraph", "indices", "weights")
    label = _leaves(graph, labels0)
    _check_names(linkage=linkage, update=update, criterion=criterion, isolated=isolated)
    _check_numbers(k_c, weight, candidates, criterion, z)
    check_flag("self_loops", self_loops)
    features = features if features is None else check_features(features, translate=True, name="features")
    if isolated != "keep" and (features is None or len(features) != len(label)):
        raise UsageError(f"isolated={shown(isolated)} needs the features of the {len(label)} samples")
    z, weight = float(z), float(weight)  # NumPy's half precision is no type of compiled code
    forest, rule = _start(graph, label, linkage, z, self_loops, update, criterion, k_c, weight, candidates)
    centroids = Centroids(features, forest)
    if isolated == "released" and len(forest.node) > 20 * n_clusters:
        for a, b in released_joins(forest, centroids, rule.isolated, shrink=update == "released_fast"):
            forest = _join(forest, rule, a, b)
    small = graph.indices.shape[1] if isolated == "nearest" else 0
    forest = _merge_all(forest, rule, centroids, small)
    sizes = subtree_sizes(forest.children, np.bincount(label))
    return MergeTree(label, forest.children, forest.heights, sizes)


def _start(graph, label, linkage, z, self_loops, update, criterion, k_c, weight, candidates) -> tuple[Forest, Rule]:
    """The forest before the first merge and the rule that picks what is merged."""
    if linkage != "gdl":
        if (update, criterion, candidates) != ("exact", "affinity", None):
            raise UsageError("update, criterion and candidates are options of linkage='gdl' only")
        make, kind = (path_forest, PATH) if linkage == "path" else (zeta_forest, ZETA)
        forest, walks = make(graph, label, z, self_loops)
        return forest, ByWalks(forest, walks, kind, z)
    forest, power = gdl_forest(graph, label, update)
    if criterion == "affinity":
        return forest, ByAffinity(forest, power, candidates)
    return forest, ByLocalStructure(forest, power, k_c, weight, released=criterion == "released")


def _merge_all(forest: Forest, rule: Rule, centroids: Centroids, small: int) -> Forest:
    """Merge down to one cluster.

    Isolated clusters of up to ``small`` vertices are rescued at once. Where no affinity is left, two clusters are
    merged at height 0, by Ward's criterion if ``small`` is positive; their union may have affinities again.
    """
    n = len(forest.node)
    lonely = rule.isolated(forest, small)
    with tqdm(total=n - 1, unit="merge", delay=3, leave=False) as bar:
        while True:
            while len(lonely) and n - forest.done[0] > 1:
                for a, b in to_nearest(forest, centroids, lonely):
                    forest = _join(forest, rule, a, b)
                lonely = rule.isolated(forest, small)
            status = rule.advance(forest, small, max(1, n - int(forest.done[0]) - _MERGES_PER_CALL))
            bar.update(int(forest.done[0]) - bar.n)
            if n - forest.done[0] == 1:
                return forest
            if status == NO_ROOM:
                forest = roomier(forest)
            elif status == ISOLATED:
                lonely = forest.done[1:]
            elif status == NO_AFFINITY and rule.in_contact(forest):
                pair = cheapest_by_ward(forest, centroids) if small else lowest_nodes(forest)
                forest = _join(forest, rule, *pair)
                lonely = rule.isolated(forest, small)
            elif status == NO_AFFINITY:
                finish_by_ward(forest, centroids) if small else finish_in_order(forest)
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
        raise UsageError(f"labels0 must be {len(graph.indices)} integers, got {labels0.dtype} of shape {labels0.shape}")
    check_within("the graph's neighbours", graph.indices, len(graph.indices))
    if not np.isfinite(graph.weights).all():
        raise UsageError("the graph's weights must be finite")
    return np.unique(labels0, return_inverse=True)[1].astype(np.int32)


def _check_names(**given: str) -> None:
    for name, value in given.items():
        check_choice(name, value, _NAMES[name])


def _check_numbers(k_c: int, weight: float, candidates: int | None, criterion: str, z: float) -> None:
    check_integer("k_c", k_c, 1)
    check_number("weight", weight, zero=True)
    if candidates is not None:
        check_integer("candidates", candidates, 1)
    if candidates is not None and criterion != "affinity":
        raise UsageError("candidates go with criterion='affinity' only")
    check_number("z", z, most=0.1)
