"""Other ways to find the number of clusters, each on the same features, neighbours and merge tree as ours.

An entry of :data:`RULES` takes a :class:`Case` and returns a label for every sample; how many clusters it found is how
many labels there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from clustlib.cluster.number_of_clusters import estimate, n_neighbors_for
from clustlib.errors import PackageMissing
from clustlib.kernels.description_length import description_lengths, mutual_edges
from clustlib.kernels.linkage import MergeTree

MOST = 100  # clusters that a rule with a list of candidates is asked about
CLUSTPY = {
    "X-means": "XMeans",
    "G-means": "GMeans",
    "PG-means": "PGMeans",
    "Dip-means": "DipMeans",
    "Projected dip-means": "ProjectedDipMeans",
}
DIMENSIONS = 20  # principal components that ClustPy's estimators are given: they fit Gaussians


@dataclass(frozen=True)
class Case:
    """Rows (N, D) float32 of unit length, their neighbours (N, K) nearest first, a merge tree over them, a seed."""

    rows: np.ndarray
    neighbours: np.ndarray
    tree: MergeTree
    seed: int = 0


def by_description_length(case: Case) -> np.ndarray:
    """Ours: the cut that :func:`clustlib.cluster.number_of_clusters.estimate` chooses."""
    return case.tree.labels(estimate(case.tree, case.neighbours).n_clusters)


def by_planted_partition(case: Case) -> np.ndarray:
    """The planted partition as Zhang and Peixoto have it, on all edges of the k-NN graph."""
    edges = all_edges(case.neighbours[:, : n_neighbors_for(len(case.rows))])
    return case.tree.labels(int(description_lengths(case.tree, edges).argmin()) + 1)


def all_edges(neighbours: np.ndarray) -> np.ndarray:
    """The edges of a k-NN graph (N, K), (N K, 2)."""
    return np.stack([np.repeat(np.arange(len(neighbours)), neighbours.shape[1]), neighbours.ravel()], axis=1)


EDGES = {"mutual": mutual_edges, "all": all_edges}


def by_largest_drop(case: Case) -> np.ndarray:
    """The cut where the affinity of the last merge is largest against that of any merge after it."""
    heights = case.tree.heights
    if len(heights) < 2:
        return case.tree.labels(case.tree.n_leaves)
    later = np.maximum.accumulate(heights[::-1])[::-1][1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(heights[:-1] > 0, heights[:-1] / later, 0)
    return case.tree.labels(int(case.tree.n_leaves - 1 - np.argmax(ratio)))


def by_silhouette(case: Case) -> np.ndarray:
    """The cut into 2 to 100 clusters with the largest mean silhouette (Rousseeuw, 1987)."""
    from sklearn.metrics import silhouette_score

    distances = _distances(case.rows)
    candidates = range(2, min(MOST, case.tree.n_leaves, len(case.rows) - 1) + 1)
    cuts = [case.tree.labels(k) for k in candidates]
    return max(cuts, key=lambda labels: silhouette_score(distances, labels, metric="precomputed"))


def by_eigengap(case: Case) -> np.ndarray:
    """The cut into as many clusters as eigenvalues come before the largest gap (von Luxburg, 2007).

    Of the normalised Laplacian of the graph that joins a point to its neighbours; at least two clusters.
    """
    from scipy.sparse import coo_array, eye_array
    from scipy.sparse.csgraph import laplacian
    from scipy.sparse.linalg import eigsh

    n, k = case.neighbours.shape
    graph = coo_array((np.ones(n * k), tuple(all_edges(case.neighbours).T)), shape=(n, n)).tocsr()
    smoothing = 2 * eye_array(n, format="csr") - laplacian(graph.maximum(graph.T), normed=True)
    count = min(MOST + 1, n - 1)
    start = np.random.default_rng(case.seed).normal(size=n)
    largest = np.sort(eigsh(smoothing, count, which="LA", v0=start, return_eigenvectors=False))[::-1]
    n_clusters = int(np.argmax(largest[1:-1] - largest[2:])) + 2
    return case.tree.labels(min(n_clusters, case.tree.n_leaves))


def by_hdbscan(case: Case) -> np.ndarray:
    """HDBSCAN (Campello et al., 2013) as scikit-learn has it; what it calls noise is one label more, not a cluster."""
    from sklearn.cluster import HDBSCAN

    return HDBSCAN(metric="precomputed", copy=False).fit(_distances(case.rows)).labels_


def by_leiden(case: Case) -> np.ndarray:
    """Communities of the graph of neighbours with the largest modularity (Traag, Waltman and van Eck, 2019)."""
    try:
        import igraph
        import leidenalg
    except ImportError:
        raise PackageMissing("needs leidenalg: pip install leidenalg") from None
    n, k = case.neighbours.shape
    edges = np.sort(np.stack([np.repeat(np.arange(n), k), case.neighbours.ravel()], axis=1), axis=1)
    graph = igraph.Graph(n, np.unique(edges, axis=0).tolist())
    partition = leidenalg.find_partition(graph, leidenalg.ModularityVertexPartition, seed=case.seed)
    return np.array(partition.membership)


def by_clustpy(case: Case, name: str) -> np.ndarray:
    """One of ClustPy's estimators, on the first principal components."""
    from sklearn.decomposition import PCA

    try:
        from clustpy import centroid
    except ImportError:
        raise PackageMissing("needs clustpy: pip install clustpy==0.0.3") from None
    size = min(DIMENSIONS, *case.rows.shape)
    rows = PCA(size, random_state=case.seed).fit_transform(case.rows.astype(np.float64))
    return getattr(centroid, name)(random_state=case.seed).fit(rows).labels_


def _distances(rows: np.ndarray) -> np.ndarray:
    """All Euclidean distances, (N, N) float64, exactly 0 on the diagonal."""
    from sklearn.metrics import pairwise_distances

    return pairwise_distances(rows.astype(np.float64))


RULES: dict[str, Callable[[Case], np.ndarray]] = {
    "Description length": by_description_length,
    "Planted partition": by_planted_partition,
    "Silhouette": by_silhouette,
    "Eigengap": by_eigengap,
    "Largest drop": by_largest_drop,
    "HDBSCAN": by_hdbscan,
    "Leiden": by_leiden,
    **{label: partial(by_clustpy, name=name) for label, name in CLUSTPY.items()},
}
