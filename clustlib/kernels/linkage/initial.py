"""Initial clusters: what agglomeration starts from (Zhang et al., ECCV 2012; JULE, section 3.6)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from clustlib._arrays import array_of, check_within
from clustlib._validation import check_choice
from clustlib.compiled import njit
from clustlib.errors import UsageError
from clustlib.kernels.neighbours import KnnGraph

_LONGEST_CHAIN = 51  # JULE.torch stops following a chain of nearest neighbours there


def initial_clusters(graph: KnnGraph | np.ndarray, *, variant: str = "published") -> np.ndarray:
    """The weakly connected components of the graph that joins every point to its nearest neighbour.

    Parameters
    ----------
    graph : KnnGraph, or (N, k) or (N,) integer array of neighbours, nearest first
    variant : {"published", "released"}
        "released" follows JULE.torch, which cuts a chain of nearest neighbours after 51 points, so that a long
        chain falls into several clusters (their borders depend on the order of the points).

    Returns
    -------
    (N,) int32
        Cluster of every point; clusters are numbered in the order of their first points.
    """
    indices = graph.indices if isinstance(graph, KnnGraph) else graph
    indices = array_of("graph", indices, "(N,)" if _is_flat(indices) else "(N, k)", "iu", rows=1)
    nearest = indices[:, 0] if indices.ndim == 2 and indices.size else indices.ravel()
    n = len(indices)
    if len(nearest) < n:
        raise UsageError(f"initial clusters need a neighbour for each of {n} points, got {len(nearest)}")
    check_within("neighbours", nearest, n)
    check_choice("variant", variant, ("published", "released"))
    if variant == "released":
        return in_order_of_appearance(_follow_chains(nearest.astype(np.int64)))
    links = coo_array((np.ones(n, np.int8), (np.arange(n), nearest)), shape=(n, n))
    return in_order_of_appearance(connected_components(links, connection="weak")[1])


def _is_flat(indices: Any) -> bool:
    try:
        return np.ndim(indices) == 1
    except ValueError:  # a ragged list
        return False


def in_order_of_appearance(labels: np.ndarray) -> np.ndarray:
    """Renumber ``labels`` (N,) from 0 in the order in which they first occur, as int32."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
    return rank[inverse]


@njit()
def _follow_chains(nearest):
    labels = np.full(len(nearest), -1, np.int64)
    chain = np.empty(_LONGEST_CHAIN, np.int64)
    for start in range(len(nearest)):
        length, at = 0, start
        while length < _LONGEST_CHAIN and labels[at] == -1:
            labels[at] = -2
            chain[length] = at
            length += 1
            at = nearest[at]
        if labels[at] < 0:  # a new cluster, which takes the point after the cut along
            labels[at] = start
        label = labels[at]
        for i in range(length):
            labels[chain[i]] = label
    return labels
