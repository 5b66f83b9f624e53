"""DBC's boosted target and its loss (Li et al., 2017, section 3.2), on NumPy arrays."""

import numpy as np

NORMALISATIONS = ("boosted", "soft", "none")


def boosted_target(scores: np.ndarray, alpha: float = 2.0, normalisation: str = "boosted") -> np.ndarray:
    """The target distribution R that boosts high scores and lowers the others, Eq. (2).

    r_ij is proportional to s_ij^alpha / n_j over the clusters j of each sample i.

    Parameters
    ----------
    scores : (N, k) soft assignments S; rows sum to 1.
    alpha : boosting factor, more than 1 boosts; the paper uses 2.
    normalisation : the balance factor n_j of section 4.3.2: "boosted", the sum over i of s_ij^alpha
        (the paper's); "soft", the sum of s_ij (DEC's); "none", 1.

    Returns
    -------
    (N, k) array of the scores' dtype; rows sum to 1.

    Raises
    ------
    ValueError : scores that are not (N, k), are negative or not finite; alpha not positive; an
        unknown normalisation.
    """
    scores = np.asarray(scores)
    if scores.ndim != 2 or scores.size == 0:
        raise ValueError(f"scores must have shape (n_samples, n_clusters), got {scores.shape}")
    if not np.isfinite(scores).all() or scores.min() < 0:
        raise ValueError("scores must be finite and non-negative")
    if not alpha > 0:
        raise ValueError(f"alpha must be positive, got {alpha}")
    if normalisation not in NORMALISATIONS:
        raise ValueError(f"normalisation must be one of {', '.join(NORMALISATIONS)}; got {normalisation!r}")
    # scaling a row by its maximum cancels in the end and keeps large powers from underflowing
    peak = scores.max(axis=1, keepdims=True)
    relative = np.divide(
        scores, peak, out=np.ones_like(scores, dtype=np.result_type(scores, np.float32)), where=peak > 0
    )
    target = relative**alpha
    if normalisation != "none":
        sizes = (scores**alpha if normalisation == "boosted" else scores).sum(axis=0)
        target = np.divide(target, sizes, out=np.zeros_like(target), where=sizes > 0)
    return target / target.sum(axis=1, keepdims=True)


def kl_terms(target: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The terms L_ij = r_ij log(r_ij / s_ij) whose sum is the loss, Eq. (3); 0 where r_ij is 0.

    Returns
    -------
    (N, k) array in nats; a row's sum is that sample's loss and is never negative.
    """
    target, scores = np.asarray(target), np.asarray(scores)
    if target.shape != scores.shape:
        raise ValueError(f"target {target.shape} and scores {scores.shape} differ in shape")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(target > 0, target * np.log(target / scores), 0.0)
