"""KL-divergence NMF with sample weights and a graph: the iterations behind ``LocalityPreservingNMF``."""

from typing import Self

import numpy as np
from scipy import sparse

BLOCK = 4096  # samples whose reconstruction is held at once
FLOOR = 1e-10


class KLFactors:
    """X ≈ V U' with V (n, k) and U (d, k), both non-negative, and the updates of Cai et al. (2009)."""

    def __init__(
        self,
        X: np.ndarray,
        V: np.ndarray,
        U: np.ndarray,
        weights: np.ndarray,
        alpha: float,
        laplacian: sparse.csr_array | None,
    ) -> None:
        self.X, self.V, self.U, self.weights = X, V, U, weights
        self.smoothing = None if laplacian is None else alpha * laplacian
        self.entropy = sum(  # of the data alone: Σ_i w_i Σ_f (x log x - x), with 0 log 0 = 0
            float(weights[start : start + BLOCK] @ (x * np.log(np.maximum(x, 1e-300)) - x).sum(axis=1))
            for start in range(0, len(X), BLOCK)
            for x in [X[start : start + BLOCK].astype(np.float64)]
        )
        self.history: list[dict[str, float]] = []

    def iterate(self, n_iter: int, tol: float) -> Self:
        """Update V, then U, ``n_iter`` times or until the objective changes by less than ``tol`` of itself."""
        from tqdm.auto import trange

        for _ in trange(n_iter, desc="KL-NMF", leave=False, delay=2):
            self._update_codes()
            self._update_basis()
            self.history.append({"iteration": len(self.history) + 1, **self.objective()})
            last = [entry["objective"] for entry in self.history[-2:]]
            if len(last) == 2 and abs(last[0] - last[1]) < tol * abs(last[0]):
                break
        return self

    def objective(self) -> dict[str, float]:
        """The objective and its parts, Σ_i w_i D(x_i || U v_i) and alpha Σ_k v_k' L log v_k."""
        divergence = self.entropy
        for rows, Y in self._reconstruction():
            parts = Y.sum(axis=1, dtype=np.float64) - np.einsum("nf,nf->n", self.X[rows], np.log(Y), dtype=np.float64)
            divergence += float(self.weights[rows] @ parts)
        roughness = 0.0
        if self.smoothing is not None:
            roughness = float(((self.smoothing @ np.log(np.maximum(self.V, 1e-200))) * self.V).sum())
        return {"objective": divergence + roughness, "divergence": divergence, "roughness": roughness}

    def normalised(self) -> tuple[np.ndarray, np.ndarray]:
        """V and U with the columns of U scaled to unit length."""
        norms = np.maximum(np.linalg.norm(self.U, axis=0), 1e-15)
        return self.V * norms, self.U / norms

    def _reconstruction(self):
        basis = self.U.T.astype(self.X.dtype)
        for start in range(0, len(self.X), BLOCK):
            rows = slice(start, start + BLOCK)
            yield rows, np.maximum(self.V[rows].astype(self.X.dtype) @ basis, FLOOR)

    def _update_codes(self) -> None:
        """v_k ← (w s_k I + alpha L)^-1 (w ⊙ v_k ⊙ (X / VU') u_k) with s_k = Σ_f u_fk; Lee and Seung's without L."""
        target = np.empty_like(self.V)
        basis = self.U.astype(self.X.dtype)
        for rows, Y in self._reconstruction():
            target[rows] = self.V[rows] * ((self.X[rows] / Y) @ basis)
        sums = np.maximum(self.U.sum(axis=0), FLOOR)
        if self.smoothing is None:
            self.V = target / sums
        else:
            diagonal = self.weights[:, None] * sums
            solution = solve_shifted(self.smoothing, diagonal, self.weights[:, None] * target, self.V)
            self.V = np.maximum(solution, 0)  # the inverse is non-negative; the iterative solution only nearly

    def _update_basis(self) -> None:
        """u_k ← u_k ⊙ ((X / VU')' (w ⊙ v_k)) / Σ_i w_i v_ik."""
        weighted = self.weights[:, None] * self.V
        numerator = np.zeros_like(self.U)
        for rows, Y in self._reconstruction():
            numerator += (self.X[rows] / Y).T @ weighted[rows].astype(self.X.dtype)
        self.U = self.U * numerator / np.maximum(weighted.sum(axis=0), FLOOR)


def solve_shifted(
    L: sparse.csr_array, diagonal: np.ndarray, target: np.ndarray, start: np.ndarray, tol: float = 1e-5
) -> np.ndarray:
    """Columns v_k with (diag(diagonal_k) + L) v_k = target_k, by conjugate gradients on all columns at once, (n, k)."""
    inverse = 1 / (diagonal + L.diagonal()[:, None])
    v = start.copy()
    residual = target - diagonal * v - L @ v
    limit = tol**2 * np.maximum((target**2 * inverse).sum(axis=0), 1e-300)
    z = inverse * residual
    direction, power = z.copy(), (residual * z).sum(axis=0)
    for _ in range(1000):
        if (power <= limit).all():
            break
        product = diagonal * direction + L @ direction
        step = power / np.maximum((direction * product).sum(axis=0), 1e-300)
        v += step * direction
        residual -= step * product
        z = inverse * residual
        before, power = power, (residual * z).sum(axis=0)
        direction = z + power / np.maximum(before, 1e-300) * direction
    return v


def best_start(
    X: np.ndarray,
    rank: int,
    weights: np.ndarray,
    alpha: float,
    laplacian: sparse.csr_array | None,
    n_init: int,
    burn_in: int,
    random: np.random.RandomState,
) -> KLFactors:
    """Of ``n_init`` starts from k-means centres, the one with the smallest objective after ``burn_in`` iterations."""
    best: KLFactors | None = None
    for _ in range(n_init):
        V, U = kmeans_factors(X, rank, random)
        factors = KLFactors(X, V, U, weights, alpha, laplacian).iterate(burn_in, 0.0)
        if best is None or factors.history[-1]["objective"] < best.history[-1]["objective"]:
            best = factors
    assert best is not None
    return best


def kmeans_factors(X: np.ndarray, rank: int, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """V (n, k), U (d, k): unit-length centres of ten k-means iterations, the positive part of least squares."""
    import warnings

    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # ten iterations are not meant to converge
        run = KMeans(rank, init="random", n_init=1, max_iter=10, random_state=random).fit(X)
    U = np.maximum(run.cluster_centers_.T.astype(np.float64), 0)
    U /= np.maximum(np.linalg.norm(U, axis=0), 1e-15)
    return np.maximum(X @ U @ np.linalg.pinv(U.T @ U, hermitian=True), 0), U


def normalised_cut_weights(X: np.ndarray) -> np.ndarray:
    """w_i = 1 / (x_i' Σ_j x_j), (n,) float64; a sample that meets no other gets weight 1."""
    degree = X @ X.sum(axis=0, dtype=np.float64)
    return np.where(degree > 0, 1 / np.maximum(degree, 1e-300), 1.0)


def zero_one_laplacian(X: np.ndarray, n_neighbors: int) -> sparse.csr_array:
    """D - W of the 0/1 graph in which i and j are joined if either is among the other's nearest neighbours."""
    from clustlib.kernels.neighbours import knn

    nearest, _ = knn(X, n_neighbors)
    n = len(X)
    directed = sparse.csr_array(
        (np.ones(n * n_neighbors), nearest.ravel().astype(np.int32), np.arange(0, n * n_neighbors + 1, n_neighbors)),
        shape=(n, n),
    )
    W = directed.maximum(directed.T)
    return (sparse.diags_array(np.asarray(W.sum(axis=1)).ravel()) - W).tocsr()
