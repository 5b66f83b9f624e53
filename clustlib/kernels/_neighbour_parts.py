"""What a search for neighbours needs on every device, without numba, which a bare GPU machine lacks."""

from typing import Any

import numpy as np

from clustlib._arrays import shown
from clustlib.errors import UsageError

_TRY_DOUBLINGS = 200  # 2**200 brings any finite bandwidth above any distance float64 can hold apart


def check_k(k: Any, n: int) -> None:
    """Raise :class:`UsageError` unless ``k`` is a number of other points that each of ``n`` points has."""
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k <= n - 1:
        raise UsageError(
            f"k, the number of neighbours, must be an integer from 1 to {n - 1} for {n} points, got {shown(k)}"
        )


def rounding(dim: int, unit: float = 2.0**-24) -> float:
    """How wrong a squared distance by products may be, as a share of (|x| + max |y|)^2; ``unit``: float32's roundoff.

    The errors of a dot product add up like a random walk of sqrt(D) steps of one unit roundoff: four standard
    deviations of it, and of the three sums.
    """
    return (4 * dim**0.5 + 8) * unit


def magnified(sigma2: float, nearest_d2: np.ndarray) -> float:
    """Double ``sigma2`` until the weight of every nearest neighbour is at least 1e-5 (gactoolbox)."""
    if sigma2 > 0:
        for _ in range(_TRY_DOUBLINGS):
            if np.exp(-nearest_d2.max() / sigma2) >= 1e-5:
                break
            sigma2 *= 2
    return sigma2


def far_row(points: Any) -> Any:
    """:func:`clustlib._validation.origin_of` of a floating tensor (N, D): a row to measure from, or None."""
    if not len(points):
        return None
    spread = 32 * (points.amax(0) - points.amin(0)).double().norm()
    return points[0].clone() if bool((spread > 0) & (spread < points[0].double().norm())) else None
