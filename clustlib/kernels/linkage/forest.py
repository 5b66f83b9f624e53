"""The clusters of an agglomeration in progress, and the one operation on them: joining two."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from clustlib.compiled import njit
from clustlib.kernels.linkage.boundary import Boundary
from clustlib.kernels.linkage.links import (
    NONE,
    Links,
    cut_pair,
    enter,
    grown,
    item_of,
    pair_of,
    prepend,
    rehash,
    slot_of,
)
from clustlib.kernels.linkage.rows import Rows, new_rows


class Forest(NamedTuple):
    """
    ``C`` initial clusters; a merged cluster goes on under the number of one of its two parts.

    Attributes
    ----------
    label : (N,) int32
        Initial cluster of every vertex.
    parent : (C,) int32
        Union-find over the initial clusters.
    size : (C,) float64
        Vertices in each cluster.
    node : (C,) int64
        Node of the merge tree: initial clusters 0 .. C - 1, then merged ones by age.
    links, boundary, rows
        See :mod:`.links`, :mod:`.boundary`, :mod:`.rows`.
    touched, stamp : (C,) int32
        Scratch: clusters whose affinity with the merged one is new, and the merge that last listed them.
    children : (C - 1, 2) int64
        The tree so far, lower node first.
    heights : (C - 1,) float64
        Affinity at each merge.
    done : (2,) int64
        Merges made; the last merged cluster.
    """

    label: np.ndarray
    parent: np.ndarray
    size: np.ndarray
    node: np.ndarray
    links: Links
    boundary: Boundary
    rows: Rows
    touched: np.ndarray
    stamp: np.ndarray
    children: np.ndarray
    heights: np.ndarray
    done: np.ndarray


def new_forest(label: np.ndarray, links: Links, boundary: Boundary) -> Forest:
    """A forest of initial clusters, ``label`` (N,) int32 from 0 to C - 1."""
    n = len(links.first)
    return Forest(
        label=label,
        parent=np.arange(n, dtype=np.int32),
        size=np.bincount(label, minlength=n).astype(np.float64),
        node=np.arange(n),
        links=links,
        boundary=boundary,
        rows=new_rows(n),
        touched=np.empty(n, np.int32),
        stamp=np.full(n, -1, np.int32),
        children=np.empty((n - 1, 2), np.int64),
        heights=np.zeros(n - 1),
        done=np.array([0, NONE]),
    )


@njit()
def root_of(parent, c):
    """The cluster that initial cluster ``c`` is in."""
    while parent[c] != c:
        parent[c] = parent[parent[c]]
        c = parent[c]
    return c


@njit()
def has_room(forest, a, b):
    """Whether the links that joining ``a`` and ``b`` can make fit into the arrays."""
    new = min(forest.boundary.length[a], forest.boundary.length[b])
    return 2 * (forest.links.made[0] + new) <= len(forest.links.end)


@njit()
def row_holds(rows, end, node, c, value):
    """Whether the best pair of row ``c`` still has the row's value, now ``value``, and nodes."""
    a, b = end[2 * rows.pair[c]], end[2 * rows.pair[c] + 1]
    if a == NONE or value != rows.value[c]:
        return False
    return min(node[a], node[b]) == rows.low[c] and max(node[a], node[b]) == rows.high[c]


def roomier(forest: Forest) -> Forest:
    """The same forest with room for twice as many links, and for those of any one merge."""
    most = len(forest.links.end) + int(forest.boundary.length.max())
    return forest._replace(links=grown(forest.links, most))


@njit()
def join(forest, a, b, height):
    """Merge clusters ``a`` and ``b``.

    Returns the cluster that goes on, the one that is gone, and how many clusters ``touched`` now lists.
    """
    links, boundary = forest.links, forest.boundary
    step = forest.done[0]
    if 2 * links.made[1] > len(links.key):
        rehash(links)
    if links.degree[a] < links.degree[b]:
        a, b = b, a
    forest.children[step, 0] = min(forest.node[a], forest.node[b])
    forest.children[step, 1] = max(forest.node[a], forest.node[b])
    forest.heights[step] = height
    pair = pair_of(links, a, b)
    if pair != NONE:
        cut_pair(links.end, pair)
    n_touched = _join_links(forest, a, b, step)
    forest.parent[b] = a
    if len(boundary.name) > 0:
        if boundary.length[a] < boundary.length[b]:
            for array in (boundary.first, boundary.last, boundary.length, boundary.names):
                array[a], array[b] = array[b], array[a]
        n_touched = _join_boundary(forest, a, b, step, n_touched)
    forest.size[a] += forest.size[b]
    forest.node[a] = len(forest.node) + step
    forest.done[0] += 1
    forest.done[1] = a
    return a, b, n_touched


@njit()
def _join_links(forest, a, b, step):
    """The column side, S(x; a u b) = S(x; a) + S(x; b), and the additive part of the row side."""
    links = forest.links
    n_touched = 0
    item = links.first[b]
    while item != NONE:
        following = links.next[item]
        c = links.end[item ^ 1]
        if c != NONE:
            slot = slot_of(links.key, a, c)
            if links.key[slot] == NONE:
                enter(links, slot, a, c, item >> 1)
                prepend(links, item, a)
            else:
                pair = links.pair[slot]
                into = 2 * pair if links.end[2 * pair] == a else 2 * pair + 1
                for f in range(links.weight.shape[1]):
                    links.weight[into, f] += links.weight[item, f]
                    links.weight[into ^ 1, f] += links.weight[item ^ 1, f]
                links.candidate[into] |= links.candidate[item]
                links.candidate[into ^ 1] |= links.candidate[item ^ 1]
                cut_pair(links.end, item >> 1)
            forest.stamp[c] = step
            forest.touched[n_touched] = c
            n_touched += 1
        item = following
    links.first[b] = NONE
    return n_touched


@njit()
def _join_boundary(forest, a, b, step, n_touched):
    """Rename the contacts with ``b``; those of a vertex that touches ``a`` too give the cross term of S(a u b; x)."""
    links, boundary = forest.links, forest.boundary
    start, name, flow = boundary.start, boundary.name, boundary.flow
    name_a, name_b = boundary.names[a], boundary.names[b]
    segment = boundary.first[b]
    while segment != NONE:
        kept = boundary.begin[segment]
        for t in range(boundary.begin[segment], boundary.end[segment]):
            v = boundary.touching[t]
            with_a = with_b = NONE
            for contact in range(start[v], start[v + 1]):
                if name[contact] == name_b:
                    with_b = contact
                elif name[contact] == name_a:
                    with_a = contact
            c = root_of(forest.parent, forest.label[v])
            if c == a:
                name[with_b] = NONE
            elif with_a == NONE:
                name[with_b] = name_a
                boundary.touching[kept] = v
                kept += 1
            else:
                name[with_b] = NONE
                cross = flow[with_a, 0] * flow[with_b, 1] + flow[with_b, 0] * flow[with_a, 1]
                flow[with_a, 0] += flow[with_b, 0]
                flow[with_a, 1] += flow[with_b, 1]
                if cross > 0:
                    links.weight[item_of(links, a, c), 0] += cross
                    if forest.stamp[c] != step:
                        forest.stamp[c] = step
                        forest.touched[n_touched] = c
                        n_touched += 1
        boundary.length[a] += kept - boundary.begin[segment]
        boundary.end[segment] = kept
        segment = boundary.next[segment]
    boundary.next[boundary.last[a]] = boundary.first[b]
    boundary.last[a] = boundary.last[b]
    return n_touched
