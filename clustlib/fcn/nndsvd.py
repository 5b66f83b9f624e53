"""Where a factorisation starts: NNDSVD and its variants (Boutsidis and Gallopoulos, 2008)."""

import numpy as np
import scipy.linalg

_DENSE = 6000  # up to this many of the smaller dimension the singular vectors come from one eigenproblem


def start(X: np.ndarray, n_components: int, init: str, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """H (N, L) and W (L, M) >= 0 to start from, C-contiguous, of X's dtype; X (N, M) >= 0.

    ``"nndsvd"``: the positive parts of the leading singular vectors, with their exact zeros; ``"nndsvda"``: zeros
    become the mean of X; ``"random"``: |normal| deviates of X's scale. Singular vectors beyond the rank of X do not
    exist: those components start at random.
    """
    scale = np.sqrt(X.mean(dtype=np.float64) / n_components)
    rank = min(n_components, *X.shape) if init != "random" else 0
    H = np.empty((len(X), n_components), X.dtype)
    W = np.empty((n_components, X.shape[1]), X.dtype)
    if rank:
        H[:, :rank], W[:rank] = _nndsvd(X, rank, random)
    if n_components > rank:
        H[:, rank:] = scale * np.abs(random.standard_normal((len(X), n_components - rank)))
        W[rank:] = scale * np.abs(random.standard_normal((n_components - rank, X.shape[1])))
    if init == "nndsvda":
        mean = X.mean(dtype=np.float64)
        H[H == 0] = mean
        W[W == 0] = mean
    return H, W


def _nndsvd(X: np.ndarray, rank: int, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    U, s, Vt = leading_svd(X, rank, random)
    U_plus, V_plus = np.maximum(U, 0), np.maximum(Vt, 0)
    U_minus, V_minus = U_plus - U, V_plus - Vt
    plus = [np.linalg.norm(U_plus, axis=0), np.linalg.norm(V_plus, axis=1)]
    minus = [np.linalg.norm(U_minus, axis=0), np.linalg.norm(V_minus, axis=1)]
    larger = plus[0] * plus[1] >= minus[0] * minus[1]
    u, v = np.where(larger, plus[0], minus[0]), np.where(larger, plus[1], minus[1])
    weight = np.sqrt(s * u * v)
    for side in (u, v):
        side[side == 0] = 1  # a singular value of 0: its vector may vanish
    H = np.where(larger, U_plus, U_minus) * (weight / u)
    W = np.where(larger[:, None], V_plus, V_minus) * (weight / v)[:, None]
    tiny = np.finfo(X.dtype).eps  # of both signs are the rounding errors of what should be zero
    H[tiny * weight > H], W[tiny * weight[:, None] > W] = 0, 0
    return H, W


def leading_svd(X: np.ndarray, rank: int, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The leading singular triplets U (N, rank), s (rank,), Vᵀ (rank, M) in float64.

    From the eigenvectors of the smaller Gram matrix: with as many vectors as the paper takes (1,024 of 4,096), a
    randomised method saves nothing, and this one needs no seed. Beyond ``_DENSE`` it is the randomised one.
    """
    small = min(X.shape)
    if small > _DENSE:
        from sklearn.utils.extmath import randomized_svd

        return randomized_svd(X.astype(np.float64), rank, random_state=random)
    tall = X.shape[0] >= X.shape[1]
    values, vectors = scipy.linalg.eigh(_gram(X if tall else X.T), subset_by_index=[small - rank, small - 1])
    s, vectors = np.sqrt(np.maximum(values[::-1], 0)), vectors[:, ::-1]
    # the sign of an eigenvector is arbitrary: the largest entry decides, so that every machine starts alike
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(rank)])
    safe = np.where(s > s[0] * 1e-7 if s[0] > 0 else False, s, np.inf)  # null vectors have no partner
    other = _times(X if tall else X.T, vectors) / safe
    return (other, s, vectors.T) if tall else (vectors, s, other.T)


def _gram(A: np.ndarray, rows: int = 4096) -> np.ndarray:
    """Aᵀ A in float64, block by block: no float64 copy of A."""
    total = np.zeros((A.shape[1], A.shape[1]))
    for first in range(0, len(A), rows):
        part = A[first : first + rows].astype(np.float64)
        total += part.T @ part
    return total


def _times(A: np.ndarray, B: np.ndarray, rows: int = 4096) -> np.ndarray:
    """A B in float64, block by block."""
    return np.concatenate([A[first : first + rows].astype(np.float64) @ B for first in range(0, len(A), rows)])
