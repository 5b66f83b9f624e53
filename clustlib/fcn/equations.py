"""The equations of GSNMF-FCN (Gui et al., 2017) as the paper writes them, in NumPy and float64.

They are for reading beside the paper and for testing what computes them fast (``tests/test_equations_fcn.py``); the
line "Fast" of each names that. Letters, orientation and order are the paper's: the columns of X (M, N) are the
activations of N images, W (M, L) is the basis, H (L, N) holds the coefficients, and all three are non-negative.
The kernels store the transposes: rows are images there.
"""

from itertools import permutations

import numpy as np
from numpy import ndarray as Array


def approximation(W: Array, H: Array) -> Array:
    """Eq. (1): what X is approximated by.

    Fast: :func:`clustlib.kernels.gsnmf_update`.
    """
    return W @ H


def objective(X: Array, W: Array, H: Array, lambda_1: float, lambda_2: float) -> float:
    """Eq. (2): the objective of group-sparse NMF, an elastic net on the coefficients.

    Fast: :func:`clustlib.kernels.gsnmf_update`.
    """
    squared_error = np.sum((X - approximation(W, H)) ** 2)
    return float(squared_error / 2 + lambda_1 / 2 * np.sum(H**2) + lambda_2 * np.sum(np.abs(H)))


def gradient_step(H: Array, eta: Array, gradient_H: Array) -> Array:
    """Eq. (3): gradient descent on H with a step size for every entry.

    Fast: :func:`clustlib.kernels.gsnmf_update`.
    """
    return H - eta * gradient_H


def gradient(X: Array, W: Array, H: Array, lambda_1: float, lambda_2: float) -> Array:
    """Eq. (4): the derivative of the objective by H, (L, N).

    Fast: :func:`clustlib.kernels.gsnmf_update`.
    """
    ones = np.ones_like(H)
    return -W.T @ X + W.T @ W @ H + lambda_1 * H + lambda_2 * ones


def step_size(W: Array, H: Array, lambda_1: float, lambda_2: float) -> Array:
    """Eq. (5): the step size for which the descent of Eq. (3) is a product, (L, N).

    Fast: :func:`clustlib.kernels.gsnmf_update`.
    """
    ones = np.ones_like(H)
    return H / (W.T @ W @ H + lambda_1 * H + lambda_2 * ones)


def update_basis(X: Array, W: Array, H: Array) -> Array:
    """Eq. (6), first line: the new basis.

    Fast: :func:`clustlib.kernels.gsnmf_update`.
    """
    return W * (X @ H.T) / (W @ H @ H.T)


def update_coefficients(X: Array, W: Array, H: Array, lambda_1: float | Array, lambda_2: float) -> Array:
    """Eq. (6), second line: the new coefficients.

    Fast: :func:`clustlib.kernels.gsnmf_update`.
    """
    ones = np.ones_like(H)
    return H * (W.T @ X) / (W.T @ W @ H + lambda_1 * H + lambda_2 * ones)


def accuracy(t: Array, r: Array) -> float:
    """Eq. (7): the share of samples whose cluster is mapped to their label, under the best map.

    Every one-to-one map is tried, so this is for a handful of clusters. The clusters that are more than the labels are
    mapped to nothing (None).

    Fast: :func:`clustlib.metrics.accuracy`.

    Parameters
    ----------
    t, r : (N,) labels and clusters.
    """
    labels, clusters = list(np.unique(t)), list(np.unique(r))
    nothing = [None] * max(0, len(clusters) - len(labels))
    maps = (dict(zip(clusters, images)) for images in permutations([*labels, *nothing], len(clusters)))
    return max(sum(t_i == map_[r_i] for t_i, r_i in zip(t, r)) / len(t) for map_ in maps)


def nmi(t: Array, r: Array) -> float:
    """Eq. (8): mutual information of two labelings C and C' of the same samples over the larger of their entropies.

    Fast: :func:`clustlib.metrics.nmi`.
    """
    return mutual_information(t, r) / max(entropy(t), entropy(r))


def entropy(t: Array) -> float:
    """Section 4.4: H(C), the entropy of a labeling, in nats.

    Fast: :func:`clustlib.metrics.nmi`.
    """
    p = [np.mean(t == label) for label in np.unique(t)]
    return float(-sum(p_label * np.log(p_label) for p_label in p))


def mutual_information(t: Array, r: Array) -> float:
    """Section 4.4: MI(C, C'), the mutual information of two labelings of the same samples, in nats.

    Fast: :func:`clustlib.metrics.nmi`.
    """
    total = 0.0
    for label in np.unique(t):
        for cluster in np.unique(r):
            joint = np.mean((t == label) & (r == cluster))
            if joint > 0:
                total += joint * np.log(joint / (np.mean(t == label) * np.mean(r == cluster)))
    return float(total)
