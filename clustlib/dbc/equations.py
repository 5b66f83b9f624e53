"""The equations of FCAE and DBC (Li et al., 2017) as the paper writes them, in NumPy and float64.

They are for reading beside the paper and for testing what computes them fast (``tests/test_equations_dbc.py``); the
line "Fast" of each names that. Letters are the paper's: z_i are the rows of Z (m, d), the codes of m images; mu_j
those of mu (k, d), the centres; s_ij and r_ij the entries of S and R (m, k), scores and target; v the degrees of
freedom of Student's t distribution. Accuracy and NMI are Eq. (7) and (8) of :mod:`clustlib.fcn.equations`.
"""

from collections.abc import Callable

import numpy as np
from numpy import ndarray as Array


def autoencoder(x: Array, encode: Callable, decode: Callable) -> Array:
    """Eq. (M1): image, code, image again.

    Fast: :class:`clustlib.FCAEFeatures`.
    """
    z = encode(x)
    return decode(z)


def reconstruction_loss(x: Array, x_hat: Array) -> float:
    """Algorithm 1: the Euclidean loss that the auto-encoder is trained on, for rows x_i (m, D).

    Fast: :class:`clustlib.FCAEFeatures`.
    """
    return float(np.sum((x - x_hat) ** 2))


def soft_assignment(Z: Array, mu: Array, v: float = 1.0) -> Array:
    """Eq. (1): the score of every code against every centre, (m, k); rows sum to 1.

    Fast: :func:`clustlib.kernels.soft_assign`.
    """
    squared_distance = np.sum((Z[:, None, :] - mu[None, :, :]) ** 2, axis=2)
    s = (1 + squared_distance / v) ** (-(v + 1) / 2)
    return s / s.sum(axis=1, keepdims=True)


def clustering_network(x: Array, encode: Callable, mu: Array, v: float = 1.0) -> Array:
    """Eq. (M2): image, code, scores.

    Fast: :func:`clustlib.kernels.soft_assign`.
    """
    z = encode(x)
    return soft_assignment(z, mu, v)


def boosted(S: Array, alpha: float) -> Array:
    """Eq. (2): scores raised to a power, (m, k); rows sum to 1.

    Fast: :func:`clustlib.kernels.boosted_target`.
    """
    r = S**alpha
    return r / r.sum(axis=1, keepdims=True)


def ratio_after(ratio: float | Array, alpha: float, t: int) -> float | Array:
    """Property 2: the ratio s_ij / s_il of two scores of a sample after t targets that were reached.

    Fast: :func:`clustlib.kernels.boosted_target`.
    """
    return ratio ** (alpha**t)


def balanced_target(S: Array, alpha: float, n: Array) -> Array:
    """Algorithm 2, step 8: the target, each score divided by the factor n_j (k,) of its cluster; rows sum to 1.

    Fast: :func:`clustlib.kernels.boosted_target`.
    """
    r = S**alpha / n
    return r / r.sum(axis=1, keepdims=True)


def boosted_sizes(S: Array, alpha: float) -> Array:
    """Algorithm 2, step 8: n_j, the factor that keeps large clusters from taking over, (k,).

    Fast: :func:`clustlib.kernels.boosted_target`.
    """
    return np.sum(S**alpha, axis=0)


def soft_sizes(S: Array) -> Array:
    """Section 4.3.2: the other n_j, which for alpha = 2 gives the target of DEC, (k,).

    Fast: :func:`clustlib.kernels.boosted_target`.
    """
    return np.sum(S, axis=0)


def kl_divergence(R: Array, S: Array) -> float:
    """Eq. (3): the loss, the divergence from the scores to the target, in nats.

    Fast: :func:`clustlib.kernels.boosted_kl`, :func:`clustlib.kernels.kl_terms`.
    """
    own = R > 0  # r log r goes to 0 with r
    return float(np.sum(R[own] * np.log(R[own] / S[own])))


def gradient_by_codes(Z: Array, mu: Array, R: Array, v: float = 1.0) -> Array:
    """Eq. (4): the derivative of the loss by every code, (m, d), for a fixed target.

    Fast: :func:`clustlib.kernels.boosted_kl`.
    """
    S = soft_assignment(Z, mu, v)
    apart = Z[:, None, :] - mu[None, :, :]
    pull = (R - S)[:, :, None] * apart / (1 + np.sum(apart**2, axis=2, keepdims=True) / v)
    return (1 + v) / v * pull.sum(axis=1)


def gradient_by_centers(Z: Array, mu: Array, R: Array, v: float = 1.0) -> Array:
    """Eq. (5): the derivative of the loss by every centre, (k, d), for a fixed target.

    Fast: :func:`clustlib.kernels.boosted_kl`.
    """
    S = soft_assignment(Z, mu, v)
    apart = mu[None, :, :] - Z[:, None, :]
    pull = (R - S)[:, :, None] * apart / (1 + np.sum(apart**2, axis=2, keepdims=True) / v)
    return (1 + v) / v * pull.sum(axis=0)


# -------------------------------------------------- appendix A: Eq. (4) in eight steps, for one code z (d,)


def u(z: Array, mu: Array, v: float) -> Array:
    """Eq. (.1): one and the squared distance to every centre over v, (k,).

    Fast: :func:`clustlib.kernels.soft_assign`.
    """
    return 1 + np.sum((z - mu) ** 2, axis=1) / v


def du_dz(z: Array, mu: Array, v: float) -> Array:
    """Eq. (.2): the derivative of u by the code, (k, d).

    Fast: :func:`clustlib.kernels.boosted_kl`.
    """
    return 2 / v * (z - mu)


def q(z: Array, mu: Array, v: float) -> Array:
    """Eq. (.3): the kernel, (k,).

    Fast: :func:`clustlib.kernels.soft_assign`.
    """
    return u(z, mu, v) ** (-(1 + v) / 2)


def dq_dz(z: Array, mu: Array, v: float) -> Array:
    """Eq. (.4): the derivative of the kernel by the code, (k, d).

    Fast: :func:`clustlib.kernels.boosted_kl`.
    """
    return -(1 + v) / v * (q(z, mu, v) / u(z, mu, v))[:, None] * (z - mu)


def s(z: Array, mu: Array, v: float) -> Array:
    """Eq. (.5): the scores, which are those of Eq. (1), (k,).

    Fast: :func:`clustlib.kernels.soft_assign`.
    """
    return q(z, mu, v) / np.sum(q(z, mu, v))


def ds_dz(z: Array, mu: Array, v: float) -> Array:
    """Eq. (.6): the derivative of the scores by the code, (k, d).

    Fast: :func:`clustlib.kernels.boosted_kl`.
    """
    scores, apart = s(z, mu, v)[:, None], (z - mu) / u(z, mu, v)[:, None]
    return -(1 + v) / v * scores * (apart - np.sum(scores * apart, axis=0))


def dL_dz_by_scores(z: Array, mu: Array, r: Array, v: float) -> Array:
    """Eq. (.7): the derivative of the loss by the code through the scores, (d,); r (k,) is the target.

    Fast: :func:`clustlib.kernels.boosted_kl`.
    """
    return -np.sum((r / s(z, mu, v))[:, None] * ds_dz(z, mu, v), axis=0)


def dL_dz(z: Array, mu: Array, r: Array, v: float) -> Array:
    """Eq. (.8): the derivative of the loss by the code, (d,), which is Eq. (4).

    Fast: :func:`clustlib.kernels.boosted_kl`.
    """
    return (1 + v) / v * np.sum(((r - s(z, mu, v)) / u(z, mu, v))[:, None] * (z - mu), axis=0)
