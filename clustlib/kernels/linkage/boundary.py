"""For every vertex, the weight that it exchanges with each other cluster: In[v, C] and Out[v, C], sparse.

Exact updates of graph degree linkage need them: when A and B merge, a vertex v that touches both adds
``In[v, A] Out[v, B] + In[v, B] Out[v, A]`` to S(A u B; cluster of v), and nothing else is new.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from clustlib.compiled import njit
from clustlib.kernels.linkage.links import NONE


class Boundary(NamedTuple):
    """
    Contacts are stored by vertex: those of ``v`` are ``start[v]:start[v + 1]``. The vertices in contact with a
    cluster are found through its initial clusters: ``touching[begin[x] : end[x]]`` for each ``x`` of a linked list.
    What a merge leaves of these stays in place.

    Attributes
    ----------
    start : (N + 1,) int64
    name : (E,) int32
        Name of the cluster touched; NONE once the contact is gone. A cluster has a name of its own, so that of two
        clusters the one with fewer contacts can be renamed.
    flow : (E, 2) float64
        In[v, C], the sum of W_iv, and Out[v, C], the sum of W_vi, over i in C.
    touching : (E,) int32
    begin, end, next : (C,) int64, int64, int32
    first, last, length, names : (C,) int32
        Ends of the list of initial clusters, number of contacts, and name of each cluster.
    """

    start: np.ndarray
    name: np.ndarray
    flow: np.ndarray
    touching: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    next: np.ndarray
    first: np.ndarray
    last: np.ndarray
    length: np.ndarray
    names: np.ndarray


def new_boundary(indices: np.ndarray, received: np.ndarray, sent: np.ndarray, label: np.ndarray, n: int) -> Boundary:
    """Contacts between the vertices and the ``n`` clusters of ``label``.

    ``received`` and ``sent`` (N, K) are the weights that an edge has for its head and for its tail.
    """
    size = 2 * int((label[indices] != label[:, None]).sum())
    start = np.empty(len(label) + 1, np.int64)
    name, flow = np.empty(size, np.int32), np.zeros((size, 2))
    size = _collect(indices, received, sent, label, *incoming(indices), start, name, flow)
    return _listed(start, name[:size].copy(), flow[:size].copy(), n)


def no_boundary(n: int) -> Boundary:
    """For linkages that are sums over pairs of clusters and have no cross terms."""
    return _listed(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty((0, 2)), n)


def _listed(start: np.ndarray, name: np.ndarray, flow: np.ndarray, n: int) -> Boundary:
    end = np.cumsum(np.bincount(name, minlength=n))
    begin = np.concatenate([[0], end[:-1]])
    clusters = np.arange(n, dtype=np.int32)
    return Boundary(
        start=start,
        name=name,
        flow=flow,
        touching=_by_cluster(start, name, begin.copy()),
        begin=begin,
        end=end,
        next=np.full(n, NONE, np.int32),
        first=clusters.copy(),
        last=clusters.copy(),
        length=(end - begin).astype(np.int32),
        names=clusters,
    )


@njit()
def _by_cluster(start, name, at):
    touching = np.empty(len(name), np.int32)
    for v in range(len(start) - 1):
        for contact in range(start[v], start[v + 1]):
            touching[at[name[contact]]] = v
            at[name[contact]] += 1
    return touching


@njit()
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


@njit()
def _collect(indices, received, sent, label, in_start, in_edge, start, name, flow):
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
                name[size] = c
                size += 1
            flow[place[c], int(outgoing)] += weight
    start[n] = size
    return size
