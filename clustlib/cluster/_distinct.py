"""Identical rows belong together, and who asks for more clusters than there can be is told."""

import warnings

import numpy as np


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
    pairs, counts = np.unique(np.column_stack([group, labels]), axis=0, return_counts=True)
    order = np.lexsort((pairs[:, 1], -counts, pairs[:, 0]))  # by group, the commonest label first
    first = np.unique(pairs[order, 0], return_index=True)[1]
    labels = pairs[order[first], 1][group].astype(np.int64)
    if not warn_of_few_rows(n_clusters, X, "some clusters stay empty", group):
        found = len(np.unique(labels))
        if found < n_clusters:
            _warn(f"found {found} clusters, fewer than n_clusters={n_clusters}")
    return labels


def warn_of_few_rows(n_clusters: int, X: np.ndarray, outcome: str, group: np.ndarray | None = None) -> bool:
    """Warn, and return True, if ``n_clusters`` is more than the distinct rows of ``X``; ``outcome``: what follows."""
    distinct = int((identical_rows(X) if group is None else group).max()) + 1
    if n_clusters > distinct:
        _warn(f"n_clusters={n_clusters} is more than the {distinct} distinct rows: {outcome}")
    return n_clusters > distinct


def _warn(message: str) -> None:
    from sklearn.exceptions import ConvergenceWarning

    warnings.warn(message, ConvergenceWarning, stacklevel=4)
