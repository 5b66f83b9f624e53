"""What to do with clusters that have no affinity to any other.

The points of a small cluster can all have edges that nobody returns. Every affinity of that cluster is then zero, and
left alone it survives to the end while the others become one. A cluster of at most K points always has edges that
leave it, so this is an artefact of the directed graph, where a larger one may be a cluster in its own right.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array

from clustlib.kernels.linkage.forest import Forest, root_of
from clustlib.kernels.linkage.links import NONE, tidy

Force = Callable[[int, int], None]


class Centroids:
    """Centroids of the clusters of a forest, brought up to date before each question.

    Parameters
    ----------
    features : (N, D) floating
    forest : Forest before its first merge
    """

    def __init__(self, features: np.ndarray, forest: Forest) -> None:
        n = len(forest.node)
        member = csr_array((1 / forest.size[forest.label], (forest.label, np.arange(len(features)))))
        self.points = np.asarray(member.astype(features.dtype) @ (features - features.mean(axis=0)))  # (C, D)
        self.norm2 = np.einsum("ij,ij->i", self.points, self.points, dtype=np.float64)  # inf: cluster is gone
        self.sizes = forest.size.copy()
        self._place = np.concatenate([np.arange(n), np.full(n - 1, NONE)])  # row of each node
        self._forest, self._done = forest, 0

    def update(self) -> None:
        """Take in the merges made since the last call."""
        n = len(self.sizes)
        for step in range(self._done, int(self._forest.count[0])):
            low, high = self._place[self._forest.children[step]]
            share = self.sizes[high] / (self.sizes[low] + self.sizes[high])
            self.points[low] += self.points.dtype.type(share) * (self.points[high] - self.points[low])
            self.sizes[low] += self.sizes[high]
            self.norm2[low], self.norm2[high] = self.points[low].dot(self.points[low]), np.inf
            self._place[n + step] = low
            self._done = step + 1

    def nearest(self, c: int) -> tuple[float, int]:
        """Squared distance from cluster ``c`` to the nearest centroid, and that cluster's node."""
        row = self._place[self._forest.node[c]]
        d2 = self.norm2 + self.norm2[row] - 2.0 * (self.points @ self.points[row])
        d2[row] = np.inf
        best = int(np.argmin(d2))
        return float(d2[best]), int(np.flatnonzero(self._place == best)[-1])


def isolated_clusters(forest: Forest, largest: float) -> list[int]:
    """Clusters of at most ``largest`` vertices without a link to any other."""
    found = []
    for c in np.flatnonzero((forest.parent == np.arange(len(forest.parent))) & (forest.size <= largest)):
        tidy(forest.links, c)
        if forest.links.first[c] == NONE:
            found.append(int(c))
    return found


def join_to_nearest(forest: Forest, centroids: Centroids, clusters: list[int], force: Force) -> None:
    """Join each of ``clusters`` to the cluster whose centroid is nearest now, the nearest ones first."""
    centroids.update()
    cluster_of_node = {int(forest.node[c]): int(c) for c in np.flatnonzero(forest.size)}
    asked = sorted((*centroids.nearest(c), c) for c in clusters)
    for _, node, c in asked:
        a, b = root_of(forest.parent, c), root_of(forest.parent, cluster_of_node[node])
        if a != b:
            force(a, b)
