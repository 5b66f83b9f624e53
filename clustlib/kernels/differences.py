"""Squared distances that products have lost, from the differences of the points.

|x|^2 + |y|^2 - 2xy is quick, and its rounding grows with the norms: of two points that lie close together and far from
the origin nothing is left. Those few pairs are computed again; all others keep the bits of the product.
"""

import numpy as np

from clustlib.kernels._neighbour_parts import rounding

PAIRS = 4096  # whose differences are held at once
SPOILED = 1e-9  # share of the norms below which fewer than six digits are left in float64
_DOUBTFUL = 1e3  # distances that exceed their rounding by less than this are no ground for a choice


def mend(D: np.ndarray, X: np.ndarray, Y: np.ndarray, x2: np.ndarray, y2: np.ndarray, share: float = SPOILED) -> None:
    """Give the pairs of ``D`` (n, m) below ``share`` of their norms the distance of their differences, in place.

    ``X`` (n, d) and ``Y`` (m, d) are float64 with squared norms ``x2`` (n,) and ``y2`` (m,).
    """
    near = np.argwhere(share * (x2[:, None] + y2) > D)
    for first in range(0, len(near), PAIRS):
        i, j = near[first : first + PAIRS].T
        D[i, j] = np.square(X[i] - Y[j]).sum(axis=1)


def rank_again(found: np.ndarray, distances: np.ndarray, X: np.ndarray, queries: np.ndarray, alone: bool) -> None:
    """Choose the neighbours of those queries anew whose float64 distances drown in rounding, in place.

    Parameters
    ----------
    found : (n, k) indices into ``X`` (m, d), nearest first. distances : (n, k) Euclidean, as products gave them.
    queries : (n, d). alone : whether they are the rows of ``X``, which are not their own neighbours.
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", queries, queries, dtype=np.float64))
    furthest = np.sqrt(np.einsum("ij,ij->i", X, X, dtype=np.float64).max())
    limit = _DOUBTFUL * rounding(X.shape[1], 2.0**-53) * (lengths + furthest) ** 2
    for i in np.flatnonzero(np.square(distances[:, 0]) < limit):
        d2 = _to_all(X[found[i]], queries[i])
        if not (d2[d2 > 0] < limit[i]).any():  # nothing but duplicates so near: products tell those apart
            continue
        d2 = _to_all(X, queries[i])
        if alone:
            d2[i] = np.inf
        found[i] = np.argsort(d2, kind="stable")[: found.shape[1]]


def _to_all(X: np.ndarray, point: np.ndarray) -> np.ndarray:
    return np.square(X.astype(np.float64) - point).sum(axis=1)
