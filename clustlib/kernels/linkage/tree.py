"""The merge tree: labels for any number of clusters without another run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustlib._validation import check_integer
from clustlib.errors import UsageError
from clustlib.kernels.linkage.initial import in_order_of_appearance


@dataclass(frozen=True)
class MergeTree:
    """A binary tree over initial clusters, in scikit-learn's convention.

    Attributes
    ----------
    initial : (N,) int32
        Initial cluster of every sample, 0 to C - 1: the leaves of the tree.
    children : (C - 1, 2) int64
        Nodes merged at each step, lower first: below C a leaf, otherwise the node made at step ``node - C``.
    heights : (C - 1,) float64
        Affinity of the two nodes when they were merged: at its largest first, not monotone; 0 where two clusters
        were merged that had none.
    sizes : (C - 1,) int64
        Samples under each new node.
    """

    initial: np.ndarray
    children: np.ndarray
    heights: np.ndarray
    sizes: np.ndarray

    @property
    def n_leaves(self) -> int:
        """Number of initial clusters."""
        return len(self.children) + 1

    def labels(self, n_clusters: int) -> np.ndarray:
        """Labels (N,) int64 of the tree cut at ``n_clusters``, numbered in the order of their first samples.

        Raises
        ------
        ValueError
            ``n_clusters`` is not an integer from 1 to the number of initial clusters.
        """
        check_integer("n_clusters", n_clusters, 1)
        if n_clusters > self.n_leaves:
            raise UsageError(f"n_clusters={n_clusters} is more than the {self.n_leaves} initial clusters")
        merges = self.n_leaves - int(n_clusters)
        root = np.arange(self.n_leaves + merges)
        root[self.children[:merges]] = np.arange(self.n_leaves, self.n_leaves + merges)[:, None]
        while (root[root] != root).any():
            root = root[root]
        return in_order_of_appearance(root[self.initial]).astype(np.int64)

    def linkage_matrix(self) -> np.ndarray:
        """SciPy's linkage matrix (N - 1, 4) over the samples, for ``scipy.cluster.hierarchy``.

        The samples of an initial cluster are joined at distance 0, and the t-th merge (from 1) at distance t:
        affinities do not fall monotonically, which dendrograms need and the order of merges gives. Cutting it with
        ``fcluster(Z, k, "maxclust")`` gives the clusters of ``labels(k)``.
        """
        n = len(self.initial)
        order = np.argsort(self.initial, kind="stable")
        counts = np.bincount(self.initial, minlength=self.n_leaves)
        ends = np.cumsum(counts)
        rank = np.arange(n) - np.repeat(ends - counts, counts)  # of each sample within its initial cluster
        joins = np.flatnonzero(rank > 0)
        rows = np.arange(len(joins))
        within = np.zeros((len(joins), 4))
        within[:, 0] = np.where(rank[joins] == 1, order[joins - 1], n + rows - 1)
        within[:, 1], within[:, 3] = order[joins], rank[joins] + 1
        # node of every initial cluster: its last join, or its only sample
        leaf = np.where(counts > 1, n + np.cumsum(counts - 1) - 1, order[ends - 1])
        node = np.concatenate([leaf, n + len(joins) + np.arange(len(self.children))])
        between = np.empty((len(self.children), 4))
        between[:, :2], between[:, 3] = node[self.children], self.sizes
        between[:, 2] = np.arange(1, len(self.children) + 1)
        between[:, :2].sort(axis=1)
        within[:, :2].sort(axis=1)
        return np.concatenate([within, between])


def subtree_sizes(children: np.ndarray, leaf_sizes: np.ndarray) -> np.ndarray:
    """Samples under each node that ``children`` (C - 1, 2) makes, int64."""
    sizes = np.concatenate([leaf_sizes.astype(np.int64), np.zeros(len(children), np.int64)])
    for step, (low, high) in enumerate(children):
        sizes[len(leaf_sizes) + step] = sizes[low] + sizes[high]
    return sizes[len(leaf_sizes) :]
