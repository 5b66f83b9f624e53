"""The equations of JULE (Yang et al., 2016) as the paper and its talk write them, in NumPy and float64.

They are for reading beside the paper and for testing what computes them fast (``tests/test_equations_jule.py``); the
line "Fast" of each names that. Letters are the paper's: the rows of X (n_s, D) are the features x_i of n_s images, y
their clusters, theta the network's parameters, W (n_s, n_s) the weights of the directed graph; a cluster C is the
array of its images' indices.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from math import ceil
from typing import Any

import numpy as np
from numpy import ndarray as Array

Loss = Callable[[Any, Any], float]  # L(y, theta | I) for the images at hand


# ---------------------------------------------------------------- the loop


def best_pair(loss: Loss, labelings: Iterable, parameters: Iterable) -> tuple:
    """Eq. (1): the labels and the parameters that minimise the loss, among finitely many of each.

    Fast: :class:`clustlib.JULE`.
    """
    return min(product(labelings, parameters), key=lambda pair: loss(*pair))


def best_labels(loss: Loss, labelings: Iterable, theta: Any) -> Any:
    """Eq. (2a): the labels that minimise the loss for fixed parameters, which is clustering.

    Fast: :func:`clustlib.kernels.graph_linkage`.
    """
    return min(labelings, key=lambda y: loss(y, theta))


def best_parameters(loss: Loss, y: Any, parameters: Iterable) -> Any:
    """Eq. (2b): the parameters that minimise the loss for fixed labels, which is supervised training.

    Fast: :class:`clustlib.JULE`.
    """
    return min(parameters, key=lambda theta: loss(y, theta))


def timestep(images: Array, theta: Any, h: Array, f_r: Callable, f_m: Callable) -> tuple[Array, Array, Array]:
    """Eq. (5a), Eq. (5b) and Eq. (5c): features X^t, hidden state h^t and labels y^t from the state before.

    Fast: :class:`clustlib.JULE`.
    """
    X = f_r(images, theta)
    h = f_m(X, h)
    y = h
    return X, h, y


def merges_of_a_period(n_c: int, eta: float) -> int:
    """Section 3.6: n_p, the merges of a period that begins with n_c clusters, at the unrolling rate eta.

    Fast: :func:`clustlib.jule.unrolling.clusters_after`.
    """
    return ceil(eta * n_c)


# ---------------------------------------------------------------- the sample graph


def squared_distances(X: Array) -> Array:
    """Section 3.3: the squared Euclidean distances of all pairs, (n_s, n_s).

    Fast: :func:`clustlib.kernels.squared_distances`.
    """
    return np.array([np.sum((x_i - X) ** 2, axis=1) for x_i in X])


def neighbours(X: Array, K_s: int) -> Array:
    """Section 3.1: the K_s nearest neighbours of every image, nearest first, without itself, (n_s, K_s).

    Of equally near ones the first comes first.

    Fast: :func:`clustlib.kernels.knn`.
    """
    d2 = squared_distances(X)
    others = [[j for j in range(len(X)) if j != i] for i in range(len(X))]
    return np.array([sorted(others[i], key=lambda j: d2[i, j])[:K_s] for i in range(len(X))])


def bandwidth(X: Array, K_s: int, a: float) -> float:
    """Section 3.3: sigma^2, which is ``a`` times the mean squared length of an edge.

    Fast: :func:`clustlib.kernels.affinity_graph`.
    """
    d2, N, n_s = squared_distances(X), neighbours(X, K_s), len(X)
    return a / (n_s * K_s) * sum(d2[i, j] for i in range(n_s) for j in N[i])


def affinity_matrix(X: Array, K_s: int, a: float = 1.0) -> Array:
    """Eq. (4): the weights W of the directed graph, (n_s, n_s).

    Fast: :func:`clustlib.kernels.affinity_graph`.
    """
    d2, N, sigma2 = squared_distances(X), neighbours(X, K_s), bandwidth(X, K_s, a)
    W = np.zeros_like(d2)
    for i in range(len(X)):
        for j in N[i]:
            W[i, j] = np.exp(-d2[i, j] / sigma2)
    return W


# ---------------------------------------------------------------- affinities of clusters, and merging


def exchanged_weight(W: Array, A: Sequence[int], B: Sequence[int]) -> float:
    """Section 3.3: 1' W_AB W_BA 1, what each image of B receives from A times what it sends to A, summed over B.

    Fast: :func:`clustlib.kernels.cluster_affinities`.
    """
    received, sent = W[np.ix_(A, B)].sum(axis=0), W[np.ix_(B, A)].sum(axis=1)
    return float(np.sum(received * sent))


def directed_affinity(W: Array, A: Sequence[int], B: Sequence[int]) -> float:
    """The talk's A(A -> B): the half of the affinity in which the images of A are counted.

    Fast: :func:`clustlib.kernels.cluster_affinities`.
    """
    return exchanged_weight(W, B, A) / len(B) ** 2


def cluster_affinity(W: Array, A: Sequence[int], B: Sequence[int]) -> float:
    """Section 3.3: A(A, B), the affinity of two clusters by graph degree linkage.

    Fast: :class:`clustlib.kernels.linkage.gdl.ByAffinity`, :func:`clustlib.kernels.cluster_affinities`.
    """
    return exchanged_weight(W, A, B) / len(A) ** 2 + exchanged_weight(W, B, A) / len(B) ** 2


def merged_affinity_fast(to_A: float, to_B: float, size_A: int, size_B: int) -> float:
    """The talk's approximation of A(C -> A u B), from A(C -> A) and A(C -> B).

    Fast: :func:`clustlib.kernels.graph_linkage`.
    """
    return (size_A * to_A + size_B * to_B) / (size_A + size_B)


def closest_clusters(affinities: Array) -> tuple[int, int]:
    """Eq. (3): the two clusters of largest affinity, for the affinities of all pairs (n_c, n_c).

    Of equal ones the first in the order of rows.

    Fast: :func:`clustlib.kernels.graph_linkage`.
    """
    n_c = len(affinities)
    return max(((i, j) for i in range(n_c) for j in range(n_c) if i != j), key=lambda pair: affinities[pair])


def nearest_affinities(affinities: Array, i: int, K_c: int) -> Array:
    """Section 3.1: the affinities of cluster i to its K_c nearest clusters, descending, (K_c,).

    Where there are fewer other clusters, the missing ones count as 0.

    Fast: :class:`clustlib.kernels.linkage.criterion.ByLocalStructure`, :func:`clustlib.kernels.merge_scores`.
    """
    others = sorted((affinities[i, j] for j in range(len(affinities)) if j != i), reverse=True)
    return np.array([*others, *[0.0] * K_c][:K_c])


def loss_7a(a: Array) -> float:
    """Eq. (7a): the negative affinity to the nearest cluster; ``a`` (K_c,) has the :func:`nearest_affinities`.

    Fast: :class:`clustlib.kernels.linkage.criterion.ByLocalStructure`, :func:`clustlib.kernels.merge_scores`.
    """
    return -a[0]


def loss_7b(a: Array, lambda_: float) -> float:
    """Eq. (7b): the local structure, how far the nearest cluster stands out among the K_c nearest.

    Fast: :class:`clustlib.kernels.linkage.criterion.ByLocalStructure`, :func:`clustlib.kernels.merge_scores`.
    """
    K_c = len(a)
    return -lambda_ / (K_c - 1) * sum(a[0] - a[k] for k in range(1, K_c))


def merge_loss(a: Array, lambda_: float) -> float:
    """Eq. (7): the loss of merging a cluster with its nearest; the cluster with the smallest loss is merged.

    Fast: :class:`clustlib.kernels.linkage.criterion.ByLocalStructure`, :func:`clustlib.kernels.merge_scores`.
    """
    return loss_7a(a) + loss_7b(a, lambda_)


def total_loss(losses: Sequence[float]) -> float:
    """Eq. (6): the sum of the losses of all timesteps.

    Fast: :func:`clustlib.kernels.graph_linkage`.
    """
    return sum(losses)


def period_loss(losses: Sequence[float], start: int, end: int) -> float:
    """Eq. (8): the sum of the losses of a period's timesteps, from ``start`` to ``end``, both included.

    Fast: :func:`clustlib.kernels.graph_linkage`.
    """
    return sum(losses[t] for t in range(start, end + 1))


# ---------------------------------------------------------------- from merges to triplets


def loss_of_periods(period_losses: Sequence[float]) -> float:
    """Eq. (9): the sum of the losses of the first p periods, which the network is trained on.

    Fast: :class:`clustlib.JULE`.
    """
    return sum(period_losses)


def loss_of_merges(a: Array, lambda_: float) -> float:
    """Eq. (10): the same loss, gathered; ``a`` (T, K_c) has a row of :func:`nearest_affinities` for each merge.

    Fast: :func:`clustlib.kernels.weighted_triplet_loss`.
    """
    T, K_c = a.shape
    lambda_1 = 1 + 1 / lambda_  # lambda' in the paper
    return -lambda_ / (K_c - 1) * sum(lambda_1 * a[t, 0] - a[t, k] for t in range(T) for k in range(1, K_c))


def triplet_loss(to_positive: Array, to_negative: Array, gamma: float, lambda_: float, K_c: int) -> float:
    """Eq. (11): the weighted triplet loss; (P,) affinities A(x_i, x_j) and A(x_i, x_k) of P triplets.

    Fast: :func:`clustlib.kernels.weighted_triplet_loss`.
    """
    return float(-lambda_ / (K_c - 1) * np.sum(gamma * to_positive - to_negative))


def triplet_hinge(x_i: Array, x_j: Array, x_k: Array, gamma: float, margin: float) -> float:
    """Eq. (11) as the authors' released code has it, for one triplet: with distances and a margin.

    Fast: :func:`clustlib.kernels.weighted_triplet_loss`.
    """
    return max(0.0, gamma * np.sum((x_i - x_j) ** 2) - np.sum((x_i - x_k) ** 2) + margin)
