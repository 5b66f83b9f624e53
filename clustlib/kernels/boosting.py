"""DBC's boosted target and its loss (Li et al., 2017, section 3.2), on NumPy arrays and torch tensors."""

import sys
from typing import Any

import numpy as np

from clustlib._arrays import array_of, check_tensor
from clustlib._validation import check_choice, check_number
from clustlib.errors import UsageError

_LEAST_SUM = 1e-30  # below that a sum of powers has lost digits, in float32
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
    xp, scores = library(scores), _checked("scores", scores)
    if str(scores.dtype).endswith("float16"):  # sums over many samples are beyond half precision
        wide = boosted_target(scores.astype(np.float32) if xp is np else scores.float(), alpha, normalisation)
        return wide.astype(scores.dtype) if xp is np else wide.to(scores.dtype)
    check_number("alpha", alpha)
    check_choice("normalisation", normalisation, NORMALISATIONS)
    # scaling a row by its maximum cancels in the end and keeps large powers from underflowing
    peak = xp.amax(scores, axis=1, keepdims=True)
    target = xp.where(peak > 0, scores / xp.where(peak > 0, peak, 1), 1) ** alpha
    if normalisation != "none":
        sizes = (scores**alpha if normalisation == "boosted" else scores).sum(axis=0)
        if normalisation == "boosted" and bool((sizes[xp.amax(scores, 0) > 0] < _LEAST_SUM).any()):
            return _by_logarithms(xp, scores, alpha)
        target = xp.where(sizes > 0, target / xp.where(sizes > 0, sizes, 1), 0)
    total = target.sum(axis=1, keepdims=True)  # 0 where a sample has a score for nothing that anybody has one for
    return xp.where(total > 0, target / xp.where(total > 0, total, 1), 1 / scores.shape[1])


def _by_logarithms(xp: Any, scores: Any, alpha: float) -> Any:
    """:func:`boosted_target` of powers that no number holds: r_ij by alpha log s_ij - log n_j."""
    with np.errstate(divide="ignore", invalid="ignore"):
        powers = alpha * xp.log(scores)
        peak = xp.amax(powers, axis=0, keepdims=True)
        powers = powers - peak - xp.log(xp.exp(powers - peak).sum(axis=0, keepdims=True))
        powers = xp.where(scores > 0, powers, -np.inf)
        target = xp.exp(powers - xp.amax(powers, axis=1, keepdims=True))
        target = target / target.sum(axis=1, keepdims=True)
    return xp.where(xp.isfinite(target), target, 1 / scores.shape[1])  # a sample without any score


def _checked(name: str, scores: Any) -> Any:
    """(N, k) floats as an array or a tensor, none of them below 0."""
    xp = library(scores)
    scores = array_of(name, scores, "(N, k)", rows=1) if xp is np else scores
    if xp is not np:
        check_tensor(name, scores, "(N, k)")
    if 0 in scores.shape or not bool(xp.isfinite(scores).all()) or scores.min() < 0:
        raise UsageError(f"{name} must be (N, k), finite and non-negative, got {tuple(scores.shape)}")
    return scores


def kl_terms(target: Any, scores: Any) -> Any:
    """The terms L_ij = r_ij log(r_ij / s_ij) whose sum is the loss, Eq. (3); 0 where r_ij is 0.

    Both are (N, k), arrays or tensors.

    Returns
    -------
    (N, k) array or tensor in nats; a row's sum is that sample's loss and is never negative.

    Raises
    ------
    ValueError : another shape, an array beside a tensor, numbers that are negative or not finite.
    """
    target, scores = _checked("target", target), _checked("scores", scores)
    if library(target) is not library(scores) or target.shape != scores.shape:
        raise UsageError(f"target {tuple(target.shape)} and scores {tuple(scores.shape)} differ in shape or kind")
    return terms(target, scores)


def terms(target: Any, scores: Any) -> Any:
    """:func:`kl_terms` of numbers that a training has made itself."""
    xp = library(target)
    with np.errstate(divide="ignore", invalid="ignore"):
        return xp.where(target > 0, target * xp.log(target / scores), 0)
