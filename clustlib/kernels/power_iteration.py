"""Power iteration clustering, the alternative to k-means that DeepCluster names (Sections 1 and 3.2)."""

import numpy as np
import torch
from scipy import sparse

from clustlib._validation import check_features, check_integer, check_number
from clustlib.errors import UsageError


def power_iteration_clusters(
    rows: np.ndarray,
    *,
    n_neighbors: int = 5,
    sigma: float = 0.2,
    alpha: float = 0.001,
    n_iter: int = 200,
    device: str = "cpu",
) -> np.ndarray:
    """Clusters as the basins of the local maxima of a diffusion on the neighbour graph; their number is not chosen.

    The released code's variant of Lin and Cohen (2010): weights exp(-d^2 / sigma^2) to the nearest neighbours, made
    symmetric by adding the transpose; ``n_iter`` steps of v <- alpha W v + (1 - alpha) / N, scaled to sum 1; then every
    row points to the neighbour of the steepest ascent w_ij (v_j - v_i), or to itself. A cluster of one row joins that
    of its nearest neighbour in a cluster of several.

    Parameters
    ----------
    rows : (N, d) float32.

    Returns
    -------
    (N,) int64, from 0 without gaps.

    Raises
    ------
    UsageError : not more rows than ``n_neighbors``.
    """
    from clustlib.kernels import knn

    for name, value, least in (("n_neighbors", n_neighbors, 1), ("n_iter", n_iter, 0)):
        check_integer(name, value, least)
    check_number("sigma", sigma)
    check_number("alpha", alpha, zero=True, most=1)
    rows = check_features(rows, translate=True, name="rows")
    if len(rows) <= n_neighbors:
        raise UsageError(f"{n_neighbors} neighbours need more than {len(rows)} rows")
    threads = torch.get_num_threads()
    neighbours, squared = knn(rows, n_neighbors, device=device)
    torch.set_num_threads(threads)  # numba's thread pool sets OpenMP's number, which torch's results depend on
    weights = _weights(neighbours, squared, sigma)
    density = _diffuse(weights, alpha, n_iter)
    labels = _basins(_steepest(weights, density))
    return _absorb_singletons(labels, neighbours)


def _weights(neighbours: np.ndarray, squared: np.ndarray, sigma: float) -> sparse.csr_matrix:
    """exp(-d^2 / sigma^2) on the edges, plus its transpose."""
    n, k = neighbours.shape
    weights = np.exp(-squared.astype(np.float64) / sigma**2).ravel()
    one_way = sparse.csr_matrix((weights, neighbours.ravel(), np.arange(n + 1) * k), shape=(n, n))
    return (one_way + one_way.T).tocsr()


def _diffuse(weights: sparse.csr_matrix, alpha: float, n_iter: int) -> np.ndarray:
    n = weights.shape[0]
    density = np.full(n, 1 / n)
    for _ in range(n_iter):
        density = alpha * (weights @ density) + (1 - alpha) / n
        density /= density.sum()
    return density


def _steepest(weights: sparse.csr_matrix, density: np.ndarray) -> np.ndarray:
    """For each row the neighbour with the largest positive ascent, or the row itself."""
    n = weights.shape[0]
    row = np.repeat(np.arange(n), np.diff(weights.indptr))
    ascent = weights.data * (density[weights.indices] - density[row])
    order = np.lexsort((-ascent, row))  # by row, steepest first
    first = order[np.unique(row[order], return_index=True)[1]]
    target = np.arange(n)
    climbs = ascent[first] > 0
    target[row[first][climbs]] = weights.indices[first][climbs]
    return target


def _basins(pointers: np.ndarray) -> np.ndarray:
    """Follow the pointers, doubling the step each time, to the maximum that each row ends in."""
    while not np.array_equal(further := pointers[pointers], pointers):
        pointers = further
    return np.unique(pointers, return_inverse=True)[1].astype(np.int64)


def _absorb_singletons(found: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    several = np.bincount(found)[found] > 1
    joined = found.copy()
    for i in np.flatnonzero(~several):
        candidates = neighbours[i][several[neighbours[i]]]
        if len(candidates):
            joined[i] = found[candidates[0]]
    return np.unique(joined, return_inverse=True)[1].astype(np.int64)
