"""JULE's forward pass: how many merges a period has, and the merging itself (sections 3.5.1 and 3.6)."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from clustlib.kernels import (
    KnnGraph,
    MergeTree,
    affinity_graph,
    graph_linkage,
    initial_clusters,
    kmeans,
    neighbour_recall,
)
from clustlib.kernels.neighbours import is_exact

_FEW_STEPS = 150  # of 100 images each; at fewer the labels are those of the first features
INITIAL_SIZE = 4  # images in an initial cluster, on average, section 3.6


@dataclass(frozen=True)
class Merging:
    """What :func:`clustlib.kernels.affinity_graph` and :func:`clustlib.kernels.graph_linkage` are called with."""

    n_neighbors: int
    a: float
    criterion: str
    k_c: int
    weight: float
    update: str
    isolated: str
    chains: str
    device: str
    start: str = "neighbours"
    seed: int = 0
    method: str = "auto"

    def graph(self, features: np.ndarray) -> KnnGraph:
        """Eq. (4); among few samples all others are neighbours."""
        k = min(self.n_neighbors, len(features) - 1)
        searched = {"method": self.method, "random_state": self.seed, "device": self.device}
        return affinity_graph(features, k, self.a, **searched)  # type: ignore[arg-type]

    def recall(self, graph: KnnGraph, features: np.ndarray) -> dict[str, float]:
        """The share of true neighbours in the graph, measured on a sample; nothing where the search was exact."""
        if is_exact(self.method, len(features), self.device):
            return {}
        return {"recall": neighbour_recall(features, graph.indices, random_state=self.seed)}

    def initial(self, graph: KnnGraph) -> np.ndarray:
        """Initial clusters (N,) int64."""
        return initial_clusters(graph, variant=self.chains).astype(np.int64)

    def start_from(self, graph: KnnGraph, features: np.ndarray) -> np.ndarray:
        """What merging begins with, (N,) int64: the initial clusters, or another start of section 3.6."""
        if self.start == "neighbours":
            return self.initial(graph)
        n = len(features)
        if self.start == "singletons":
            return np.arange(n)
        fit = kmeans(features, math.ceil(n / INITIAL_SIZE), seed=self.seed)
        return np.unique(fit.labels, return_inverse=True)[1]  # k-means may leave clusters empty

    def tree(self, graph: KnnGraph, labels: np.ndarray, features: np.ndarray, n_clusters: int) -> MergeTree:
        """The merges that follow from ``labels``, greedily by Eq. (7), down to one cluster."""
        return graph_linkage(
            graph,
            labels,
            criterion=self.criterion,
            k_c=self.k_c,
            weight=self.weight,
            update=self.update,
            isolated=self.isolated,
            features=features,
            n_clusters=n_clusters,
        )


def clusters_after(n_clusters: int, unrolling_rate: float, target: int) -> int:
    """Clusters left of ``n_clusters`` after a period's ``ceil(eta n_c)`` merges, section 3.6; not below ``target``."""
    merges = math.ceil(unrolling_rate * n_clusters - 1e-9)  # 0.07 * 100 is a little more than 7 in binary
    return max(target, n_clusters - merges)


def periods_of(n_clusters: int, target: int, unrolling_rate: float) -> int:
    """How many periods lead from ``n_clusters`` to ``target``, by :func:`clusters_after`."""
    periods = 0
    while n_clusters > target:
        n_clusters, periods = clusters_after(n_clusters, unrolling_rate, target), periods + 1
    return periods


def warn_of_few_steps(periods: int, steps: int) -> None:
    """Say so where a fit of ``steps`` steps of SGD a period has too few in all to learn anything."""
    if not periods:
        said = (
            "the network is not trained: merging begins with no more clusters than asked for; start='kmeans' has more"
        )
        warnings.warn(said, stacklevel=4)
    elif periods * steps < _FEW_STEPS:
        said = f"the network takes {periods * steps} steps in all; more epochs or a smaller unrolling_rate give it more"
        warnings.warn(said, stacklevel=4)


def cut(tree: MergeTree, n_clusters: int, features: np.ndarray, small: int) -> np.ndarray:
    """Labels (N,) int64 of ``n_clusters`` clusters with more than ``small`` samples each.

    Clusters of a few samples with hardly any affinity to the rest survive to the end of a merge tree and would take
    the places of the clusters that are sought. Here they do not count: the tree is cut where as many larger ones are
    left, and each small one joins the larger one with the nearest centroid. Where no cut into up to 20
    ``n_clusters`` has as many larger ones, the tree is cut as it is.

    Parameters
    ----------
    features : (N, D) float32, for the centroids
    """
    for n in range(n_clusters, min(tree.n_leaves, 20 * n_clusters) + 1):
        labels = tree.labels(n)
        sizes = np.bincount(labels)
        large = np.flatnonzero(sizes > small)
        if len(large) == n_clusters:
            return _joined(labels, sizes, large, features)
    return tree.labels(min(n_clusters, tree.n_leaves))


def _joined(labels: np.ndarray, sizes: np.ndarray, large: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Each cluster as the place in ``large`` of itself, or of the one with the nearest centroid."""
    sums = np.zeros((len(sizes), features.shape[1]))
    np.add.at(sums, labels, features)
    centroids = sums / sizes[:, None]
    norm2 = (centroids[large] ** 2).sum(axis=1)
    nearest = (norm2 - 2 * centroids @ centroids[large].T).argmin(axis=1)
    nearest[large] = np.arange(len(large))
    return nearest[labels].astype(np.int64)
