"""For every vertex, the weight that it exchanges with each other cluster: In[v, C] and Out[v, C], sparse.

Exact updates of graph degree linkage need them: when A and B merge, a vertex v that touches both adds
``In[v, A] Out[v, B] + In[v, B] Out[v, A]`` to S(A u B; cluster of v), and nothing else is new.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from clustlib.kernels.linkage.links import NONE


class Boundary(NamedTuple):
    """
    Contacts are stored by vertex: those of ``v`` are ``start[v]:start[v + 1]``.

    Attributes
    ----------
    start : (N + 1,) int64
    name : (E,) int32
        Name of the cluster touched; NONE once the contact is gone. Clusters keep their vertices' contacts under a
        name of their own, so that of two lists always the shorter is renamed.
    received, sent : (E,) float64
        In[v, C], the sum of W_iv, and Out[v, C], the sum of W_vi, over i in C.
    vertex, next : (E,) int32
        The vertex, and the next contact with the same cluster.
    first, length, names : (C,) int32
        First contact with each cluster, their number, and the cluster's name.
    """

    start: np.ndarray
    name: np.ndarray
    received: np.ndarray
    sent: np.ndarray
    vertex: np.ndarray
    next: np.ndarray
    first: np.ndarray
    length: np.ndarray
    names: np.ndarray


def new_boundary(indices: np.ndarray, received: np.ndarray, sent: np.ndarray, label: np.ndarray, n: int) -> Boundary:
    """Contacts between the vertices and the ``n`` clusters of ``label``.

    ``received`` and ``sent`` (N, K) are the weights that an edge has for its head and for its tail.
    """
    size = 2 * int((label[indices] != label[:, None]).sum())
    start = np.empty(len(label) + 1, np.int64)
    name, vertex = np.empty(size, np.int32), np.empty(size, np.int32)
    sums = np.zeros((2, size))
    size = _collect(indices, received, sent, label, *incoming(indices), start, name, vertex, sums)
    boundary = Boundary(
        start=start,
        name=name[:size].copy(),
        received=sums[0, :size].copy(),
        sent=sums[1, :size].copy(),
        vertex=vertex[:size].copy(),
        next=np.empty(size, np.int32),
        first=np.full(n, NONE, np.int32),
        length=np.zeros(n, np.int32),
        names=np.arange(n, dtype=np.int32),
    )
    _string_lists(boundary)
    return boundary


def no_boundary(n: int) -> Boundary:
    """For linkages that are sums over pairs of clusters and have no cross terms."""
    none, ints = np.empty(0), np.empty(0, np.int32)
    lists = np.full(n, NONE, np.int32), np.zeros(n, np.int32), np.arange(n, dtype=np.int32)
    return Boundary(np.zeros(1, np.int64), ints, none, none, ints, ints, *lists)


@njit(cache=True)
def incoming(indices):
    """Edges by head: those into ``v`` are ``edge[start[v]:start[v + 1]]``; edge ``i K + k`` is the k-th out of i."""
    n, k = indices.shape
    start = np.zeros(n + 1, np.int64)
    for j in indices.flat:
        start[j + 1] += 1
    start = np.cumsum(start)
    edge, at = np.empty(n * k, np.int64), start[:-1].copy()
    for i in range(n):
        for t in range(k):
            j = indices[i, t]
            edge[at[j]] = i * k + t
            at[j] += 1
    return start, edge


@njit(cache=True)
def _collect(indices, received, sent, label, in_start, in_edge, start, name, vertex, sums):
    n, k = indices.shape
    place = np.full(label.max() + 1, -1, np.int64)  # of each cluster among the contacts of the current vertex
    size = 0
    for v in range(n):
        start[v] = size
        for t in range(in_start[v], in_start[v + 1] + k):
            outgoing = t >= in_start[v + 1]
            if outgoing:
                tail, column = v, t - in_start[v + 1]
                c, weight = label[indices[tail, column]], sent[tail, column]
            else:
                tail, column = in_edge[t] // k, in_edge[t] % k
                c, weight = label[tail], received[tail, column]
            if c == label[v] or weight == 0:
                continue
            if place[c] < start[v]:
                place[c] = size
                name[size], vertex[size] = c, v
                size += 1
            sums[int(outgoing), place[c]] += weight
    start[n] = size
    return size


@njit(cache=True)
def _string_lists(boundary):
    for contact in range(len(boundary.name) - 1, -1, -1):
        c = boundary.name[contact]
        boundary.next[contact] = boundary.first[c]
        boundary.first[c] = contact
        boundary.length[c] += 1
