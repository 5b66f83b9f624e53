"""The three steps of landmark-based spectral clustering before its k-means."""

import numpy as np
import scipy.linalg
from scipy import sparse


def pick_landmarks(X: np.ndarray, n_landmarks: int, random: np.random.RandomState) -> np.ndarray:
    """Centres (p, d) after five iterations of k-means from random samples, as the authors' code picks them."""
    import warnings

    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # five iterations are not meant to converge
        return KMeans(n_landmarks, init="random", n_init=1, max_iter=5, random_state=random).fit(X).cluster_centers_


def codes(X: np.ndarray, landmarks: np.ndarray, n_nearest: int, *, squared_bandwidth: bool) -> sparse.csr_array:
    """Sparse (n, p): weights exp(-d² / (2 h²)) of the nearest landmarks, each row with sum 1.

    h is the mean distance to a landmark, or with ``squared_bandwidth`` the mean squared distance.
    """
    from sklearn.metrics import pairwise_distances_chunked

    n, p = len(X), len(landmarks)
    r = min(n_nearest, p)
    index, squared, total = np.empty((n, r), np.int64), np.empty((n, r)), 0.0
    start = 0
    for block in pairwise_distances_chunked(X, landmarks, metric="sqeuclidean", working_memory=256):
        stop = start + len(block)
        total += float(block.sum(dtype=np.float64) if squared_bandwidth else np.sqrt(block).sum(dtype=np.float64))
        nearest = np.argpartition(block, r - 1, axis=1)[:, :r]
        index[start:stop], squared[start:stop] = nearest, np.take_along_axis(block, nearest, axis=1)
        start = stop
    bandwidth = max(total / (n * p), 1e-150)
    squared -= squared.min(axis=1, keepdims=True)  # the row sums divide it out again, and nothing underflows
    values = np.exp(-squared / (2 * bandwidth**2))
    values /= values.sum(axis=1, keepdims=True)
    return sparse.csr_array((values.ravel(), index.ravel(), np.arange(0, n * r + 1, r)), shape=(n, p))


def left_singular_vectors(Z: sparse.csr_array, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Left singular vectors (n, k) of Z Λ^-1/2, Λ its column sums, and singular values (k,), largest first.

    They come from the p x p matrix Ẑ'Ẑ. Fewer than k landmarks or a smaller rank leave zero columns.
    """
    sums = np.asarray(Z.sum(axis=0)).ravel()
    scaled = Z @ sparse.diags_array(np.maximum(sums, 1e-24) ** -0.5)
    gram = (scaled.T @ scaled).toarray()
    p = len(gram)
    rank = min(k, p)
    squares, V = scipy.linalg.eigh(gram, subset_by_index=[p - rank, p - 1])
    values = np.sqrt(np.maximum(squares[::-1], 0))
    U = np.zeros((Z.shape[0], k))
    usable = values > 1e-7  # below that the Gram matrix holds only rounding
    U[:, :rank][:, usable] = scaled @ V[:, ::-1][:, usable] / values[usable]
    return U, np.r_[values, np.zeros(k - rank)]
