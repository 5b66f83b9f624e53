"""Path integral linkage, AC-PIC (Zhang, Zhao and Wang, Pattern Recognition 2013).

``A(A, B) = (1' [G_AB]_AA 1 - 1' G_A 1) / |A|^2`` + the same for B, with ``G_C = (I - z P_C)^-1``: what walks from A to
A weigh that visit B. Such a walk leaves A by an edge u -> k, moves in the union from k to l in B, and comes back by an
edge l -> v, so the numerator is ``u' [G_AB]_BB w`` with ``u = z P_AB' y_A``, ``w = z P_BA x_A``, ``x = G_A 1`` and
``y = G_A' 1``. The middle part is followed for ``2 hops`` steps; x and y are kept for every vertex.
"""

from __future__ import annotations

import numpy as np

from clustlib.compiled import njit
from clustlib.kernels.linkage.boundary import new_boundary
from clustlib.kernels.linkage.forest import Forest, new_forest
from clustlib.kernels.linkage.links import NONE, item_of, new_links
from clustlib.kernels.linkage.walks import Walks, add_walk, forget, new_walks, step_on, transition
from clustlib.kernels.neighbours import KnnGraph

_HOPS = 2
_LEAST = 1e-15  # weight at which a correction of x and y is dropped


def path_forest(graph: KnnGraph, label: np.ndarray, z: float, self_loops: bool) -> tuple[Forest, Walks]:
    """The forest and the walks before the first merge.

    The two weights of a link from A to B bound the numerator from above: sum over k in B of In[k, A] Out[k, A], with
    In weighted by how much all walks in the whole graph can make of y, and the sum of In[k, A].
    """
    n = int(label.max()) + 1
    out, loop = transition(graph, self_loops)
    most = _arrivals(graph.indices, z * out, z * loop)
    boundary = new_boundary(graph.indices, z * out * most[:, None], z * out, label, n)
    links = new_links(n, len(boundary.name), 2)
    _link_contacts(links, boundary, label)
    walks = new_walks(graph.indices, z * out, z * loop, label, len(links.end) // 2, _HOPS)
    for c in range(n):
        _sum_walks(walks, c)
    return new_forest(label, links, boundary), walks


@njit()
def _arrivals(heads, out, loop):
    """1' (I - z P)^-1 over the whole graph."""
    total, last = np.ones(len(heads)), np.ones(len(heads))
    while last.max() > 1e-16:
        new = last * loop
        for v in range(len(heads)):
            for k in range(heads.shape[1]):
                new[heads[v, k]] += last[v] * out[v, k]
        last = new
        total += last
    return total


@njit()
def _link_contacts(links, boundary, label):
    for v in range(len(label)):
        for contact in range(boundary.start[v], boundary.start[v + 1]):
            item = item_of(links, boundary.name[contact], label[v])
            links.weight[item, 0] += boundary.flow[contact, 0] * boundary.flow[contact, 1]
            links.weight[item, 1] += boundary.flow[contact, 0]


@njit()
def _sum_walks(walks, c):
    """x and y of an initial cluster, from scratch."""
    for way in range(2):
        for t in range(walks.begin[c], walks.begin[c + 1]):
            add_walk(walks, way, 0, walks.vertices[t], 1.0)
            walks.own[walks.vertices[t], 1 - way] = 0.0
        _add_series(walks, way, c, c)
    forget(walks)


@njit()
def _add_series(walks, way, a, b):
    """Add to x (``way`` 1) or y (0) what the walks of length 0, and all their continuations, weigh."""
    x = walks.own[:, 1 - way]
    while walks.many[way, 0] > 0:
        for t in range(walks.many[way, 0]):
            v = walks.met[way, 0, t]
            x[v] += walks.walk[way, 0, v]
        step_on(walks, way, 0, a, b, _LEAST)
        for t in range(walks.many[way, 0]):
            walks.walk[way, 0, walks.met[way, 0, t]] = 0.0
        walks.many[way, 0] = 0
        for t in range(walks.many[way, 1]):
            v = walks.met[way, 1, t]
            add_walk(walks, way, 0, v, walks.walk[way, 1, v])
            walks.walk[way, 1, v] = 0.0
        walks.many[way, 1] = 0


@njit()
def path_bound(forest, z, pair):
    """At least the affinity of a pair; 0 if edges go one way only."""
    weight, size = forest.links.weight, forest.size
    i, j = 2 * pair, 2 * pair + 1
    if weight[i, 1] == 0 or weight[j, 1] == 0:
        return 0.0
    na, nb = size[forest.links.end[i]], size[forest.links.end[j]]
    most = 1 / (1 - z)  # of x: rows of P sum to one at most
    return (weight[i, 0] + weight[i, 1] * z * z * most) * most / (na * na) + (
        weight[j, 0] + weight[j, 1] * z * z * most
    ) * most / (nb * nb)


@njit()
def path_affinity(forest, walks, a, b):
    """The affinity of clusters ``a`` and ``b``."""
    if forest.size[a] > forest.size[b]:
        a, b = b, a
    total = 0.0
    for inner, outer in ((a, b), (b, a)):
        _cross(walks, a, b, inner)
        numerator = _meet(walks, 0, 0)
        for steps in range(1, 2 * _HOPS + 1):
            step_on(walks, 1 - steps % 2, (steps - 1) // 2, a, b, 0.0)
            numerator += _meet(walks, steps - steps // 2, steps // 2)
        total += numerator / forest.size[outer] ** 2
        forget(walks)
    return total


@njit()
def _cross(walks, a, b, inner):
    """u and w at the vertices of cluster ``inner`` (NONE: of both), from the edges between ``a`` and ``b``."""
    part = a
    while part != NONE:
        for t in range(walks.begin[part], walks.begin[part + 1]):
            v = walks.vertices[t]
            for k in range(walks.heads.shape[1]):
                j = walks.heads[v, k]
                if walks.owner[j] == b:
                    if inner != a:
                        add_walk(walks, 0, 0, j, walks.own[v, 1] * walks.out[v, k])
                    if inner != b:
                        add_walk(walks, 1, 0, v, walks.own[j, 0] * walks.out[v, k])
            for e in range(walks.in_start[v], walks.in_start[v + 1]):
                j = walks.tails[e]
                if walks.owner[j] == b:
                    if inner != a:
                        add_walk(walks, 1, 0, j, walks.own[v, 0] * walks.into[e])
                    if inner != b:
                        add_walk(walks, 0, 0, v, walks.own[j, 1] * walks.into[e])
        part = walks.next[part]


@njit()
def _meet(walks, forth, back):
    """What walks weigh that are ``forth`` steps from u and ``back`` steps to w."""
    total = 0.0
    left = walks.many[0, forth] < walks.many[1, back]
    met = walks.met[0, forth, : walks.many[0, forth]] if left else walks.met[1, back, : walks.many[1, back]]
    for v in met:
        total += walks.walk[0, forth, v] * walks.walk[1, back, v]
    return total


@njit()
def path_union(walks, a, b):
    """Correct x and y for the union of ``a`` and ``b``: both gain what walks across the border add."""
    _cross(walks, a, b, NONE)
    for way in range(2):
        _add_series(walks, way, a, b)
    forget(walks)
