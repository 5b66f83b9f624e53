"""Walks on the transition matrix P inside a union of two clusters, for the path integral and zeta linkages.

Both linkages compare entries of ``(I - z P_C)^-1 = sum over m of z^m P_C^m`` before and after a union, that is, they
weigh the walks that the union makes possible. With z = 0.01 a walk of seven steps weighs less than 1e-14, so walks
are followed for a few steps from the border of the two clusters, and no matrix is inverted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from clustlib.compiled import njit
from clustlib.kernels.linkage.boundary import incoming
from clustlib.kernels.linkage.links import NONE
from clustlib.kernels.neighbours import KnnGraph

NEVER = 100  # steps


class Walks(NamedTuple):
    """
    Attributes
    ----------
    heads, out : (N, K) int32, float64
        Edges and their transition probabilities, times z.
    loop : (N,) float64
        Probability to stay, times z.
    in_start, tails, into : (N + 1,) int64, (NK,) int32, (NK,) float64
        The same edges by head.
    owner : (N,) int32
        Cluster of every vertex.
    vertices : (N,) int32
        Vertices by initial cluster: those of ``x`` are ``vertices[begin[x] : begin[x + 1]]``.
    begin, next, last : (C + 1,) int64, (C,) int32, (C,) int32
        Initial clusters of a cluster ``c``: ``c``, ``next[c]`` and so on up to ``last[c]``.
    own : (N, 2) float64
        Path integral: what the walks inside the own cluster weigh that begin, and that end, at the vertex.
    value, known : (P,) float64, bool
        Affinity of a pair, where it is known.
    walk : (2, H + 1, N) float64
        Scratch: weight of the walks of each length from (0) or to (1) where they began, at every vertex.
    inside : (2, H + 1, N) float64
        Scratch, zeta: the same for the walks that never left their cluster.
    met : (2, H + 1, N) int32
        Scratch: vertices with an entry in ``walk``.
    many : (2, H + 1) int64
        Scratch: their number.
    far : (2, N) int8
        Scratch, zeta: steps to the border and from it; NEVER if not known.
    """

    heads: np.ndarray
    out: np.ndarray
    loop: np.ndarray
    in_start: np.ndarray
    tails: np.ndarray
    into: np.ndarray
    owner: np.ndarray
    vertices: np.ndarray
    begin: np.ndarray
    next: np.ndarray
    last: np.ndarray
    own: np.ndarray
    value: np.ndarray
    known: np.ndarray
    walk: np.ndarray
    inside: np.ndarray
    met: np.ndarray
    many: np.ndarray
    far: np.ndarray


def transition(graph: KnnGraph, self_loops: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows of W over their sums: probabilities of the edges (N, K) and of staying (N,).

    ``self_loops`` gives W a unit diagonal first, as gactoolbox does. A vertex without weight goes nowhere.
    """
    loop = np.full(len(graph.weights), float(self_loops))
    total = graph.weights.sum(axis=1) + loop
    scale = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
    return graph.weights * scale[:, None], loop * scale


def new_walks(
    heads: np.ndarray, out: np.ndarray, loop: np.ndarray, label: np.ndarray, n_pairs: int, hops: int
) -> Walks:
    """Walks of up to ``hops`` steps each way, over edge and loop probabilities that are already times z."""
    n, k = heads.shape
    clusters = int(label.max()) + 1
    in_start, edge = incoming(heads)
    return Walks(
        heads=heads,
        out=out,
        loop=loop,
        in_start=in_start,
        tails=(edge // k).astype(np.int32),
        into=out.ravel()[edge],
        owner=label.copy(),
        vertices=np.argsort(label, kind="stable").astype(np.int32),
        begin=np.concatenate([[0], np.cumsum(np.bincount(label, minlength=clusters))]),
        next=np.full(clusters, NONE, np.int32),
        last=np.arange(clusters, dtype=np.int32),
        own=np.ones((n, 2)),
        value=np.zeros(n_pairs),
        known=np.zeros(n_pairs, np.bool_),
        walk=np.zeros((2, hops + 1, n)),
        inside=np.zeros((2, hops + 1, n)),
        met=np.empty((2, hops + 1, n), np.int32),
        many=np.zeros((2, hops + 1), np.int64),
        far=np.full((2, n), NEVER, np.int8),
    )


@njit()
def add_walk(walks, way, length, v, weight):
    """Add ``weight`` at ``v`` to the walks of that length."""
    if weight > 0:
        if walks.walk[way, length, v] == 0:
            walks.met[way, length, walks.many[way, length]] = v
            walks.many[way, length] += 1
        walks.walk[way, length, v] += weight


@njit()
def step_on(walks, way, length, a, b, least):
    """Make the walks of ``length`` + 1 steps within clusters ``a`` and ``b`` from those of ``length``.

    ``way`` 0 follows edges and gives row vectors, ``way`` 1 goes against them and gives column vectors. Walks that
    weigh less than ``least`` end.
    """
    for t in range(walks.many[way, length]):
        v = walks.met[way, length, t]
        weight = walks.walk[way, length, v]
        if weight < least:
            continue
        add_walk(walks, way, length + 1, v, weight * walks.loop[v])
        if way == 0:
            for k in range(walks.heads.shape[1]):
                j = walks.heads[v, k]
                if walks.owner[j] == a or walks.owner[j] == b:
                    add_walk(walks, way, length + 1, j, weight * walks.out[v, k])
        else:
            for e in range(walks.in_start[v], walks.in_start[v + 1]):
                j = walks.tails[e]
                if walks.owner[j] == a or walks.owner[j] == b:
                    add_walk(walks, way, length + 1, j, weight * walks.into[e])


@njit()
def forget(walks):
    """Clear the scratch."""
    for way in range(2):
        for length in range(walks.walk.shape[1]):
            for t in range(walks.many[way, length]):
                walks.walk[way, length, walks.met[way, length, t]] = 0.0
            walks.many[way, length] = 0


@njit()
def unite(walks, a, b):
    """Give the vertices of cluster ``b`` to ``a``."""
    part = b
    while part != NONE:
        for t in range(walks.begin[part], walks.begin[part + 1]):
            walks.owner[walks.vertices[t]] = a
        part = walks.next[part]
    walks.next[walks.last[a]] = b
    walks.last[a] = walks.last[b]
