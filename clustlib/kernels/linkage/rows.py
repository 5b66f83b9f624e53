"""The best partner of every cluster, and a tournament that knows the best of all.

A row's value may be higher than any pair of its cluster really has, never lower: most merges only lower affinities,
so a row is looked through again only when it comes out on top. Ties go to the pair with the smallest nodes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from clustlib.compiled import njit
from clustlib.kernels.linkage.links import NONE


class Rows(NamedTuple):
    """
    Attributes
    ----------
    value : (C,) float64
        At least the value of every pair of this cluster; negative for a cluster that is gone.
    low, high : (C,) int64
        Nodes of the best pair: initial clusters by number, merged ones by age.
    pair : (C,) int32
        The best pair, or NONE.
    winner : (2M,) int32
        Tournament over the rows: ``winner[1]`` is the best; M is a power of two.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    pair: np.ndarray
    winner: np.ndarray


def new_rows(n: int) -> Rows:
    """Rows without a partner."""
    leaves = 1 << max(0, n - 1).bit_length()
    winner = np.full(2 * leaves, NONE, np.int32)
    winner[leaves : leaves + n] = np.arange(n)
    return Rows(np.zeros(n), np.zeros(n, np.int64), np.zeros(n, np.int64), np.full(n, NONE, np.int32), winner)


@njit()
def set_row(rows, c, value, low, high, pair):
    """Give row ``c`` a new best pair, without replaying the tournament."""
    rows.value[c], rows.low[c], rows.high[c], rows.pair[c] = value, low, high, pair


@njit()
def replay(rows, c):
    """Play the matches of row ``c`` again."""
    at = (len(rows.winner) // 2 + c) >> 1
    while at >= 1:
        rows.winner[at] = _better(rows, rows.winner[2 * at], rows.winner[2 * at + 1])
        at >>= 1


@njit()
def replay_all(rows):
    """Play all matches."""
    for at in range(len(rows.winner) // 2 - 1, 0, -1):
        rows.winner[at] = _better(rows, rows.winner[2 * at], rows.winner[2 * at + 1])


@njit()
def retire(rows, c):
    """Take row ``c`` out of the tournament."""
    rows.value[c] = -1.0
    rows.winner[len(rows.winner) // 2 + c] = NONE
    replay(rows, c)


@njit()
def _better(rows, c, d):
    if c == NONE or d == NONE:
        return max(c, d)
    if rows.value[c] != rows.value[d]:
        return c if rows.value[c] > rows.value[d] else d
    if rows.low[c] != rows.low[d]:
        return c if rows.low[c] < rows.low[d] else d
    return c if rows.high[c] <= rows.high[d] else d
