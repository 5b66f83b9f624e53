"""Rows before and after a clustering: in a unit in which floors and squares do no harm; identical ones together.

The unit is a power of two, so that no digit changes. Who asks for more clusters than there are rows is told.
"""

import math
import warnings

import numpy as np


def in_units(X: np.ndarray, least: float, most: float = math.inf) -> tuple[np.ndarray, float]:
    """``X`` (n, d) divided by a power of two that brings its largest number to [1/2, 1), and that power.

    ``X`` itself and 1 where the largest lies between ``least`` and ``most``, or where all numbers are 0.
    """
    largest = max(float(X.max()), -float(X.min()))
    if largest == 0 or least <= largest <= most:
        return X, 1.0
    exponent = math.frexp(largest)[1]
    return np.ldexp(X, -exponent), math.ldexp(1.0, exponent)


def measured_in(history: list[dict], unit: float, *names: str) -> list[dict]:
    """``history`` with the entries of ``names``, which grow as the rows do, in units of the rows that were given."""
    return [{**entry, **{name: entry[name] * unit for name in names}} for entry in history]


def identical_rows(X: np.ndarray) -> np.ndarray:
    """A number for each row of ``X`` (n, d), from 0, (n,) int64: equal rows have the same."""
    X = np.ascontiguousarray(X + 0.0)  # -0 equals 0
    rows = X.view(np.dtype((np.void, X.itemsize * X.shape[1]))).ravel()
    return np.unique(rows, return_inverse=True)[1]


def settled(labels: np.ndarray, n_clusters: int, X: np.ndarray) -> np.ndarray:
    """``labels`` (n,) of the rows of ``X``, identical ones with the label that most of them have; int64.

    Warns
    -----
    ConvergenceWarning
        Fewer clusters than ``n_clusters``, for want of distinct rows or otherwise.
    """
    group = identical_rows(X)
    labels = of_groups(labels, group)
    if not warn_of_few_rows(n_clusters, X, "some clusters stay empty", group):
        n_found = len(np.unique(labels))
        if n_found < n_clusters:
            _warn(f"found {n_found} clusters, fewer than n_clusters={n_clusters}")
    return labels


def of_groups(labels: np.ndarray, group: np.ndarray) -> np.ndarray:
    """For each row the label that most rows of its ``group`` (n,) have, the smallest of several; (n,) int64."""
    pairs, counts = np.unique(np.column_stack([group, labels]), axis=0, return_counts=True)
    order = np.lexsort((pairs[:, 1], -counts, pairs[:, 0]))  # by group, the commonest label first
    first = np.unique(pairs[order, 0], return_index=True)[1]
    return pairs[order[first], 1][group].astype(np.int64)


def warn_of_few_rows(n_clusters: int, X: np.ndarray, outcome: str, group: np.ndarray | None = None) -> bool:
    """Warn, and return True, if ``n_clusters`` is more than the distinct rows of ``X``; ``outcome``: what follows."""
    distinct = int((identical_rows(X) if group is None else group).max()) + 1
    if n_clusters > distinct:
        _warn(f"n_clusters={n_clusters} is more than the {distinct} distinct rows: {outcome}")
    return n_clusters > distinct


def _warn(message: str) -> None:
    from sklearn.exceptions import ConvergenceWarning

    warnings.warn(message, ConvergenceWarning, stacklevel=4)
