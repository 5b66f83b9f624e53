"""Average linkage (UPGMA) on Euclidean distances, row "AC-Link" of JULE's tables."""

from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin

from clustlib._validation import check_features, check_n_clusters, check_parameters, choices, integers, numbers
from clustlib.cluster._rows import in_units, warn_of_few_rows
from clustlib.kernels.differences import mend

GiB = 1 << 30


class AverageLinkage(ClusterMixin, BaseEstimator):
    """Merge, until ``n_clusters`` are left, the two clusters with the smallest mean pairwise Euclidean distance.

    SciPy does it while its tables fit in ``max_memory``; beyond that the reciprocal nearest neighbours are merged
    first, on distances that are computed block by block and never kept (``clustlib.cluster._rnn_linkage``). Both
    give the same dendrogram up to rounding and ties, because average linkage is reducible.

    Parameters
    ----------
    n_clusters : int
    method : {"auto", "scipy", "low_memory"}
        "auto" takes SciPy where its two float64 tables of n(n-1)/2 distances fit in ``max_memory``.
    max_memory : float
        Bytes that the distance tables may take, 6 GiB by default.

    Attributes
    ----------
    labels_ : (n_samples,) int64
    linkage_matrix_ : (n_samples - 1, 4) float64
        SciPy's format: children, height (mean distance), size.
    children_ : (n_samples - 1, 2) int64
    distances_ : (n_samples - 1,) float64
    history_ : list of dict
        "low_memory" only: one ``{"round", "n_clusters"}`` per pass over the distances; otherwise empty.

    References
    ----------
    Sokal and Michener 1958; Müllner, "Modern hierarchical, agglomerative clustering algorithms", 2011 (nearest
    neighbour chains and reducibility); MATLAB ``linkage(X, 'average')`` in the code released with JULE.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_clusters": [integers(1)],
        "method": [choices("auto", "scipy", "low_memory")],
        "max_memory": [numbers(0, float("inf"), closed="both")],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        method: Literal["auto", "scipy", "low_memory"] = "auto",
        max_memory: float = 6 * GiB,
    ) -> None:
        self.n_clusters = n_clusters
        self.method = method
        self.max_memory = max_memory

    def fit(self, X: Any, y: Any = None) -> Self:
        """Build the whole merge tree of ``X`` (n_samples, n_features) and cut it at ``n_clusters``.

        Raises
        ------
        ValueError
            NaN or infinite values, wrong rank, fewer samples than clusters, unknown ``method``.
        MemoryError
            ``method="scipy"`` and its tables would exceed ``max_memory``; the message says by how much.
        """
        check_parameters(self)
        X = check_features(X, self.n_clusters, distances="float64", translate=True, estimator=self)
        warn_of_few_rows(self.n_clusters, X, "identical rows are split")
        self.history_: list[dict[str, int]] = []
        X, unit = in_units(X, 1e-15, 1e15)
        self.linkage_matrix_ = self._linkage(X)
        self.linkage_matrix_[:, 2] *= unit
        self.children_ = self.linkage_matrix_[:, :2].astype(np.int64)
        self.distances_ = self.linkage_matrix_[:, 2]
        self.labels_ = self.labels_at(self.n_clusters)
        return self

    def labels_at(self, n_clusters: int) -> np.ndarray:
        """Labels of the same tree cut at another number of clusters, (n_samples,) int64; no new run."""
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        check_n_clusters(n_clusters, len(self.children_) + 1)
        return cut(self.children_, int(n_clusters))

    def _linkage(self, X: np.ndarray) -> np.ndarray:
        if len(X) == 1:
            return np.empty((0, 4))
        needed = scipy_bytes(len(X))
        if self.method == "scipy" and needed > self.max_memory:
            raise MemoryError(
                f"average linkage of {len(X):,} samples in SciPy needs {needed / GiB:.1f} GiB, more than "
                f"max_memory={self.max_memory / GiB:.1f} GiB; method='low_memory' gives the same tree in less"
            )
        if self.method == "low_memory" or needed > self.max_memory:
            from clustlib.cluster._rnn_linkage import average_linkage

            Z, self.history_ = average_linkage(X, max_memory=self.max_memory)
            return Z
        from scipy.cluster.hierarchy import linkage

        return linkage(pairwise_distances(X), "average")


def scipy_bytes(n_samples: int) -> int:
    """Bytes of the condensed float64 distances and of the copy that SciPy's ``linkage`` works on."""
    return 8 * n_samples * (n_samples - 1)


def pairwise_distances(X: np.ndarray, block: int = 1024) -> np.ndarray:
    """Condensed Euclidean distances, (n(n-1)/2,) float64, by matrix products: SciPy's ``pdist`` order, 10x quicker.

    Pairs that cancellation would spoil (nearly equal points) are recomputed from their differences.
    """
    X = X.astype(np.float64)
    X -= X.mean(axis=0)
    norms = np.einsum("nd,nd->n", X, X)
    n = len(X)
    condensed = np.empty(n * (n - 1) // 2)
    end = 0
    for start in range(0, n, block):
        rows = X[start : start + block]
        squared = norms[start : start + block, None] + norms[None, start:] - 2 * (rows @ X[start:].T)
        mend(squared, rows, X[start:], norms[start : start + block], norms[start:], share=1e-6)
        distances = np.sqrt(squared, out=squared)
        for row in range(len(rows)):
            length = n - 1 - (start + row)
            condensed[end : end + length] = distances[row, row + 1 :]
            end += length
    return condensed


def cut(children: np.ndarray, n_clusters: int) -> np.ndarray:
    """Labels 0 .. n_clusters-1 in order of first appearance, from the first merges of a tree, (n_samples,) int64."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(children) + 1
    merges = n - n_clusters
    parents = np.repeat(np.arange(n, n + merges), 2)
    nodes = n + merges
    edges = coo_array((np.ones(2 * merges, bool), (parents, children[:merges].ravel())), shape=(nodes, nodes))
    _, labels = connected_components(edges, directed=False)
    _, first, inverse = np.unique(labels[:n], return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)
