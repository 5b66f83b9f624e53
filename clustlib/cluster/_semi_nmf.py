"""Semi-NMF and its stack: X ≈ Z_1 .. Z_m H with H ≥ 0 and no sign on the Z, samples in the columns of X."""

from functools import reduce

import numpy as np

History = list[dict[str, float]]


def semi_nmf(
    X: np.ndarray, rank: int, max_iter: int, tol: float, random: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray, History]:
    """Z (d, rank), H (rank, n) ≥ 0 and the residual norms, looked at twice in ten iterations.

    H starts from the NNDSVD of |X|, whose zeros the multiplicative rule keeps.
    """
    from sklearn.decomposition._nmf import _initialize_nmf
    from tqdm.auto import trange

    _, H = _initialize_nmf(np.abs(X), rank, init="nndsvd", random_state=random)
    history: History = []
    for iteration in trange(1, max_iter + 1, desc=f"semi-NMF to {rank}", leave=False, delay=2):
        Z = divide_right(X, H)
        H = multiplicative_step(H, Z.T @ X, Z.T @ Z)
        if iteration % 10 in (9, 0) or iteration == max_iter:
            history.append({"iteration": iteration, "residual": residual_norm(X, Z, H)})
            if iteration % 10 == 0 and has_converged(history, tol):
                break
    return Z, H, history


def joint_training(
    X: np.ndarray, factors: list[np.ndarray], H: np.ndarray, max_iter: int, tol: float
) -> tuple[list[np.ndarray], np.ndarray, History]:
    """Fit all layers to X together (Algorithm 1 of Trigeorgis et al.); the residual norm never rises.

    The hidden H_1 .. H_{m-1} do not enter the reconstruction, so they are not computed.
    """
    from tqdm.auto import trange

    factors = list(factors)
    history: History = [{"iteration": 0, "residual": residual_norm(X, _product(factors), H)}]
    for iteration in trange(1, max_iter + 1, desc="deep semi-NMF", leave=False, delay=2):
        below = factors[0] = divide_right(X, _product([*factors[1:], H]))
        for i in range(1, len(factors)):  # below is Ψ = Z_1 .. Z_{i-1}, and Z_i = Ψ† X (Z_{i+1} .. H)†
            fitted = divide_right(X, _product([*factors[i + 1 :], H]))
            factors[i] = divide_right(fitted.T, below.T).T
            below = below @ factors[i]
        H = multiplicative_step(H, below.T @ X, below.T @ below)
        history.append({"iteration": iteration, "residual": residual_norm(X, below, H)})
        if has_converged(history, tol):
            break
    return factors, H, history


def _product(matrices: list[np.ndarray]) -> np.ndarray:
    return reduce(lambda right, left: left @ right, reversed(matrices))


def multiplicative_step(H: np.ndarray, A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """H ⊙ √((A⁺ + B⁻H) / (A⁻ + B⁺H)) with A = Z'X and B = Z'Z: ‖X - ZH‖ does not rise (Ding, Li, Jordan)."""
    rise = np.maximum(A, 0) + np.maximum(-B, 0) @ H
    fall = np.maximum(-A, 0) + np.maximum(B, 0) @ H
    return H * np.sqrt(rise / np.maximum(fall, 1e-10))


def divide_right(X: np.ndarray, H: np.ndarray) -> np.ndarray:
    """X H† for a flat H, (d, k): the Z with the smallest ‖X - Z H‖, through the Gram matrix H H' in float64."""
    wide = H.astype(np.float64)
    inverse = np.linalg.pinv(wide @ wide.T, rcond=1e-12, hermitian=True)
    return (X @ H.T @ inverse.astype(X.dtype)).astype(X.dtype, copy=False)


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
