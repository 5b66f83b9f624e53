"""Merging by an affinity that is costly to compute but cheap to bound: path integral and zeta linkage.

A row's value is the largest bound or affinity of its pairs, so it is never below an affinity. Only the pair that comes
out on top is computed, until the one on top already is; the bounds are so close that few others ever are.
"""

from __future__ import annotations

import numpy as np

from clustlib.compiled import njit
from clustlib.kernels.linkage.forest import Forest, join, row_holds
from clustlib.kernels.linkage.gdl import FINISHED, ISOLATED, NO_AFFINITY
from clustlib.kernels.linkage.links import NONE, tidy
from clustlib.kernels.linkage.path import path_affinity, path_bound, path_union
from clustlib.kernels.linkage.rows import replay, replay_all, retire, set_row
from clustlib.kernels.linkage.walks import Walks, unite
from clustlib.kernels.linkage.zeta import zeta_affinity, zeta_bound

PATH, ZETA = 0, 1


@njit()
def bound(forest, walks, kind, z, pair):
    """The value of a pair as far as it is known: its affinity or more."""
    if walks.known[pair]:
        return walks.value[pair]
    return path_bound(forest, z, pair) if kind == PATH else zeta_bound(forest, z, pair)


@njit()
def compute(forest, walks, kind, pair):
    """Replace the bound of a pair by its affinity."""
    a, b = forest.links.end[2 * pair], forest.links.end[2 * pair + 1]
    walks.value[pair] = path_affinity(forest, walks, a, b) if kind == PATH else zeta_affinity(forest, walks, a, b)
    walks.known[pair] = True


@njit()
def look_through(forest, walks, kind, z, c):
    """Find the pair of cluster ``c`` with the highest bound."""
    links, node = forest.links, forest.node
    tidy(links, c)
    best, low, high, best_pair = 0.0, 0, 0, NONE
    item = links.first[c]
    while item != NONE:
        value = bound(forest, walks, kind, z, item >> 1)
        if value >= best and value > 0:
            d = links.end[item ^ 1]
            lo, hi = min(node[c], node[d]), max(node[c], node[d])
            if value > best or lo < low or (lo == low and hi < high):
                best, low, high, best_pair = value, lo, hi, item >> 1
        item = links.next[item]
    set_row(forest.rows, c, best, low, high, best_pair)


@njit()
def start_bounds(forest, walks, kind, z):
    """Fill every row."""
    for c in range(len(forest.node)):
        look_through(forest, walks, kind, z, c)
    replay_all(forest.rows)


@njit()
def merge_by_walks(forest, walks, kind, z, small, stop):
    """As :func:`.gdl.merge_by_affinity`."""
    rows, links = forest.rows, forest.links
    n = len(forest.node)
    while n - forest.done[0] > stop:
        c = rows.winner[1]
        if rows.value[c] <= 0:
            return NO_AFFINITY
        pair = rows.pair[c]
        if pair == NONE or not row_holds(rows, links.end, forest.node, c, bound(forest, walks, kind, z, pair)):
            look_through(forest, walks, kind, z, c)
            replay(rows, c)
        elif not walks.known[pair]:
            compute(forest, walks, kind, pair)
            look_through(forest, walks, kind, z, c)
            replay(rows, c)
        else:
            a = merge(forest, walks, kind, z, links.end[2 * pair], links.end[2 * pair + 1], rows.value[c])
            if forest.size[a] <= small and not exchanges(forest, a):
                return ISOLATED
    return FINISHED


@njit()
def merge(forest, walks, kind, z, a, b, height):
    """Join two clusters and bring walks and rows up to date; returns the cluster that goes on."""
    rows, links, node = forest.rows, forest.links, forest.node
    if kind == PATH:
        path_union(walks, a, b) if forest.size[a] < forest.size[b] else path_union(walks, b, a)
    a, b, _ = join(forest, a, b, height)
    unite(walks, a, b)
    retire(rows, b)
    tidy(links, a)
    item = links.first[a]
    while item != NONE:
        walks.known[item >> 1] = False
        d = links.end[item ^ 1]
        value = bound(forest, walks, kind, z, item >> 1)
        if value > rows.value[d]:
            set_row(rows, d, value, node[d], node[a], item >> 1)
            replay(rows, d)
        item = links.next[item]
    look_through(forest, walks, kind, z, a)
    replay(rows, a)
    return a


@njit()
def exchanges(forest, c):
    """Whether edges go both ways between ``c`` and any other cluster, without which there is no affinity."""
    links = forest.links
    item = links.first[c]
    while item != NONE:
        if links.end[item] == c and links.weight[item, 1] > 0 and links.weight[item ^ 1, 1] > 0:
            return True
        item = links.next[item]
    return False


@njit()
def isolated_clusters(forest, largest):
    """Clusters of at most ``largest`` vertices for which :func:`exchanges` is false."""
    isolated = []
    for c in range(len(forest.parent)):
        if forest.parent[c] == c and forest.size[c] <= largest and not exchanges(forest, c):
            isolated.append(c)
    return np.array(isolated, dtype=np.int64)


class ByWalks:
    """Merge the pair with the largest increment of the path integral, or of the zeta entropy.

    Parameters
    ----------
    forest, walks : see :func:`.path.path_forest` and :func:`.zeta.zeta_forest`
    kind : PATH or ZETA
    z : weight of a step
    """

    def __init__(self, forest: Forest, walks: Walks, kind: int, z: float) -> None:
        self._rule = walks, kind, z
        start_bounds(forest, *self._rule)

    def advance(self, forest: Forest, small: int, stop: int) -> int:
        """Merge until ``stop`` clusters are left; see :func:`merge_by_walks`."""
        return merge_by_walks(forest, *self._rule, small, stop)

    def merge(self, forest: Forest, a: int, b: int) -> None:
        """Merge two clusters at height 0."""
        merge(forest, *self._rule, a, b, 0.0)

    def isolated(self, forest: Forest, largest: float) -> np.ndarray:
        """Clusters of at most ``largest`` vertices that exchange edges both ways with no other."""
        return isolated_clusters(forest, largest)

    def in_contact(self, forest: Forest) -> bool:
        """Whether any two clusters are joined by an edge, so that merging others may yet give an affinity."""
        return bool((forest.links.end >= 0).any())
