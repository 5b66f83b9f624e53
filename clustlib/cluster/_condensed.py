"""Nearest-neighbour chain on a condensed table of mean distances, in place."""

import numpy as np

from clustlib.compiled import njit


@njit(inline="always")
def condensed_start(i, m):
    """Index of the pair (i, i+1) in a condensed table of m items (SciPy's order)."""
    return i * (2 * m - i - 1) // 2


@njit(inline="always")
def _pair(i, j, m):
    if i > j:
        i, j = j, i
    return i * (2 * m - i - 1) // 2 + j - i - 1


@njit()
def average_linkage_chain(table, sizes):
    """Average linkage of m clusters, (m-1, 4) merges with the children's nodes, height and size, in chain order.

    ``table`` (m(m-1)/2,) float32 or float64 is overwritten; ``sizes`` (m,) int64 are the clusters' sample counts.
    A merge keeps the slot of its larger index, as in Müllner's "Modern hierarchical, agglomerative clustering
    algorithms" (2011), algorithm NN-chain; the update is Lance and Williams's for means.
    """
    m = len(sizes)
    size, node = sizes.copy(), np.arange(m)
    alive = np.arange(m)  # the first n_alive entries, ascending
    n_alive = m
    merges = np.empty((m - 1, 4))
    chain = np.empty(m, np.int64)
    length = 0
    for step in range(m - 1):
        if length == 0:
            chain[0], length = alive[0], 1
        while True:
            x = chain[length - 1]
            y, best = -1, np.inf
            if length > 1:  # prefer the predecessor among equals, or the chain would not end
                y = chain[length - 2]
                best = table[_pair(x, y, m)]
            for s in range(n_alive):
                i = alive[s]
                if i != x:
                    d = table[_pair(x, i, m)]
                    if d < best:
                        best, y = d, i
            if length > 1 and y == chain[length - 2]:
                break
            chain[length] = y
            length += 1
        length -= 2
        x, y = min(x, y), max(x, y)
        merges[step, 0], merges[step, 1] = node[x], node[y]
        merges[step, 2], merges[step, 3] = best, size[x] + size[y]
        share_x = size[x] / (size[x] + size[y])
        n_left = 0
        for s in range(n_alive):
            i = alive[s]
            if i == x:
                continue
            alive[n_left] = i
            n_left += 1
            if i != y:
                k = _pair(y, i, m)
                table[k] = share_x * table[_pair(x, i, m)] + (1.0 - share_x) * table[k]
        n_alive = n_left
        size[y] += size[x]
        node[y] = m + step
    return merges
