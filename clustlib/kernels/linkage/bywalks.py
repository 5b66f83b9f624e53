"""Merging by an affinity that is costly to compute but cheap to bound: path integral and zeta linkage.

A row's value is the largest bound or value of its pairs, so it is never below an affinity. The pair that comes out on
top is computed more exactly until the one on top is as exact as can be; few others ever are.
"""

from __future__ import annotations

from numba import njit

from clustlib.kernels.linkage.forest import Forest, join
from clustlib.kernels.linkage.gdl import FINISHED, ISOLATED, NO_AFFINITY
from clustlib.kernels.linkage.links import NONE, tidy
from clustlib.kernels.linkage.path import path_affinity, path_bound, path_union
from clustlib.kernels.linkage.rows import replay, replay_all, retire, set_row
from clustlib.kernels.linkage.walks import Walks, unite
from clustlib.kernels.linkage.zeta import LONGEST, REACH, ROUGH, zeta_affinity, zeta_bound, zeta_rest

PATH, ZETA = 0, 1
_EXACT = 2  # level of a value that is not refined further


@njit(cache=True)
def bound(forest, walks, kind, z, pair):
    """The value of a pair as far as it is known: its affinity or more."""
    if walks.level[pair] > 0:
        return walks.value[pair]
    return path_bound(forest, z, pair) if kind == PATH else zeta_bound(forest, z, pair)


@njit(cache=True)
def refine(forest, walks, kind, z, pair):
    """Compute a pair one level more exactly."""
    a, b = forest.links.end[2 * pair], forest.links.end[2 * pair + 1]
    if kind == PATH:
        walks.value[pair] = path_affinity(forest, walks, a, b)
        walks.level[pair] = _EXACT
    elif walks.level[pair] == 0:
        walks.value[pair] = zeta_affinity(forest, walks, a, b, ROUGH, ROUGH - 2) + zeta_rest(forest, z, pair, ROUGH + 1)
        walks.level[pair] = 1
    else:
        walks.value[pair] = zeta_affinity(forest, walks, a, b, LONGEST, REACH)
        walks.level[pair] = _EXACT


@njit(cache=True)
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
    replay(forest.rows, c)


@njit(cache=True)
def merge_by_walks(forest, walks, kind, z, small, stop):
    """As :func:`.gdl.merge_by_affinity`."""
    rows, links = forest.rows, forest.links
    n = len(forest.node)
    while n - forest.count[0] > stop:
        c = rows.winner[1]
        if rows.value[c] <= 0:
            return NO_AFFINITY
        pair = rows.pair[c]
        if pair == NONE or links.end[2 * pair] == NONE or bound(forest, walks, kind, z, pair) != rows.value[c]:
            look_through(forest, walks, kind, z, c)
        elif walks.level[pair] < _EXACT:
            refine(forest, walks, kind, z, pair)
            look_through(forest, walks, kind, z, c)
        else:
            a = merge(forest, walks, kind, z, links.end[2 * pair], links.end[2 * pair + 1], rows.value[c])
            if forest.size[a] <= small and rows.value[a] <= 0:
                return ISOLATED
    return FINISHED
