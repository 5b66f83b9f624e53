"""Ranking candidates by their distances in float64, on all threads."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np

from clustlib.compiled import njit


@njit(nogil=True)
def rank(X, candidates, bound, indices, d2, sure, lo, hi):
    """The k nearest of each point's candidates; ``sure`` where no other point can be among them."""
    k = indices.shape[1]
    for i in range(lo, hi):
        d2[i] = np.inf
        indices[i] = -1
        for j in candidates[i]:
            _insert_ranked(indices[i], d2[i], j, _squared_distance(X[i], X[j]))
        sure[i] = d2[i, k - 1] < bound[i]


@njit(nogil=True)
def rank_all(X, rows, indices, d2, lo, hi):
    """The k nearest among all points, for the points ``rows[lo:hi]``."""
    for i in rows[lo:hi]:
        d2[i] = np.inf
        indices[i] = -1
        for j in range(len(X)):
            if j != i:
                _insert_ranked(indices[i], d2[i], j, _squared_distance(X[i], X[j]))


@njit(nogil=True)
def rank_some(X, rows, candidates, indices, d2, lo, hi):
    """The k nearest of the candidates of the points ``rows[lo:hi]``; candidates may be missing or the point itself."""
    for r in range(lo, hi):
        d2[r] = np.inf
        indices[r] = -1
        for j in candidates[r]:
            if j >= 0 and j != rows[r]:
                _insert_ranked(indices[r], d2[r], j, _squared_distance(X[rows[r]], X[j]))


@njit(nogil=True, fastmath={"reassoc", "contract"})
def _squared_distance(x, y):
    total = 0.0
    for t in range(len(x)):
        gap = np.float64(x[t]) - np.float64(y[t])
        total += gap * gap
    return total


@njit(nogil=True)
def _insert_ranked(indices, d2, j, new):
    """As :func:`_insert`, with equal distances in the order of their indices."""
    at = len(d2)
    while at > 0 and (d2[at - 1] > new or (d2[at - 1] == new and indices[at - 1] > j)):
        if at < len(d2):
            d2[at], indices[at] = d2[at - 1], indices[at - 1]
        at -= 1
    if at < len(d2):
        d2[at], indices[at] = new, j


def in_threads(n: int, work: Callable[..., None], *args: Any) -> None:
    """Call ``work(*args, lo, hi)`` on equal parts of ``range(n)``, one a thread; ``work`` must release the GIL."""
    parts = max(1, min(n // 64, numba.get_num_threads(), int(os.environ.get("OMP_NUM_THREADS") or 2**31)))
    if parts == 1:
        work(*args, 0, n)
        return
    edges = [n * p // parts for p in range(parts + 1)]
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(lambda lo, hi: work(*args, lo, hi), edges[:-1], edges[1:]))
