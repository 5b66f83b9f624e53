"""The equations of DeepCluster (Caron et al., 2018) as the paper writes them, in NumPy and float64.

They are for reading beside the paper and for testing what computes them fast (``tests/test_equations_deepcluster.py``);
the line "Fast" of each names that. Rows are images: F (N, d) holds the features f_theta(x_n), y (N,) the cluster of
each, which stands for the paper's one-hot y_n, and the rows of C (k, d) are the centroids, its columns in the paper.
"""

import numpy as np
from numpy import ndarray as Array

from clustlib.fcn.equations import entropy, mutual_information


def classification_loss(scores: Array, y: Array) -> float:
    """Eq. (1): the mean negative log-softmax of the scores g_W(f_theta(x_n)), (N, k), at the labels y (N,), in nats.

    Fast: :class:`clustlib.DeepCluster`.
    """
    softmax = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return float(np.mean([-np.log(softmax[n, y[n]]) for n in range(len(y))]))


def kmeans_objective(F: Array, C: Array) -> float:
    """Eq. (2): the mean squared distance of the features to the centroid that is nearest to each.

    Fast: :func:`clustlib.kernels.kmeans`.
    """
    return float(np.mean([min(np.sum((f - c) ** 2) for c in C) for f in F]))


def assignments(F: Array, C: Array) -> Array:
    """Eq. (2), its minimiser y: the nearest centroid of each image, (N,) int64; of equally near ones the first.

    Fast: :func:`clustlib.kernels.kmeans`.
    """
    return np.array([np.argmin([np.sum((f - c) ** 2) for c in C]) for f in F])


def centroids(F: Array, y: Array) -> Array:
    """Eq. (2), its minimiser C for fixed y: the mean of each cluster, (k, d); no cluster is empty.

    Fast: :func:`clustlib.kernels.kmeans`.
    """
    return np.array([F[y == j].mean(axis=0) for j in range(y.max() + 1)])


def whitened(F: Array, n_components: int) -> Array:
    """Section 3.4: the features' leading principal components at unit variance, (N, n_components), up to signs.

    Fast: :func:`clustlib.kernels.pca_whiten`.
    """
    centred = F - F.mean(axis=0)
    eigenvalues, U = np.linalg.eigh(centred.T @ centred / len(F))
    leading = np.argsort(-eigenvalues)[:n_components]
    return centred @ U[:, leading] / np.sqrt(eigenvalues[leading])


def normalised(F: Array) -> Array:
    """Section 3.4: the features at unit length, (N, d).

    Fast: :func:`clustlib.kernels.pca_whiten`.
    """
    return F / np.sqrt(np.sum(F**2, axis=1, keepdims=True))


def draw_probability(y: Array) -> Array:
    """Section 3.3: how likely each image is drawn if draws are uniform over the clusters, (N,).

    It is proportional to 1 / |C(n)|, one over the size of the image's cluster, and sums to 1.

    Fast: :func:`clustlib.kernels.draw_epoch`.
    """
    inverse_size = np.array([1 / np.sum(y == y_n) for y_n in y])
    return inverse_size / inverse_size.sum()


def nmi(A: Array, B: Array) -> float:
    """Section 4.1: mutual information of two assignments over the geometric mean of their entropies.

    Fast: :func:`clustlib.metrics.nmi`.
    """
    return float(mutual_information(A, B) / np.sqrt(entropy(A) * entropy(B)))
