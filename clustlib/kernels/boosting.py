"""DBC's boosted target and its loss (Li et al., 2017, section 3.2), on NumPy arrays and torch tensors."""

import sys
from typing import Any

import numpy as np

from clustlib._validation import check_choice, check_number
from clustlib.errors import UsageError

NORMALISATIONS = ("boosted", "soft", "none")


def library(array: Any) -> Any:
    """The module whose functions work on ``array``: torch for its tensors, else NumPy."""
    torch = sys.modules.get("torch")  # who has a tensor has imported torch
    return torch if torch is not None and isinstance(array, torch.Tensor) else np


def boosted_target(scores: Any, alpha: float = 2.0, normalisation: str = "boosted") -> Any:
    """The target distribution R that boosts high scores and lowers the others, Eq. (2).

    r_ij is proportional to s_ij^alpha / n_j over the clusters j of each sample i.

    Parameters
    ----------
    scores : (N, k) soft assignments S, an array or a tensor; rows sum to 1.
    alpha : boosting factor, more than 1 boosts; the paper uses 2.
    normalisation : the balance factor n_j of section 4.3.2: "boosted", the sum over i of s_ij^alpha
        (the paper's); "soft", the sum of s_ij (DEC's); "none", 1.

    Returns
    -------
    (N, k) array or tensor of the scores' dtype; rows sum to 1.

    Raises
    ------
    ValueError : scores that are not (N, k), are negative or not finite; alpha not positive; an
        unknown normalisation.
    """
    xp = library(scores)
    scores = np.asarray(scores) if xp is np else scores
    if scores.ndim != 2 or 0 in scores.shape:
        raise UsageError(f"scores must have shape (n_samples, n_clusters), got {tuple(scores.shape)}")
    if not bool(xp.isfinite(scores).all()) or scores.min() < 0:
        raise UsageError("scores must be finite and non-negative")
    check_number("alpha", alpha)
    check_choice("normalisation", normalisation, NORMALISATIONS)
    # scaling a row by its maximum cancels in the end and keeps large powers from underflowing
    peak = xp.amax(scores, axis=1, keepdims=True)
    target = xp.where(peak > 0, scores / xp.where(peak > 0, peak, 1), 1) ** alpha
    if normalisation != "none":
        sizes = (scores**alpha if normalisation == "boosted" else scores).sum(axis=0)
        target = xp.where(sizes > 0, target / xp.where(sizes > 0, sizes, 1), 0)
    total = target.sum(axis=1, keepdims=True)  # 0 where a sample has a score for nothing that anybody has one for
    return xp.where(total > 0, target / xp.where(total > 0, total, 1), 1 / scores.shape[1])


def kl_terms(target: Any, scores: Any) -> Any:
    """The terms L_ij = r_ij log(r_ij / s_ij) whose sum is the loss, Eq. (3); 0 where r_ij is 0.

    Both are (N, k), arrays or tensors.

    Returns
    -------
    (N, k) array or tensor in nats; a row's sum is that sample's loss and is never negative.
    """
    xp = library(scores)
    target, scores = (np.asarray(target), np.asarray(scores)) if xp is np else (target, scores)
    if target.shape != scores.shape:
        raise UsageError(f"target {tuple(target.shape)} and scores {tuple(scores.shape)} differ in shape")
    with np.errstate(divide="ignore", invalid="ignore"):
        return xp.where(target > 0, target * xp.log(target / scores), 0)
