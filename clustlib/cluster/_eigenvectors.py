"""The leading eigenvectors of a normalised affinity, for tables that are kept and tables that are not.

The normalised affinity is M = B^-1/2 (W + C) B^-1/2 with C and B diagonal. Its largest eigenvalues crowd against 1,
where float32 would lose them, so the solver works on L = I - M = B^-1/2 (A - W) B^-1/2, A = B - C, and looks for the
smallest: A - W is formed from the degrees, and its small entries keep their relative accuracy.
"""

import warnings
from typing import Any

import numpy as np
import scipy.linalg

from clustlib.cluster._affinity import Gaussian, SquaredDistances, affinity, degrees

TINY = 1e-30  # the degree of a sample without neighbours: it is a component of its own
DENSE = 2500  # up to this many samples LAPACK solves the whole problem
BASIS = 10  # blocks that the search space holds before it is restarted


class NormalisedAffinity:
    """M = B^-1/2 (W + C) B^-1/2 over the degrees d of W without its diagonal.

    The diagonal of W + C is ``self_weight + offset`` and B = d + ``self_weight`` + 2 ``offset``, as in the toolbox of
    Cour, Yu and Shi.
    """

    def __init__(
        self,
        distances: SquaredDistances,
        kernel: Gaussian,
        max_memory: float,
        *,
        self_weight: float = 0.0,
        offset: float = 0.0,
    ) -> None:
        self.W = affinity(distances, kernel, max_memory)
        d = degrees(self.W)
        self.A = d + offset
        self.degrees = np.maximum(d + self_weight + 2 * offset, TINY)  # B

    def leading(
        self, n_vectors: int, random: np.random.RandomState
    ) -> tuple[np.ndarray, np.ndarray, list[dict[str, float]]]:
        """Eigenvalues in descending order, orthonormal eigenvectors (n, n_vectors), history of the passes."""
        rng = np.random.default_rng(random.randint(2**31 - 1))
        return leading_eigenvectors(self.W, self.A, self.degrees, n_vectors, rng)


def leading_eigenvectors(
    W: Any,
    A: np.ndarray,
    B: np.ndarray,
    n_vectors: int,
    rng: np.random.Generator,
    *,
    tol: float = 1e-3,
    max_passes: int = 200,
) -> tuple[np.ndarray, np.ndarray, list[dict[str, float]]]:
    """Largest eigenvalues (k,), orthonormal eigenvectors (n, k) of M, and one ``{"pass", "residual"}`` per pass.

    Parameters
    ----------
    W : affinity without its diagonal, (n, n), sparse or ``BlockAffinity``
    A, B : (n,) float64
        Diagonals of the unnormalised problem (A - W) u = mu B u, both positive; M's eigenvalues are 1 - mu.
    tol : float
        Largest accepted residual, in the norm of the preconditioner and relative to the spectral gap: about the
        angle (radians) to the true eigenvectors.

    Warns
    -----
    ConvergenceWarning
        After ``max_passes``, or once the residual stalls; the vectors so far are returned.
    """
    n = len(A)
    if n <= DENSE or 4 * n_vectors > n:
        mu, V = _lapack(W, A, B, n_vectors)
        return 1 - mu, V, [{"pass": 1, "residual": 0.0}]
    return _davidson(W, A, B, n_vectors, rng, tol, max_passes)


def _lapack(W: Any, A: np.ndarray, B: np.ndarray, n_vectors: int) -> tuple[np.ndarray, np.ndarray]:
    dense = W.toarray() if hasattr(W, "toarray") else W @ np.eye(len(A))
    root = 1 / np.sqrt(B)
    L = (np.diag(A) - dense.astype(np.float64)) * root * root[:, None]
    return scipy.linalg.eigh(L, subset_by_index=[0, n_vectors - 1])


def _davidson(
    W: Any, A: np.ndarray, B: np.ndarray, k: int, rng: np.random.Generator, tol: float, max_passes: int
) -> tuple[np.ndarray, np.ndarray, list[dict[str, float]]]:
    """Block Davidson with the diagonal of L as preconditioner.

    Without the preconditioner it is block Lanczos with full orthogonalisation. With it, samples that hang on the
    rest by almost nothing (their entry of L is nearly 0; a narrow kernel that keeps its diagonal has thousands) cost
    no more passes than the others.
    """
    from sklearn.exceptions import ConvergenceWarning
    from tqdm.auto import tqdm

    n, root = len(A), 1 / np.sqrt(B)
    width = max(2 * k, 48)
    precondition = 1 / np.maximum(A / B, 1e-12)

    def laplacian(V: np.ndarray) -> np.ndarray:
        U = root[:, None] * V
        return root[:, None] * (A[:, None] * U - W @ U)

    new = rng.standard_normal((n, width)) * np.sqrt(precondition)[:, None]
    new[:, 0] = np.sqrt(B)  # the null vector where A is the degrees
    capacity = min(BASIS * width, n // width * width)
    basis, image = np.empty((n, capacity), order="F"), np.empty((n, capacity), order="F")
    projected = np.empty((capacity, capacity))
    used = 0
    history: list[dict[str, float]] = []
    with tqdm(total=max_passes, desc="eigenvectors", leave=False, delay=2) as bar:
        for step in range(1, max_passes + 1):
            grown = used + width
            basis[:, used:grown] = _orthonormal(new, basis[:, :used])
            image[:, used:grown] = laplacian(basis[:, used:grown])
            projected[:grown, used:grown] = basis[:, :grown].T @ image[:, used:grown]
            projected[used:grown, :grown] = projected[:grown, used:grown].T
            used = grown
            mu, Y = scipy.linalg.eigh(projected[:used, :used], subset_by_index=[0, width - 1])
            ritz, residual = basis[:, :used] @ Y, image[:, :used] @ Y
            if used + width > capacity:  # restart from the Ritz vectors
                basis[:, :width], image[:, :width] = ritz, residual
                projected[:width, :width], used = np.diag(mu), width
            residual -= ritz * mu
            error = np.einsum("n,nk->k", precondition, residual[:, :k] ** 2)
            worst = float(np.sqrt(error.max() / max(mu[k], 1e-10)))
            history.append({"pass": step, "residual": worst})
            bar.update()
            bar.set_postfix(residual=f"{worst:.1e}")
            if worst <= tol or _stalled(history):
                break
            new = residual * precondition[:, None]
    if worst > tol:
        warnings.warn(
            f"the eigenvectors did not converge in {step} passes: residual {worst:.1e}, wanted {tol:.1e}",
            ConvergenceWarning,
            stacklevel=3,
        )
    return 1 - mu[:k], ritz[:, :k], history


def _stalled(history: list[dict[str, float]], window: int = 25) -> bool:
    """Whether the last passes did not even halve the residual: rounding, or eigenvalues too close to tell apart."""
    residuals = [entry["residual"] for entry in history]
    return len(residuals) > window and min(residuals[-window:]) > 0.5 * min(residuals[:-window])


def _orthonormal(new: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """``new`` without its part in ``basis``, orthonormal; twice, because once leaves rounding behind."""
    new = new / np.maximum(np.linalg.norm(new, axis=0), 1e-300)
    for _ in range(2):
        new = new - basis @ (basis.T @ new)
        new = np.linalg.qr(new)[0]
    return new
