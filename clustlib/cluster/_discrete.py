"""From eigenvectors to labels: rotations to indicator vectors, and the k-means of the self-tuning toolbox."""

import numpy as np
import scipy.linalg
import scipy.optimize


def normalise_rows(V: np.ndarray) -> np.ndarray:
    """Rows of unit length; a zero row becomes the diagonal direction, equally far from every indicator."""
    norms = np.linalg.norm(V, axis=1, keepdims=True)
    return np.where(norms > 1e-300, V / np.maximum(norms, 1e-300), V.shape[1] ** -0.5)


def alignment_cost(Z: np.ndarray) -> float:
    """Zelnik-Manor and Perona (2004): the sum over i, j of Z_ij² / max_j Z_ij²; n at best."""
    squares = Z**2
    return float((squares / squares.max(axis=1, keepdims=True)).sum())


def align(V: np.ndarray, max_iter: int = 200) -> tuple[np.ndarray, list[float]]:
    """Rotate ``V`` (n, k) to the smallest ``alignment_cost``; returns V R and the cost after each iteration.

    The paper descends along Givens angles from R = I. The same cost is minimised here by L-BFGS over skew-symmetric
    S with R = R0 expm(S), from R0 = I and from the rotation that a pivoted QR factorisation picks rows by; the better
    end is kept.
    """
    V = normalise_rows(V)  # the cost does not see the rows' lengths
    best: np.ndarray | None = None
    history: list[float] = []
    for start in (np.eye(V.shape[1]), _pivot_rotation(V)):
        Z, costs = _descend(V @ start, max_iter)
        if best is None or costs[-1] < history[-1]:
            best, history = Z, costs
    assert best is not None
    return best, history


def _pivot_rotation(V: np.ndarray) -> np.ndarray:
    """Orthogonal matrix nearest to k rows of V that are as independent as possible (Damle, Minden, Ying 2019)."""
    _, _, pivots = scipy.linalg.qr(V.T, mode="economic", pivoting=True)
    left, _, right = np.linalg.svd(V[pivots[: V.shape[1]]].T)
    return left @ right


def _descend(V: np.ndarray, max_iter: int) -> tuple[np.ndarray, list[float]]:
    import torch

    n, k = V.shape
    upper = torch.triu_indices(k, k, 1)
    vectors = torch.from_numpy(V)

    def rotated(angles: torch.Tensor) -> torch.Tensor:
        S = torch.zeros(k, k, dtype=torch.float64).index_put((upper[0], upper[1]), angles)
        return vectors @ torch.matrix_exp(S - S.T)

    def cost(flat: np.ndarray) -> tuple[float, np.ndarray]:
        angles = torch.from_numpy(flat.copy()).requires_grad_()
        squares = rotated(angles).square()
        J = (squares.sum(dim=1) / squares.amax(dim=1)).sum()
        J.backward()
        assert angles.grad is not None
        return float(J.detach()) / n, angles.grad.numpy() / n  # per sample: L-BFGS's tolerances are absolute

    costs = [alignment_cost(V)]
    if k == 1:
        return V, costs
    minimum = scipy.optimize.minimize(
        cost,
        np.zeros(k * (k - 1) // 2),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": max_iter, "ftol": 1e-7},
        callback=lambda intermediate_result: costs.append(n * float(intermediate_result.fun)),
    )
    return rotated(torch.from_numpy(minimum.x)).numpy(), costs


def scatter_ratio_kmeans(
    V: np.ndarray, n_clusters: int, rng: np.random.RandomState, n_init: int = 50, max_iter: int = 10
) -> tuple[np.ndarray, float]:
    """K-means of the self-tuning toolbox's ``gcut``: labels (n,) int64 and the best within/across scatter ratio.

    Each start takes a random row and then, again and again, the row whose largest |cosine| to the rows taken so far
    is smallest; of all iterations of all starts the one with the smallest ratio is kept.
    """
    V = normalise_rows(V)
    labels, best = np.zeros(len(V), np.int64), np.inf
    for _ in range(n_init):
        centres = _spread_rows(V, n_clusters, rng.randint(len(V)))
        for _ in range(max_iter):
            assigned = np.argmax(V @ centres.T - (centres**2).sum(axis=1) / 2, axis=1)
            ratio = _update_centres(V, assigned, centres)
            if ratio < best:
                labels, best = assigned.astype(np.int64), ratio
    return labels, best


def _spread_rows(V: np.ndarray, n_clusters: int, first: int) -> np.ndarray:
    centres = V[[first] * n_clusters]
    closest = np.zeros(len(V))
    for c in range(1, n_clusters):
        np.maximum(closest, np.abs(V @ centres[c - 1]), out=closest)
        centres[c] = V[np.argmin(closest)]
    return centres


def _update_centres(V: np.ndarray, assigned: np.ndarray, centres: np.ndarray) -> float:
    """Move the centres of the non-empty clusters to their means, in place; return within / across scatter."""
    counts = np.bincount(assigned, minlength=len(centres))
    sums = np.stack([np.bincount(assigned, column, minlength=len(centres)) for column in V.T], axis=1)
    filled = counts > 0
    centres[filled] = sums[filled] / counts[filled, None]
    total = len(V)  # the rows have unit length: so many squared norms
    squared = (centres[filled] ** 2).sum(axis=1)
    inside = total - (counts[filled] * squared).sum()
    to_all = (total + len(V) * squared - 2 * centres[filled] @ V.sum(axis=0)).sum()
    return float(inside / (to_all - inside + np.finfo(float).eps))
