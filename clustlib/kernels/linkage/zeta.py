"""Zeta linkage, AC-Zell (Zhao and Tang, NIPS 2008; affinity as in the released gactoolbox).

``A(A, B) = e(A | B) - e(A) + e(B | A) - e(B)``: e is the mean over a cluster of ``log g_v`` with ``g_v`` the v-th
diagonal entry of ``(I - z P_C)^-1``, where C is the cluster itself or the union. The union adds to ``g_v`` the closed
walks from v that visit the other cluster; those of up to five steps are counted, two from each end and one between.
"""

from __future__ import annotations

import numpy as np

from clustlib.compiled import njit
from clustlib.kernels.linkage.boundary import no_boundary
from clustlib.kernels.linkage.forest import Forest, new_forest
from clustlib.kernels.linkage.links import NONE, item_of, new_links
from clustlib.kernels.linkage.walks import NEVER, Walks, add_walk, forget, new_walks, transition
from clustlib.kernels.neighbours import KnnGraph

_HOPS = 2
_REACH = 2  # steps to the border and back from it, of the vertices whose closed walks are counted


def zeta_forest(graph: KnnGraph, label: np.ndarray, z: float, self_loops: bool) -> tuple[Forest, Walks]:
    """The forest and the walks before the first merge.

    The weights of a link from A to B add up over the edges v -> k from A to B. One is z P_vk z P_kv, the closed walks
    of two steps; the other, z P_vk times z and the largest probability of a step to v, bounds any longer ones.
    """
    n = int(label.max()) + 1
    out, loop = transition(graph, self_loops)
    links = new_links(n, int((label[graph.indices] != label[:, None]).sum()), 2)
    walks = new_walks(graph.indices, z * out, z * loop, label, len(links.end) // 2, _HOPS)
    largest = z * loop
    np.maximum.at(largest, graph.indices, z * out)
    _link_edges(links, walks, largest)
    return new_forest(label, links, no_boundary(n)), walks


@njit()
def _link_edges(links, walks, largest):
    for v in range(len(walks.heads)):
        for k in range(walks.heads.shape[1]):
            j, step = walks.heads[v, k], walks.out[v, k]
            if walks.owner[j] != walks.owner[v] and step > 0:
                item = item_of(links, walks.owner[v], walks.owner[j])
                links.weight[item, 1] += step * largest[v]
                for t in range(walks.heads.shape[1]):
                    if walks.heads[j, t] == v:
                        links.weight[item, 0] += step * walks.out[j, t]


@njit()
def zeta_bound(forest, z, pair):
    """At least the affinity of a pair; 0 if edges go one way only."""
    links, size = forest.links, forest.size
    a, b = links.end[2 * pair], links.end[2 * pair + 1]
    if links.weight[2 * pair, 1] == 0 or links.weight[2 * pair + 1, 1] == 0:
        return 0.0
    two_steps = links.weight[2 * pair, 0] * (1 / size[a] + 1 / size[b])
    return two_steps + zeta_rest(forest, z, pair, 3)


@njit()
def zeta_rest(forest, z, pair, shortest):
    """At least what closed walks of ``shortest`` steps or more add to the affinity of a pair.

    Such a walk of m steps crosses the border by some edge v -> k from the first cluster to the second, and goes back
    to v in m - 1 steps, with a probability of at most the largest of a step to v. It can begin at any of its m
    vertices, of which one at least is in each cluster.
    """
    links, size = forest.links, forest.size
    a, b = size[links.end[2 * pair]], size[links.end[2 * pair + 1]]
    crossing = min(links.weight[2 * pair, 1], links.weight[2 * pair + 1, 1])
    m, once = shortest, z ** (shortest - 2) / (1 - z)
    begins = once * (m - 1 + z / (1 - z))  # sum over m >= shortest of (m - 1) z^(m - 2)
    return crossing * (begins / min(a, b) + once / max(a, b))


@njit()
def zeta_affinity(forest, walks, a, b):
    """The affinity of clusters ``a`` and ``b``, from closed walks of up to 2 ``_HOPS`` + 1 steps.

    They are counted at the vertices with up to ``_REACH`` steps to the border and back from it; at one farther away, a
    closed walk across the border has at least ``_REACH`` + 3 steps. So what is missing is less than
    :func:`zeta_rest` from five steps on.
    """
    if forest.size[a] > forest.size[b]:
        a, b = b, a
    total = 0.0
    near = _near_border(walks, a, b)
    for v in near:
        if walks.far[0, v] + walks.far[1, v] <= _REACH:
            own, new = _closed_walks(walks, v, a, b)
            total += np.log1p(new / (1 + own)) / forest.size[walks.owner[v]]
    for v in near:
        walks.far[0, v] = walks.far[1, v] = NEVER
    return total


@njit()
def _near_border(walks, a, b):
    """Vertices of ``a`` and ``b`` within ``_REACH`` of the border; fills ``far``."""
    met, many = walks.met[0, 0], 0  # free between two vertices
    part = a
    while part != NONE:
        for t in range(walks.begin[part], walks.begin[part + 1]):
            v = walks.vertices[t]
            for k in range(walks.heads.shape[1]):
                if walks.owner[walks.heads[v, k]] == b and walks.out[v, k] > 0:
                    many = _mark(walks, met, many, 0, v, 0)
                    many = _mark(walks, met, many, 1, walks.heads[v, k], 0)
            for e in range(walks.in_start[v], walks.in_start[v + 1]):
                if walks.owner[walks.tails[e]] == b and walks.into[e] > 0:
                    many = _mark(walks, met, many, 1, v, 0)
                    many = _mark(walks, met, many, 0, walks.tails[e], 0)
        part = walks.next[part]
    for way in range(2):
        for distance in range(_REACH):
            for t in range(many):
                v = met[t]
                if walks.far[way, v] != distance:
                    continue
                if way == 0:
                    for e in range(walks.in_start[v], walks.in_start[v + 1]):
                        if walks.owner[walks.tails[e]] == walks.owner[v] and walks.into[e] > 0:
                            many = _mark(walks, met, many, way, walks.tails[e], distance + 1)
                else:
                    for k in range(walks.heads.shape[1]):
                        if walks.owner[walks.heads[v, k]] == walks.owner[v] and walks.out[v, k] > 0:
                            many = _mark(walks, met, many, way, walks.heads[v, k], distance + 1)
    return met[:many].copy()


@njit()
def _mark(walks, met, many, way, v, distance):
    if walks.far[0, v] == NEVER and walks.far[1, v] == NEVER:
        met[many] = v
        many += 1
    walks.far[way, v] = min(walks.far[way, v], distance)
    return many


@njit()
def _closed_walks(walks, v, a, b):
    """Weights of the closed walks from ``v`` that stay in its cluster and of those that visit the other."""
    own, new = walks.loop[v], 0.0
    for way in range(2):
        walks.met[way, 0, 0], walks.many[way, 0] = v, 1
        walks.walk[way, 0, v] = walks.inside[way, 0, v] = 1.0
        for length in range(_HOPS):
            _step_both(walks, way, length, a, b, walks.owner[v])
    for back in range(1, _HOPS + 1):
        for t in range(walks.many[1, back]):
            j = walks.met[1, back, t]
            whole, inside = walks.walk[0, back, j], walks.inside[0, back, j]
            own += inside * walks.inside[1, back, j]
            new += whole * walks.walk[1, back, j] - inside * walks.inside[1, back, j]
            # one step more on the way there
            whole, inside = whole * walks.loop[j], inside * walks.loop[j]
            for e in range(walks.in_start[j], walks.in_start[j + 1]):
                whole += walks.walk[0, back, walks.tails[e]] * walks.into[e]
                inside += walks.inside[0, back, walks.tails[e]] * walks.into[e]
            inside *= walks.inside[1, back, j]
            own += inside
            new += whole * walks.walk[1, back, j] - inside
    for way in range(2):
        for length in range(_HOPS + 1):
            for t in range(walks.many[way, length]):
                walks.inside[way, length, walks.met[way, length, t]] = 0.0
    forget(walks)
    return own, new


@njit()
def _step_both(walks, way, length, a, b, own):
    """As :func:`.walks.step_on`, and for the walks that stay in cluster ``own`` too."""
    for t in range(walks.many[way, length]):
        v = walks.met[way, length, t]
        weight, inside = walks.walk[way, length, v], walks.inside[way, length, v]
        add_walk(walks, way, length + 1, v, weight * walks.loop[v])
        walks.inside[way, length + 1, v] += inside * walks.loop[v]
        first, last = (0, walks.heads.shape[1]) if way == 0 else (walks.in_start[v], walks.in_start[v + 1])
        for e in range(first, last):
            j, step = (walks.heads[v, e], walks.out[v, e]) if way == 0 else (walks.tails[e], walks.into[e])
            if walks.owner[j] == a or walks.owner[j] == b:
                add_walk(walks, way, length + 1, j, weight * step)
                if walks.owner[j] == own:
                    walks.inside[way, length + 1, j] += inside * step
