"""What to do with clusters that have no affinity to any other.

The points of a small cluster can all have edges that nobody returns. Every affinity of that cluster is then zero, and
left alone it survives to the end while the others become one. A cluster of at most K points always has edges that
leave it, so this is an artefact of the directed graph, where a larger one may be a cluster in its own right.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
from scipy.sparse import csr_array

from clustlib.compiled import njit
from clustlib.kernels._neighbour_parts import rounding
from clustlib.kernels.differences import mend
from clustlib.kernels.linkage.forest import Forest, root_of
from clustlib.kernels.linkage.links import NONE


class Centroids:
    """Centroids of the clusters of a forest, brought up to date before each question.

    Parameters
    ----------
    features : (N, D) floating, or None where nobody will ask
    forest : Forest
    """

    def __init__(self, features: np.ndarray | None, forest: Forest) -> None:
        self._features, self._forest = features, forest
        self._done = NONE  # merges taken in

    def update(self) -> None:
        """Take in the merges made since the last call."""
        n = len(self._forest.node)
        if self._done == NONE:
            self._begin(n)
        for step in range(self._done, int(self._forest.done[0])):
            low, high = self._place[self._forest.children[step]]
            share = self.sizes[high] / (self.sizes[low] + self.sizes[high])
            self.points[low] += self.points.dtype.type(share) * (self.points[high] - self.points[low])
            self.sizes[low] += self.sizes[high]
            self.norm2[low], self.norm2[high] = self.points[low].dot(self.points[low]), np.inf
            self._place[n + step] = low
        self._done = int(self._forest.done[0])

    def _begin(self, n: int) -> None:
        assert self._features is not None
        label = self._forest.label
        self.sizes = np.bincount(label, minlength=n).astype(np.float64)
        share = (1 / self.sizes[label]).astype(self._features.dtype)
        self.points = np.asarray(csr_array((share, (label, np.arange(len(label))))) @ self._features)  # (C, D)
        self.points -= np.average(self.points, axis=0, weights=self.sizes).astype(self.points.dtype)
        self.norm2 = np.einsum("ij,ij->i", self.points, self.points, dtype=np.float64)  # inf: cluster is gone
        self._place = np.concatenate([np.arange(n), np.full(n - 1, NONE)])  # row of each node
        self._done = 0

    def of(self, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centroids (n, D) float64 and sizes (n,) of ``clusters`` (n,)."""
        rows = self._place[self._forest.node[clusters]]
        return self.points[rows].astype(np.float64), self.sizes[rows]

    def nearest(self, c: int) -> tuple[float, int]:
        """Squared distance from cluster ``c`` to the nearest centroid, and that cluster's node."""
        row = self._place[self._forest.node[c]]
        d2 = self.norm2 + self.norm2[row] - 2.0 * (self.points @ self.points[row])
        d2[row] = np.inf
        best = self._nearest_of(d2, row)
        return float(d2[best]), int(np.flatnonzero(self._place == best)[-1])

    def _nearest_of(self, d2: np.ndarray, row: int) -> int:
        """The smallest of ``d2`` (C,), where the products cannot tell by the differences; those are put in."""
        best = int(np.argmin(d2))
        furthest = self.norm2[np.isfinite(self.norm2)].max()
        unit = float(np.finfo(self.points.dtype).eps) / 2
        error = rounding(self.points.shape[1], unit) * (self.norm2[row] ** 0.5 + furthest**0.5) ** 2
        if d2[best] >= error:
            return best
        near = np.flatnonzero(d2 <= d2[best] + 2 * error)
        d2[near] = np.square(self.points[near].astype(np.float64) - self.points[row]).sum(axis=1)
        return int(near[np.argmin(d2[near])])


def remaining(forest: Forest) -> np.ndarray:
    """The clusters there are now, (n,) int64."""
    return np.flatnonzero(forest.parent == np.arange(len(forest.parent)))


def to_nearest(forest: Forest, centroids: Centroids, clusters: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pairs to join so that each of ``clusters`` joins the one whose centroid is nearest now, shortest way first."""
    centroids.update()
    at = {int(forest.node[c]): int(c) for c in remaining(forest)}
    for _, node, c in sorted((*centroids.nearest(c), c) for c in clusters.tolist()):
        a, b = root_of(forest.parent, c), root_of(forest.parent, at[node])
        if a != b:
            yield a, b


def released_joins(
    forest: Forest, centroids: Centroids, isolated: Callable[[Forest, float], np.ndarray], shrink: bool
) -> Iterator[tuple[int, int]]:
    """JULE.torch's pairs to join before the first merge: in the order of the clusters, to the first nearest centroid.

    With its fast update it also weighs the merged row of the table of affinities by the partner's share of the
    samples (``shrink``).
    """
    centroids.update()
    nearest = {c: centroids.nearest(c)[1] for c in isolated(forest, np.inf).tolist()}
    for c, node in nearest.items():
        a, b = root_of(forest.parent, c), root_of(forest.parent, node)
        if a == b or a not in isolated(forest, np.inf):
            continue
        share = forest.size[b] / (forest.size[a] + forest.size[b])
        yield a, b
        if shrink:
            weigh_row(forest, root_of(forest.parent, a), share)


@njit()
def weigh_row(forest, c, factor):
    """Multiply S(c; x) by ``factor`` for all x; rows stay high enough."""
    item = forest.links.first[c]
    while item != NONE:
        forest.links.weight[item, 0] *= factor
        item = forest.links.next[item]


def lowest_nodes(forest: Forest) -> tuple[int, int]:
    """The two clusters with the lowest nodes: what the rule for ties merges at affinity 0."""
    left = remaining(forest)
    a, b = left[np.argsort(forest.node[left])[:2]]
    return int(a), int(b)


def cheapest_by_ward(forest: Forest, centroids: Centroids) -> tuple[int, int]:
    """The two clusters whose union adds least to the variance within clusters (Ward 1963)."""
    centroids.update()
    left = remaining(forest)
    points, sizes = centroids.of(left)
    norm2 = (points**2).sum(axis=1)
    d2 = norm2[:, None] + norm2 - 2 * points @ points.T
    mend(d2, points, points, norm2, norm2)
    cost = d2 / (1 / sizes[:, None] + 1 / sizes)
    cost[np.tril_indices(len(left))] = np.inf
    a, b = np.unravel_index(np.argmin(cost), cost.shape)
    return int(left[a]), int(left[b])


def finish_in_order(forest: Forest) -> None:
    """Merge what is left at affinity 0, always the two lowest nodes."""
    queue = deque(sorted(int(node) for node in forest.node[remaining(forest)]))
    while len(queue) > 1:
        queue.append(_record(forest, queue.popleft(), queue.popleft()))


def finish_by_ward(forest: Forest, centroids: Centroids) -> None:
    """Merge what is left at affinity 0, always as :func:`cheapest_by_ward`."""
    centroids.update()
    left = remaining(forest)
    node = [int(v) for v in forest.node[left]]
    for i, j in ward_merges(*centroids.of(left)):
        node[j] = _record(forest, node[i], node[j])


def _record(forest: Forest, a: int, b: int) -> int:
    """Add a merge of two nodes to the tree, with height 0; returns the new node."""
    step = int(forest.done[0])
    forest.children[step] = min(a, b), max(a, b)
    forest.heights[step] = 0.0
    forest.done[0] += 1
    return len(forest.node) + step


def ward_merges(points: np.ndarray, sizes: np.ndarray) -> list[tuple[int, int]]:
    """Ward's merges of weighted points, cheapest first: (i, j) where the cluster known as i goes into that known as j.

    Follows chains of nearest neighbours, which gives the greedy tree because Ward's criterion is reducible.

    Parameters
    ----------
    points : (n, D) float64
    sizes : (n,) float64
        Weights of the points.
    """
    points, sizes = points.copy(), sizes.astype(np.float64)
    gone = np.zeros(len(points), bool)
    merges: list[tuple[float, int, int]] = []
    floor = np.zeros(len(points))  # a parent costs no less than its parts, rounding aside
    chain: list[int] = []
    while len(merges) < len(points) - 1:
        if not chain:
            chain.append(int(np.argmin(gone)))
        i = chain[-1]
        cost = sizes * sizes[i] / (sizes + sizes[i]) * ((points - points[i]) ** 2).sum(axis=1)
        cost[gone] = cost[i] = np.inf
        j = int(np.argmin(cost))
        if len(chain) < 2 or cost[chain[-2]] > cost[j]:
            chain.append(j)
            continue
        j = chain[-2]
        del chain[-2:]
        floor[j] = max(cost[j], floor[i], floor[j])
        merges.append((floor[j], i, j))
        points[j] += sizes[i] / (sizes[i] + sizes[j]) * (points[i] - points[j])
        sizes[j] += sizes[i]
        gone[i] = True
    order = sorted(range(len(merges)), key=lambda m: (merges[m][0], m))
    return [(merges[m][1], merges[m][2]) for m in order]
