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

from numbers import Real

import numpy as np
from scipy.special import gammaln

from clustlib._arrays import array_of, check_made, check_within, shown
from clustlib._validation import check_number
from clustlib.compiled import njit
from clustlib.errors import UsageError
from clustlib.kernels.linkage.tree import MergeTree


def description_lengths(tree: MergeTree, edges: np.ndarray, price: float = 0.0) -> np.ndarray:
    """The description length of a graph's edges, and of the partition, at every cut of ``tree``.

    Parameters
    ----------
    tree : MergeTree
    edges : (E, 2) integers
        Pairs of different samples, each an edge whose direction is not looked at; a pair may be there many times.
    price : float
        Nats that every edge between groups costs on top of the model's.

    Returns
    -------
    (C,) float64
        In nats, for 1 to C clusters; C is the number of leaves of the tree.

    Raises
    ------
    ValueError
        Edges that do not fit the tree's samples; a price that is not finite.
    """
    check_made("tree", tree, "a MergeTree", "initial", "children")
    n = len(tree.initial)
    edges = _checked(edges, n)
    if not isinstance(price, Real):
        raise UsageError(f"price must be a number, got {shown(price)}")
    check_number("price", abs(price), zero=True)
    inside = np.cumsum(np.bincount(joining_merges(tree, edges) + 1, minlength=tree.n_leaves))
    groups = np.arange(tree.n_leaves, 0, -1)
    degrees = np.bincount(edges.ravel(), minlength=n)
    size, degree = _node_sums(tree, np.ones(n)), _node_sums(tree, degrees)
    length = _edges_given_groups(len(edges), inside, groups) + price * (len(edges) - inside)
    length += _over_clusters(tree, gammaln(degree + size) - gammaln(size) - gammaln(size + 1))
    length += _partition(n, groups) - gammaln(degrees + 1).sum() + _repeated(edges, n)
    return length[::-1]


def mutual_edges(neighbours: np.ndarray) -> np.ndarray:
    """The edges of a k-NN graph (N, K) between points that are neighbours of each other, both directions. (E, 2)."""
    neighbours = array_of("neighbours", neighbours, "(N, K)", "iu")
    n, k = neighbours.shape
    check_within("neighbours", neighbours, n)
    here, there = np.repeat(np.arange(n), k), neighbours.ravel().astype(np.int64)
    known = np.isin(there * n + here, here * n + there)
    return np.stack([here[known], there[known]], axis=1)


def joining_merges(tree: MergeTree, edges: np.ndarray) -> np.ndarray:
    """The merge, from 0, that brings the two ends of each edge together; -1 for both in one leaf. (E,) int64.

    With the leaves in the tree's order, the merge of two leaves is the last of those between them: a range maximum.
    """
    place, between = _leaf_order(tree.children)
    ends = np.sort(place[tree.initial][edges], axis=1)
    low, high = ends.T
    found = np.full(len(edges), -1)
    apart = high > low
    found[apart] = _range_maxima(between, low[apart], high[apart])
    return found


def _checked(edges: np.ndarray, n: int) -> np.ndarray:
    edges = array_of("edges", edges, "(E, 2)", "iu")
    check_within("edges", edges, n)
    if (edges[:, 0] == edges[:, 1]).any():
        raise UsageError("an edge must join two different samples")
    return edges.astype(np.int64)


def _edges_given_groups(edges: int, inside: np.ndarray, groups: np.ndarray) -> np.ndarray:
    outside = edges - inside
    pairs = np.maximum(groups * (groups - 1) / 2, 1)  # one group has no edge outside: nothing to choose
    length = inside * np.log(groups / 2) + outside * np.log(pairs) - gammaln(inside + 1) - gammaln(outside + 1)
    return length + np.where(groups > 1, np.log(edges + 1), 0)


def _partition(n: int, groups: np.ndarray) -> np.ndarray:
    """ln N! + ln C(N - 1, B - 1) + ln N."""
    return gammaln(n + 1) + gammaln(n) - gammaln(groups) - gammaln(n - groups + 1) + np.log(n)


def _repeated(edges: np.ndarray, n: int) -> float:
    """Sum over pairs of points of ln A_ij!."""
    low, high = np.sort(edges, axis=1).T
    return float(gammaln(np.unique(low * n + high, return_counts=True)[1] + 1).sum())


def _over_clusters(tree: MergeTree, values: np.ndarray) -> np.ndarray:
    """The sum over the clusters of one value a node, after 0 to C - 1 merges."""
    leaves = values[: tree.n_leaves].sum()
    made, merged = values[tree.n_leaves :], values[tree.children]
    return np.append(leaves, leaves + np.cumsum(made - merged.sum(axis=1)))


def _node_sums(tree: MergeTree, values: np.ndarray) -> np.ndarray:
    """Sum over each node's samples, leaves first, (2 C - 1,) float64."""
    return _summed(tree.children, np.bincount(tree.initial, values, tree.n_leaves))


@njit()
def _summed(children, leaves):
    sums = np.empty(len(leaves) + len(children))
    sums[: len(leaves)] = leaves
    for step in range(len(children)):
        sums[len(leaves) + step] = sums[children[step, 0]] + sums[children[step, 1]]
    return sums


@njit()
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
    maxima = np.empty(len(low), np.int64)
    windows, width = values, 1
    for power in range(level.max(initial=0) + 1):
        mine = level == power
        maxima[mine] = np.maximum(windows[low[mine]], windows[high[mine] - width])
        windows = np.maximum(windows[:-width], windows[width:])
        width *= 2
    return maxima
