"""Average linkage for more samples than a table of their distances leaves memory for.

The mean of Euclidean distances has no sufficient statistic (no centroid gives it), so the distances themselves are
needed. They are computed block by block, reduced to means between clusters and dropped. Average linkage is
reducible: merging two clusters that are each other's nearest never takes from a third its nearer neighbour, so all
reciprocal nearest neighbours of a pass can be merged at once without changing the dendrogram. A few passes bring
the number of clusters down to where one float32 table of their mean distances fits; the nearest-neighbour chain
with the Lance-Williams update then finishes in memory.
"""

from collections.abc import Iterator

import numba as nb
import numpy as np

from clustlib.cluster._condensed import average_linkage_chain, condensed_start
from clustlib.cluster._rows import identical_rows
from clustlib.compiled import njit

GiB = 1 << 30
BLOCK = 512  # rows of a distance block at most
STALLED = 0.002  # a pass that merges a smaller share of the clusters than this will not get there


class _Partition:
    """The current clusters of the samples, the tree nodes they stand for, and the merges so far."""

    def __init__(self, n_samples: int) -> None:
        self.labels = np.arange(n_samples)
        self.nodes = np.arange(n_samples)
        self.sizes = np.ones(n_samples, np.int64)
        self.merges: list[tuple[int, int, float, int]] = []

    def merge(self, pairs: np.ndarray, heights: np.ndarray) -> None:
        """Join disjoint pairs of clusters (p, 2) at their heights and renumber."""
        n_samples, m = len(self.labels), len(self.sizes)
        target = np.arange(m)
        for (a, b), height in zip(pairs, heights):
            size = int(self.sizes[a] + self.sizes[b])
            self.merges.append((int(self.nodes[a]), int(self.nodes[b]), float(height), size))
            self.nodes[a], self.sizes[a] = n_samples + len(self.merges) - 1, size
            target[b] = a
        kept = np.flatnonzero(target == np.arange(m))
        self.labels = np.searchsorted(kept, target)[self.labels]
        self.nodes, self.sizes = self.nodes[kept], self.sizes[kept]


def average_linkage(X: np.ndarray, *, max_memory: float) -> tuple[np.ndarray, list[dict[str, int]]]:
    """Linkage matrix (n-1, 4) of ``X`` (n, d) and one ``{"round", "n_clusters"}`` per pass over the distances.

    Raises
    ------
    MemoryError
        The passes stall before the table of mean distances fits in ``max_memory`` bytes (rows of points with ever
        growing gaps do that; images do not), or ``max_memory`` does not even hold the working arrays.
    """
    from tqdm.auto import tqdm

    n, dim = X.shape
    block = int(np.clip(max_memory / 8 / (24 * n), 16, BLOCK))
    working = 8 * n * (dim + 3 * block)  # X, and a block three times, in float64
    if working > max_memory:
        raise MemoryError(
            f"average linkage of {n:,} x {dim} features works in {working / GiB:.2f} GiB beside its table, more than "
            f"max_memory={max_memory / GiB:.2f} GiB"
        )
    for_table = max_memory - working
    clusters = _Partition(n)
    _merge_duplicates(clusters, X)
    X = X.astype(np.float64)
    X -= X.mean(axis=0)
    history = [{"round": 0, "n_clusters": len(clusters.sizes)}]
    while table_bytes(len(clusters.sizes)) > for_table:
        before = len(clusters.sizes)
        with tqdm(total=n, desc=f"nearest of {before:,} clusters", leave=False, delay=2) as bar:
            nearest, distance = _nearest(X, clusters, block, bar)
        first = np.flatnonzero((nearest[nearest] == np.arange(before)) & (np.arange(before) < nearest))
        clusters.merge(np.column_stack([first, nearest[first]]), distance[first])
        history.append({"round": len(history), "n_clusters": len(clusters.sizes)})
        needed = table_bytes(len(clusters.sizes))
        if len(first) < STALLED * before and needed > for_table:
            raise MemoryError(
                f"average linkage is left with {len(clusters.sizes):,} clusters whose mean distances need "
                f"{needed / GiB:.1f} GiB, more than max_memory={max_memory / GiB:.1f} GiB leaves, and these data "
                "merge too few reciprocal nearest neighbours per pass to get below"
            )
    with tqdm(total=n, desc=f"distances of {len(clusters.sizes):,} clusters", leave=False, delay=2) as bar:
        table = _table(X, clusters, block, bar)
    tail = average_linkage_chain(table, clusters.sizes)
    return _assemble(clusters, tail, n), history


def table_bytes(n_clusters: int) -> int:
    """Bytes of a condensed float32 table of ``n_clusters`` clusters."""
    return 2 * n_clusters * (n_clusters - 1)


def _merge_duplicates(clusters: _Partition, X: np.ndarray) -> None:
    """Join equal rows at height 0: thousands of ties would otherwise be one reciprocal pair per pass."""
    group = identical_rows(X)
    while True:
        order = np.argsort(group, kind="stable")
        same = group[order[:-1]] == group[order[1:]]
        position = np.arange(len(order)) - np.maximum.accumulate(
            np.where(np.r_[True, ~same], np.arange(len(order)), 0)
        )  # within its group
        left = np.flatnonzero(same & (position[:-1] % 2 == 0))
        if not len(left):
            return
        pairs = np.sort(np.column_stack([order[left], order[left + 1]]), axis=1)
        survivors = np.setdiff1d(np.arange(len(group)), pairs[:, 1])
        clusters.merge(pairs, np.zeros(len(pairs)))
        group = group[survivors]


def _distance_blocks(X: np.ndarray, clusters: _Partition, block: int, bar) -> Iterator[tuple[int, np.ndarray]]:
    """Yield ``(first, means)``: mean distances (rows, m - first) of clusters first .. first+rows-1 to first .. m-1."""
    _sort_samples(X, clusters)
    norms = np.einsum("nd,nd->n", X, X)
    sizes = clusters.sizes.astype(np.float64)
    bounds = np.r_[0, np.cumsum(clusters.sizes)]
    first, m = 0, len(sizes)
    while first < m:
        last = max(first + 1, int(np.searchsorted(bounds, bounds[first] + block, side="right")) - 1)
        means = np.zeros((last - first, m - first))
        start = bounds[first]
        for row in range(start, bounds[last], block):
            stop = min(row + block, bounds[last])
            products = X[row:stop] @ X[start:].T
            rows = clusters.labels[row:stop] - first
            _add_distances(products, X, row, start, norms, rows, bounds[first:], means)
            bar.update(stop - row)
        means /= sizes[first:last, None]
        means /= sizes[first:]
        yield first, means
        first = last


def _sort_samples(X: np.ndarray, clusters: _Partition) -> None:
    """Bring each cluster's samples together, in place: only the clusters' nodes matter for the tree."""
    order = np.argsort(clusters.labels, kind="stable")
    clusters.labels = clusters.labels[order]
    for column in range(0, X.shape[1], 64):
        X[:, column : column + 64] = X[order, column : column + 64]


@njit(parallel=True)
def _add_distances(products, X, row, start, norms, row_cluster, bounds, sums):
    """Add to ``sums[c, k]`` the distances of the block's rows in cluster c to all members of cluster k."""
    n_rows, m = products.shape[0], len(bounds) - 1
    reduced = np.empty((n_rows, m))
    for r in nb.prange(n_rows):
        i = row + r
        for k in range(m):
            total = 0.0
            for j in range(bounds[k], bounds[k + 1]):
                scale = norms[i] + norms[j]
                squared = scale - 2.0 * products[r, j - start]
                if squared < 1e-6 * scale:  # cancellation: take the difference itself
                    squared = 0.0
                    for f in range(X.shape[1]):
                        squared += (X[i, f] - X[j, f]) ** 2
                total += np.sqrt(squared)
            reduced[r, k] = total
    chunk = 1024
    for c in nb.prange((m + chunk - 1) // chunk):
        for r in range(n_rows):
            for k in range(c * chunk, min((c + 1) * chunk, m)):
                sums[row_cluster[r], k] += reduced[r, k]


def _nearest(X: np.ndarray, clusters: _Partition, block: int, bar) -> tuple[np.ndarray, np.ndarray]:
    """Nearest other cluster of each cluster, (m,) int64 (the smallest index among equals), and its mean distance."""
    m = len(clusters.sizes)
    nearest, distance = np.full(m, -1), np.full(m, np.inf)
    for first, means in _distance_blocks(X, clusters, block, bar):
        _update_nearest(first, means, nearest, distance)
    return nearest, distance


@njit(parallel=True)
def _update_nearest(first, means, nearest, distance):
    rows, columns = means.shape
    for r in nb.prange(rows):
        i = first + r
        for k in range(r + 1, columns):
            if means[r, k] < distance[i]:
                nearest[i], distance[i] = first + k, means[r, k]
    chunk = 1024
    for c in nb.prange((columns + chunk - 1) // chunk):
        for r in range(rows):
            for k in range(max(c * chunk, r + 1), min((c + 1) * chunk, columns)):
                j = first + k
                if means[r, k] < distance[j]:
                    nearest[j], distance[j] = first + r, means[r, k]


def _table(X: np.ndarray, clusters: _Partition, block: int, bar) -> np.ndarray:
    """Condensed mean distances between the clusters, (m(m-1)/2,) float32."""
    m = len(clusters.sizes)
    table = np.empty(m * (m - 1) // 2, np.float32)
    for first, means in _distance_blocks(X, clusters, block, bar):
        for r in range(len(means)):
            begin = condensed_start(first + r, m)
            table[begin : begin + m - 1 - (first + r)] = means[r, r + 1 :]
    return table


def _assemble(clusters: _Partition, tail: np.ndarray, n: int) -> np.ndarray:
    """One SciPy linkage matrix from the early merges and the chain's, in order of height."""
    early = len(clusters.merges)
    Z = np.array(clusters.merges + [tuple(row) for row in tail], dtype=np.float64).reshape(-1, 4)
    children = tail[:, :2].astype(np.int64)
    nodes = np.r_[clusters.nodes, n + early + np.arange(len(tail))]
    Z[early:, :2] = nodes[children]
    return sort_merges(Z)


def sort_merges(Z: np.ndarray) -> np.ndarray:
    """Order merges by height, children first, and renumber the nodes (n + row) they form."""
    n = len(Z) + 1
    _lift_to_children(Z, n)  # rounding may leave a parent an ulp below its child
    order = np.argsort(Z[:, 2], kind="stable")
    renumbered = np.empty(2 * n - 1)
    renumbered[:n] = np.arange(n)
    renumbered[n + order] = n + np.arange(n - 1)
    Z = Z[order]
    Z[:, :2] = np.sort(renumbered[Z[:, :2].astype(np.int64)], axis=1)
    return Z


@njit()
def _lift_to_children(Z, n):
    for row in range(len(Z)):
        for child in (int(Z[row, 0]), int(Z[row, 1])):
            if child >= n and Z[child - n, 2] > Z[row, 2]:
                Z[row, 2] = Z[child - n, 2]
