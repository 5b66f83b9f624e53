"""JULE's merge criterion, Eq. (7): affinity plus how far the nearest cluster stands out among the K_c nearest."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from clustlib.compiled import njit
from clustlib.kernels.linkage.forest import Forest, has_room, join
from clustlib.kernels.linkage.gdl import (
    FINISHED,
    ISOLATED,
    NO_AFFINITY,
    NO_ROOM,
    affinity,
    in_contact,
    isolated_clusters,
)
from clustlib.kernels.linkage.links import NONE, tidy
from clustlib.kernels.linkage.rows import replay, replay_all, retire, set_row

RELEASED_COLUMNS = 100  # JULE.torch looks at local structure only while there are more clusters


class Local(NamedTuple):
    """Eq. (7) and its released form.

    Attributes
    ----------
    k_c : int
        Clusters in a neighbourhood; what is missing to ``k_c`` counts as affinity 0.
    weight : float
        lambda.
    triangle : bool
        JULE.torch: a cluster compares only with clusters before it in its table, which it keeps without gaps by
        moving the last cluster to the place of the one that goes; and only while there are more than 100.
    place, at : (C,) int32
        Place of each cluster in that table, and the cluster at each place.
    """

    k_c: int
    weight: float
    triangle: bool
    place: np.ndarray
    at: np.ndarray


@njit()
def score_row(forest, power, local, c):
    """Eq. (7) for cluster ``c`` and its nearest cluster: a_1 + lambda / (K_c - 1) sum over k > 1 of (a_1 - a_k)."""
    links, node = forest.links, forest.node
    left = len(node) - forest.done[0]
    top = np.zeros(min(local.k_c, len(node)))
    nearest = NONE
    low, high = 0, 0
    tidy(links, c)
    item = links.first[c]
    while item != NONE:
        d = links.end[item ^ 1]
        value = affinity(links.end, links.weight, forest.size, power, item >> 1)
        lo, hi = min(node[c], node[d]), max(node[c], node[d])
        if local.triangle and local.place[d] > local.place[c]:
            value = 0.0
        if value > top[0] or (nearest != NONE and value == top[0] and (lo < low or (lo == low and hi < high))):
            nearest, low, high = item >> 1, lo, hi
        k = len(top) - 1
        if value > top[k]:
            while k > 0 and top[k - 1] < value:
                top[k] = top[k - 1]
                k -= 1
            top[k] = value
        item = links.next[item]
    score = top[0]
    if local.k_c > 1 and not (local.triangle and left <= RELEASED_COLUMNS):
        missing = local.k_c - len(top)
        score += local.weight / (local.k_c - 1) * ((top[0] - top[1:]).sum() + missing * top[0])
    set_row(forest.rows, c, score if nearest != NONE else 0.0, low, high, nearest)


@njit()
def start_scores(forest, power, local):
    """Score every cluster."""
    for c in range(len(forest.node)):
        if forest.parent[c] == c:
            score_row(forest, power, local, c)
    replay_all(forest.rows)


@njit()
def merge_by_local_structure(forest, power, local, small, stop):
    """As :func:`.gdl.merge_by_affinity`, with the criterion of Eq. (7)."""
    rows, links = forest.rows, forest.links
    n = len(forest.node)
    while n - forest.done[0] > stop:
        c = rows.winner[1]
        if rows.value[c] <= 0:
            return NO_AFFINITY
        a, b = links.end[2 * rows.pair[c]], links.end[2 * rows.pair[c] + 1]
        if not has_room(forest, a, b):
            return NO_ROOM
        height = affinity(links.end, links.weight, forest.size, power, rows.pair[c])
        a = merge_locally(forest, power, local, a, b, height)
        if forest.size[a] <= small and links.first[a] == NONE:
            return ISOLATED
    return FINISHED


@njit()
def merge_locally(forest, power, local, a, b, height):
    """Join two clusters and score the merged one and all its neighbours anew; returns the cluster that goes on."""
    lower = min(local.place[a], local.place[b])
    freed = max(local.place[a], local.place[b])
    a, b, _ = join(forest, a, b, height)
    retire(forest.rows, b)
    if not local.triangle:
        _rescore_around(forest, power, local, a)
        return a
    last = len(forest.node) - forest.done[0]
    local.at[freed] = local.at[last]
    local.place[local.at[freed]] = freed
    local.at[lower], local.place[a] = a, lower
    if last == RELEASED_COLUMNS:
        start_scores(forest, power, local)
        return a
    _rescore_around(forest, power, local, a)
    if freed < last:
        _rescore_around(forest, power, local, local.at[freed])
    return a


@njit()
def _rescore_around(forest, power, local, c):
    links = forest.links
    score_row(forest, power, local, c)
    replay(forest.rows, c)
    item = links.first[c]
    while item != NONE:
        score_row(forest, power, local, links.end[item ^ 1])
        replay(forest.rows, links.end[item ^ 1])
        item = links.next[item]


class ByLocalStructure:
    """Merge the cluster with the best score of Eq. (7) with its nearest cluster.

    Parameters
    ----------
    forest : Forest before the first merge
    power : see :func:`.gdl.gdl_forest`
    k_c, weight : K_c and lambda
    released : as JULE.torch, see :class:`Local`
    """

    def __init__(self, forest: Forest, power: int, k_c: int, weight: float, released: bool) -> None:
        places = np.arange(len(forest.node), dtype=np.int32)
        self._rule = power, Local(k_c, weight, released, places, places.copy())
        start_scores(forest, *self._rule)

    def advance(self, forest: Forest, small: int, stop: int) -> int:
        """Merge until ``stop`` clusters are left; see :func:`merge_by_local_structure`."""
        return merge_by_local_structure(forest, *self._rule, small, stop)

    def merge(self, forest: Forest, a: int, b: int) -> None:
        """Merge two clusters at height 0."""
        merge_locally(forest, *self._rule, a, b, 0.0)

    def isolated(self, forest: Forest, largest: float) -> np.ndarray:
        """Clusters of at most ``largest`` vertices that have no affinity to any other."""
        return isolated_clusters(forest, largest)

    def in_contact(self, forest: Forest) -> bool:
        """Whether any two clusters exchange an edge, so that merging others may yet give an affinity."""
        return in_contact(forest)
