"""Semi-NMF and its stack: X ≈ Z_1 .. Z_m H with H ≥ 0 and no sign on the Z, samples in the columns of X."""

import math
from functools import reduce
from typing import NamedTuple

import numpy as np

from clustlib.compiled import vectorize

History = list[dict[str, float]]
_CANCELLED = 1e-2  # share of ‖X‖² below which a difference of float32 sums is not trusted


class Products(NamedTuple):
    """What a step takes from X and H: two sums over the samples. Nothing else of the size of X is computed."""

    energy: float  # ‖X‖²
    XH: np.ndarray  # X H', (d, k)
    HH: np.ndarray  # H H', (k, k) float64

    def residual(self, X: np.ndarray, Z: np.ndarray, H: np.ndarray) -> float:
        """‖X - Z H‖ = √(‖X‖² - 2 tr Z'X H' + tr Z'Z H H'); from its entries where too few digits would be left."""
        wide = Z.astype(np.float64)
        square = self.energy - 2 * np.vdot(wide, self.XH.astype(np.float64)) + np.vdot(wide.T @ wide, self.HH)
        return float(np.sqrt(square)) if square > _CANCELLED * self.energy else residual_norm(X, Z, H)


def products(X: np.ndarray, H: np.ndarray, energy: float | None = None) -> Products:
    wide = H.astype(np.float64)
    if energy is None:
        energy = float(np.einsum("dn,dn->", X, X, dtype=np.float64))
    return Products(energy, X @ H.T, wide @ wide.T)


def semi_nmf(
    X: np.ndarray, rank: int, max_iter: int, tol: float, random: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray, History]:
    """Z (d, rank), H (rank, n) ≥ 0 and the residual norms, looked at twice in ten iterations.

    H starts from the NNDSVD of |X|, whose zeros the multiplicative rule keeps.
    """
    from sklearn.decomposition._nmf import _initialize_nmf
    from tqdm.auto import trange

    _, H = _initialize_nmf(np.abs(X), rank, init="nndsvd", random_state=random)
    sums = products(X, H)
    history: History = []
    for iteration in trange(1, max_iter + 1, desc=f"semi-NMF to {rank}", leave=False, delay=2):
        Z = divide(sums.XH, sums.HH)
        H = multiplicative_step(H, Z.T @ X, Z.T @ Z)
        sums = products(X, H, sums.energy)
        if iteration % 10 in (9, 0) or iteration == max_iter:
            history.append({"iteration": iteration, "residual": sums.residual(X, Z, H)})
            if iteration % 10 == 0 and has_converged(history, tol):
                break
    return Z, H, history


def joint_training(
    X: np.ndarray, factors: list[np.ndarray], H: np.ndarray, max_iter: int, tol: float
) -> tuple[list[np.ndarray], np.ndarray, History]:
    """Fit all layers to X together (Algorithm 1 of Trigeorgis et al.); the residual norm never rises.

    The hidden H_1 .. H_{m-1} do not enter the reconstruction, so they are not computed: with A = Z_{i+1} .. Z_m,
    the products that a layer needs are X (A H)' = (X H') A' and A (H H') A'.
    """
    from tqdm.auto import trange

    factors = list(factors)
    sums = products(X, H)
    history: History = [{"iteration": 0, "residual": sums.residual(X, reduce(np.matmul, factors), H)}]
    for iteration in trange(1, max_iter + 1, desc="deep semi-NMF", leave=False, delay=2):
        below = factors[0] = divide(*_through(sums, factors[1:]))
        for i in range(1, len(factors)):  # below is Ψ = Z_1 .. Z_{i-1}, and Z_i = Ψ† X (Z_{i+1} .. H)†
            fitted = divide(*_through(sums, factors[i + 1 :]))
            wide = below.astype(np.float64)
            factors[i] = divide(fitted.T @ below, wide.T @ wide).T
            below = below @ factors[i]
        H = multiplicative_step(H, below.T @ X, below.T @ below)
        sums = products(X, H, sums.energy)
        history.append({"iteration": iteration, "residual": sums.residual(X, below, H)})
        if has_converged(history, tol):
            break
    return factors, H, history


def _through(sums: Products, above: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """X (A H)' and (A H)(A H)' for the product A of ``above``."""
    if not above:
        return sums.XH, sums.HH
    A = reduce(np.matmul, above)
    return sums.XH @ A.T, A @ sums.HH @ A.T


def multiplicative_step(H: np.ndarray, A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """H ⊙ √((A⁺ + B⁻H) / (A⁻ + B⁺H)) with A = Z'X and B = Z'Z: ‖X - ZH‖ does not rise (Ding, Li, Jordan)."""
    return _scaled(H, A, np.maximum(-B, 0) @ H, np.maximum(B, 0) @ H)


@vectorize("float32(float32, float32, float32, float32)", "float64(float64, float64, float64, float64)")
def _scaled(h, a, rise, fall):  # type: ignore[no-untyped-def]
    """One pass over the four tables, where plain array code makes ten."""
    return h * math.sqrt((max(a, 0) + rise) / max(max(-a, 0) + fall, 1e-10))


def divide(XH: np.ndarray, HH: np.ndarray) -> np.ndarray:
    """X H† for a flat H, (d, k): the Z with the smallest ‖X - Z H‖, from X H' (d, k) and H H' (k, k) float64."""
    inverse = np.linalg.pinv(HH, rcond=1e-12, hermitian=True)
    return (XH @ inverse.astype(XH.dtype)).astype(XH.dtype, copy=False)


def residual_norm(X: np.ndarray, Z: np.ndarray, H: np.ndarray, block: int = 8192) -> float:
    """Frobenius norm of X - Z H, by blocks of samples."""
    total = 0.0
    for start in range(0, X.shape[1], block):
        difference = X[:, start : start + block] - Z @ H[:, start : start + block]
        total += float(np.einsum("dn,dn->", difference, difference, dtype=np.float64))
    return float(np.sqrt(total))


def has_converged(history: History, tol: float) -> bool:
    before, now = history[-2]["residual"], history[-1]["residual"]
    return before - now <= tol * max(1.0, before)
