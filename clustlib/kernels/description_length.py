"""The description length of a graph at every cut of a merge tree (Zhang and Peixoto, Phys. Rev. Research 2, 2020).

The model is the microcanonical degree-corrected planted partition with uniform priors: B groups, one number of edges
inside groups and one between them. In nats, with E edges, e_in of them inside groups and e_out between, group r of
n_r points and degree sum d_r, point i of degree k_i, and A_ij edges between i and j::

    -ln P(A, k | b) = e_in ln(B / 2) + e_out ln(B (B - 1) / 2) - ln e_in! - ln e_out! + [B > 1] ln(E + 1)
                      + sum_r ln((d_r + n_r - 1)! / (n_r - 1)!) - sum_i ln k_i! + sum_(i<j) ln A_ij!
    -ln P(b)        = ln N! - sum_r ln n_r! + ln C(N - 1, B - 1) + ln N

A merge changes the terms of two groups and moves the edges between them inside, so all cuts together take one pass
over the merges and one over the edges: each edge is put down to the merge that brings its two ends together.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy.special import gammaln

from clustlib.kernels.linkage.tree import MergeTree


def description_length(tree: MergeTree, neighbours: np.ndarray) -> np.ndarray:
    """The description length of a k-NN graph's edges, and of the partition, at every cut of ``tree``.

    Parameters
    ----------
    tree : MergeTree
    neighbours : (N, K) integers
        Each row is K edges from a point to others, none of them itself. Directions are not looked at: two points
        that are neighbours of each other have two edges.

    Returns
    -------
    (C,) float64
        In nats, for 1 to C clusters; C is the number of leaves of the tree.

    Raises
    ------
    ValueError
        Neighbours that do not fit the tree's samples.
    """
    neighbours = _checked(neighbours, len(tree.initial))
    edges = neighbours.size
    inside = np.cumsum(np.bincount(joining_merges(tree, neighbours).ravel() + 1, minlength=tree.n_leaves))
    groups = np.arange(tree.n_leaves, 0, -1)
    degrees = np.bincount(neighbours.ravel(), minlength=len(neighbours)) + neighbours.shape[1]
    size = _node_sums(tree, np.ones(len(neighbours)))
    degree = _node_sums(tree, degrees)
    length = _edges_given_groups(edges, inside, groups)
    length += _over_clusters(tree, gammaln(degree + size) - gammaln(size) - gammaln(size + 1))
    length += _partition(len(neighbours), groups) - gammaln(degrees + 1).sum() + _repeated(neighbours)
    return length[::-1]


def joining_merges(tree: MergeTree, neighbours: np.ndarray) -> np.ndarray:
    """The merge, from 0, that brings each point and each of its neighbours together; -1 in the same leaf. (N, K) int64.

    With the leaves in the tree's order, the merge of two leaves is the last of those between them: a range maximum.
    """
    place, between = _leaf_order(tree.children)
    here, there = place[tree.initial][:, None], place[tree.initial][neighbours]
    low, high = np.minimum(here, there), np.maximum(here, there)
    apart = high > low
    found = np.full(neighbours.shape, -1)
    found[apart] = _range_maxima(between, low[apart], high[apart])
    return found


def _checked(neighbours: np.ndarray, n: int) -> np.ndarray:
    neighbours = np.asarray(neighbours)
    if neighbours.ndim != 2 or len(neighbours) != n or neighbours.dtype.kind not in "iu":
        raise ValueError(f"neighbours must be integers of shape ({n}, K), got {neighbours.dtype} {neighbours.shape}")
    if neighbours.size and not 0 <= neighbours.min() <= neighbours.max() < n:
        raise ValueError(f"neighbours must be from 0 to {n - 1}")
    if (neighbours == np.arange(n)[:, None]).any():
        raise ValueError("a point cannot be its own neighbour")
    return neighbours.astype(np.int64)


def _edges_given_groups(edges: int, inside: np.ndarray, groups: np.ndarray) -> np.ndarray:
    outside = edges - inside
    pairs = np.maximum(groups * (groups - 1) / 2, 1)  # one group has no edge outside: nothing to choose
    length = inside * np.log(groups / 2) + outside * np.log(pairs) - gammaln(inside + 1) - gammaln(outside + 1)
    return length + np.where(groups > 1, np.log(edges + 1), 0)


def _partition(n: int, groups: np.ndarray) -> np.ndarray:
    """ln N! + ln C(N - 1, B - 1) + ln N."""
    return gammaln(n + 1) + gammaln(n) - gammaln(groups) - gammaln(n - groups + 1) + np.log(n)


def _repeated(neighbours: np.ndarray) -> float:
    """Sum over pairs of points of ln A_ij!."""
    here = np.broadcast_to(np.arange(len(neighbours))[:, None], neighbours.shape)
    pairs = np.minimum(here, neighbours) * len(neighbours) + np.maximum(here, neighbours)
    return float(gammaln(np.unique(pairs, return_counts=True)[1] + 1).sum())


def _over_clusters(tree: MergeTree, values: np.ndarray) -> np.ndarray:
    """The sum over the clusters of one value a node, after 0 to C - 1 merges."""
    leaves = values[: tree.n_leaves].sum()
    made, merged = values[tree.n_leaves :], values[tree.children]
    return np.append(leaves, leaves + np.cumsum(made - merged.sum(axis=1)))


def _node_sums(tree: MergeTree, values: np.ndarray) -> np.ndarray:
    """Sum over each node's samples, leaves first, (2 C - 1,) float64."""
    return _summed(tree.children, np.bincount(tree.initial, values, tree.n_leaves))


@njit(cache=True)
def _summed(children, leaves):
    sums = np.empty(len(leaves) + len(children))
    sums[: len(leaves)] = leaves
    for step in range(len(children)):
        sums[len(leaves) + step] = sums[children[step, 0]] + sums[children[step, 1]]
    return sums


@njit(cache=True)
def _leaf_order(children):
    """Places (C,) of the leaves in an order without crossings, and (C - 1,) the merge that joins each to the next."""
    merges = len(children)
    first = np.zeros(2 * merges + 1, np.int64)  # place of each node's first leaf
    count = np.ones(2 * merges + 1, np.int64)
    between = np.empty(merges, np.int64)
    for step in range(merges):
        count[merges + 1 + step] = count[children[step, 0]] + count[children[step, 1]]
    for step in range(merges - 1, -1, -1):
        left, right = children[step]
        first[left] = first[merges + 1 + step]
        first[right] = first[left] + count[left]
        between[first[right] - 1] = step
    return first[: merges + 1], between


def _range_maxima(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Maxima of ``values[low:high]``, each the larger of two overlapping windows of a power of two."""
    level = np.frexp((high - low).astype(np.float64))[1] - 1
    found = np.empty(len(low), np.int64)
    windows, width = values, 1
    for power in range(level.max(initial=0) + 1):
        mine = level == power
        found[mine] = np.maximum(windows[low[mine]], windows[high[mine] - width])
        windows = np.maximum(windows[:-width], windows[width:])
        width *= 2
    return found
