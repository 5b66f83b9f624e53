"""Graph degree linkage (Zhang et al., ECCV 2012), merged greedily by the largest affinity.

``A(A, B) = S(A; B) / |A|^2 + S(B; A) / |B|^2`` with ``S(A; B) = sum over v in B of In[v, A] Out[v, A]``.
"""

from __future__ import annotations

import numpy as np

from clustlib.compiled import njit
from clustlib.kernels.linkage.boundary import new_boundary, no_boundary
from clustlib.kernels.linkage.forest import Forest, has_room, join, new_forest, root_of, row_holds
from clustlib.kernels.linkage.links import NONE, item_of, new_links, tidy
from clustlib.kernels.linkage.rows import replay, replay_all, retire, set_row
from clustlib.kernels.neighbours import KnnGraph

# Why a loop over merges came back
FINISHED, NO_AFFINITY, NO_ROOM, ISOLATED = range(4)


def gdl_forest(graph: KnnGraph, label: np.ndarray, update: str) -> tuple[Forest, int]:
    """The forest before the first merge, and the power of the cluster size that divides a weight.

    ``update`` is how S(a u b; x) comes from S(a; x) and S(b; x) after a merge:

    - "exact": with the cross terms;
    - "released_fast" (JULE.torch): their sum, without cross terms;
    - "paper_fast" (JULE's talk): L = S / |.|^2 becomes (|a| L(a; x) + |b| L(b; x)) / (|a| + |b|), which is to say
      that |.| L adds up, so |.| L is what the links then hold.
    """
    n = int(label.max()) + 1
    boundary = new_boundary(graph.indices, graph.weights, graph.weights, label, n)
    links = new_links(n, int((boundary.flow.min(axis=1) > 0).sum()))
    _link_contacts(links, boundary, label)
    forest = new_forest(label, links, boundary if update == "exact" else no_boundary(n))
    if update == "paper_fast":
        _divide_by_size(forest)
        return forest, 1
    return forest, 2


@njit()
def _link_contacts(links, boundary, label):
    """S(C; D), the sum over the vertices v of D that exchange weight with C both ways."""
    for v in range(len(label)):
        for contact in range(boundary.start[v], boundary.start[v + 1]):
            product = boundary.flow[contact, 0] * boundary.flow[contact, 1]
            if product > 0:
                links.weight[item_of(links, boundary.name[contact], label[v]), 0] += product


@njit()
def _divide_by_size(forest):
    for item in range(2 * forest.links.made[0]):
        forest.links.weight[item, 0] /= forest.size[forest.links.end[item]]


@njit()
def affinity(end, weight, size, power, pair):
    """The affinity of the two clusters of ``pair``."""
    a, b = size[end[2 * pair]], size[end[2 * pair + 1]]
    if power == 2:
        a *= a
        b *= b
    return weight[2 * pair, 0] / a + weight[2 * pair + 1, 0] / b


@njit()
def counts(candidate, pair):
    """Whether either cluster of ``pair`` has the other among its candidates."""
    return candidate[2 * pair] or candidate[2 * pair + 1]


@njit()
def start_rows(forest, power, candidates):
    """Choose the candidates, if only some count, and fill every row."""
    if candidates > 0:
        for c in range(len(forest.node)):
            choose_candidates(forest, power, candidates, c)
        forest.links.made[2] = 0
    refresh_rows(forest, power)


@njit()
def refresh_rows(forest, power):
    """Look through all rows."""
    for c in range(len(forest.node)):
        if forest.parent[c] == c:
            look_through(forest, power, c)
    replay_all(forest.rows)


@njit()
def look_through(forest, power, c):
    """Find the best pair of cluster ``c``."""
    links, node = forest.links, forest.node
    tidy(links, c)
    best, low, high, best_pair = 0.0, 0, 0, NONE
    item = links.first[c]
    while item != NONE:
        if counts(links.candidate, item >> 1):
            value = affinity(links.end, links.weight, forest.size, power, item >> 1)
            if value >= best and value > 0:
                d = links.end[item ^ 1]
                lo, hi = min(node[c], node[d]), max(node[c], node[d])
                if value > best or lo < low or (lo == low and hi < high):
                    best, low, high, best_pair = value, lo, hi, item >> 1
        item = links.next[item]
    set_row(forest.rows, c, best, low, high, best_pair)


@njit()
def merge_by_affinity(forest, power, candidates, small, stop):
    """Merge the pair with the largest affinity until ``stop`` clusters are left or something else comes up.

    ``candidates`` > 0 restricts partners (AGDL); ``small`` > 0 reports a cluster of at most that many vertices that
    has no affinity left. Returns one of FINISHED, NO_AFFINITY, NO_ROOM, ISOLATED.
    """
    rows, links = forest.rows, forest.links
    n = len(forest.node)
    while n - forest.done[0] > stop:
        c = rows.winner[1]
        if rows.value[c] <= 0:
            return NO_AFFINITY
        pair = rows.pair[c]
        value = affinity(links.end, links.weight, forest.size, power, pair)
        if not (row_holds(rows, links.end, forest.node, c, value) and counts(links.candidate, pair)):
            look_through(forest, power, c)
            replay(rows, c)
            continue
        a, b = links.end[2 * pair], links.end[2 * pair + 1]
        if not has_room(forest, a, b):
            return NO_ROOM
        a = merge(forest, power, candidates, a, b, rows.value[c])
        if forest.size[a] <= small and links.first[a] == NONE:
            return ISOLATED
    return FINISHED


@njit()
def merge(forest, power, candidates, a, b, height):
    """Join two clusters and bring the rows up to date; returns the cluster that goes on."""
    rows, links, node = forest.rows, forest.links, forest.node
    a, b, n_touched = join(forest, a, b, height)
    retire(rows, b)
    if candidates > 0:
        choose_candidates(forest, power, candidates, a)
    look_through(forest, power, a)
    replay(rows, a)
    # The other neighbours of the merged cluster saw it grow, no more: their rows are still high enough.
    for i in range(n_touched):
        d = forest.touched[i]
        item = item_of(links, a, d)
        if counts(links.candidate, item >> 1):
            value = affinity(links.end, links.weight, forest.size, power, item >> 1)
            if value > rows.value[d]:
                set_row(rows, d, value, node[d], node[a], item >> 1)
                replay(rows, d)
    return a


@njit()
def choose_candidates(forest, power, k, c):
    """Let ``c`` keep as candidates the ``k`` best of the pairs that count now (AGDL's K^c nearest clusters)."""
    links = forest.links
    tidy(links, c)
    values = np.empty(links.degree[c])
    items = np.empty(links.degree[c], np.int64)
    count, item = 0, links.first[c]
    while item != NONE:
        if counts(links.candidate, item >> 1):
            values[count], items[count] = affinity(links.end, links.weight, forest.size, power, item >> 1), item
            count += 1
        links.candidate[item] = False
        item = links.next[item]
    for i in np.argsort(-values[:count], kind="mergesort")[:k]:
        links.candidate[items[i]] = True


@njit()
def isolated_clusters(forest, largest):
    """Clusters of at most ``largest`` vertices that have no affinity to any other."""
    isolated = []
    for c in range(len(forest.parent)):
        if forest.parent[c] == c and forest.size[c] <= largest:
            tidy(forest.links, c)
            if forest.links.first[c] == NONE:
                isolated.append(c)
    return np.array(isolated, dtype=np.int64)


@njit()
def in_contact(forest):
    """Whether any two clusters still exchange an edge."""
    boundary = forest.boundary
    for c in range(len(forest.parent)):
        segment = boundary.first[c] if forest.parent[c] == c else NONE
        while segment != NONE:
            for v in boundary.touching[boundary.begin[segment] : boundary.end[segment]]:
                if root_of(forest.parent, forest.label[v]) != c:
                    return True
            segment = boundary.next[segment]
    return False


class ByAffinity:
    """Merge the pair with the largest affinity.

    Parameters
    ----------
    forest : Forest before the first merge
    power : see :func:`gdl_forest`
    candidates : K^c of AGDL, or None for all pairs
    """

    def __init__(self, forest: Forest, power: int, candidates: int | None) -> None:
        self._power, self._candidates = power, candidates or 0
        start_rows(forest, power, self._candidates)

    def advance(self, forest: Forest, small: int, stop: int) -> int:
        """Merge until ``stop`` clusters are left; see :func:`merge_by_affinity`."""
        few = int(1.2 * self._candidates)  # gactoolbox turns to all pairs there
        status = merge_by_affinity(forest, self._power, self._candidates, small, max(stop, few))
        left = len(forest.node) - forest.done[0]
        if self._candidates and (left <= few or status == NO_AFFINITY):
            self._candidates = 0
            forest.links.candidate[:] = True
            forest.links.made[2] = 1
            refresh_rows(forest, self._power)
            return FINISHED if status == NO_AFFINITY else status
        return status

    def merge(self, forest: Forest, a: int, b: int) -> None:
        """Merge two clusters at height 0."""
        merge(forest, self._power, self._candidates, a, b, 0.0)

    def isolated(self, forest: Forest, largest: float) -> np.ndarray:
        """Clusters of at most ``largest`` vertices that have no affinity to any other."""
        return isolated_clusters(forest, largest)

    def in_contact(self, forest: Forest) -> bool:
        """Whether any two clusters exchange an edge, so that merging others may yet give an affinity."""
        return in_contact(forest)
