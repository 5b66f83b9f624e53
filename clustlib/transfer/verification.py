"""Do two faces show one person? Cosine similarity against a threshold, fold by fold: LFW's restricted protocol."""

from __future__ import annotations

import numpy as np

from clustlib._arrays import array_of
from clustlib._validation import check_features
from clustlib.errors import UsageError


def cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine similarity (P,) float64 of the rows of two (P, D) tables; 0 where a row is zero."""
    first, second = (
        check_features(rows, distances="float64", name=name).astype(np.float64, copy=False)
        for rows, name in ((first, "first"), (second, "second"))
    )
    if first.shape != second.shape:
        raise UsageError(f"first and second must have one shape, got {first.shape} and {second.shape}")
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.einsum("ij,ij->i", first, second) / np.where(lengths == 0, 1, lengths)


def best_threshold(similarity: np.ndarray, same: np.ndarray) -> float:
    """The threshold that separates most pairs rightly (a pair at or above it is called the same); midway between pairs.

    Of several equally good ones the lowest.
    """
    similarity, same = _pairs(similarity, same)
    order = np.argsort(similarity, kind="stable")
    s, y = similarity[order], same[order].astype(np.int64)
    below = np.concatenate([[0], np.cumsum(1 - y)])  # rightly told apart if the first k are called different
    right = below + (y.sum() - np.concatenate([[0], np.cumsum(y)]))
    middle = (s[1:] + s[:-1]) / 2
    middle = np.where((middle > s[:-1]) & (middle <= s[1:]), middle, s[1:])  # no number lies between neighbours
    cuts = np.concatenate([[s[0] - 1], middle, [max(s[-1] + 1, np.nextafter(s[-1], np.inf))]])
    right[1:-1][s[1:] == s[:-1]] = -1  # equal similarities cannot be separated
    return float(cuts[np.argmax(right)])


def _pairs(similarity: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Similarities (P,) float64 and kinds (P,) bool, of one pair or more."""
    similarity = array_of("similarity", similarity, "(P,)", rows=1).astype(np.float64)
    same = array_of("same", same, f"({len(similarity)},)")
    if not np.isin(same, (0, 1)).all():
        raise UsageError("same must be true or false for each pair")
    return similarity, same.astype(bool)


def verification_accuracy(similarity: np.ndarray, same: np.ndarray, fold: np.ndarray) -> float:
    """Mean accuracy over the folds, each with the best threshold of all others.

    Parameters
    ----------
    similarity : (P,) numbers. same : (P,) bool. fold : (P,) integers, at least two different ones.
    """
    similarity, same = _pairs(similarity, same)
    fold = array_of("fold", fold, f"({len(same)},)", "iub")
    folds = np.unique(fold)
    if len(folds) < 2:
        raise UsageError("needs pairs in at least two folds, with a similarity and a kind each")
    accuracies = []
    for held_out in folds:
        test = fold == held_out
        threshold = best_threshold(similarity[~test], same[~test])
        accuracies.append(np.mean((similarity[test] >= threshold) == same[test]))
    return float(np.mean(accuracies))
