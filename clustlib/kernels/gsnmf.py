"""Group-sparse NMF's updates (Gui et al., 2017, Eq. 6) in the Gram form, on NumPy arrays or torch tensors.

Rows are samples here: X (N, M) ≈ H W with coefficients H (N, L) and basis W (L, M), the transposes of the paper's
letters. One update of both factors costs six products, three each, and reads X block by block, so that besides the
factors only a block's worth of memory is needed.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clustlib._arrays import check_made, not_numbers, shown
from clustlib._device import on_gpu_with_triton
from clustlib._validation import check_number
from clustlib.errors import UsageError

PRODUCTS = ("float32", "bfloat16")
BASIS_NORMS = ("unit", "compensated", "ball", None)
_TINY = 1e-12  # a denominator is 0 only where the entry itself or its numerator is
_ROWS = {"cpu": 1024, "cuda": 16384}  # samples to a block


@dataclass(frozen=True)
class Penalty:
    """l1 |H|_1 + l2/2 |H|² + l21 Σ_k |h_k|, where h_k holds the k-th coefficient of all samples.

    The paper's Eq. (2) is ``l1`` (its lambda_2) with ``l2`` (its lambda_1); ``l21`` is the mixed norm of its Table 4,
    after Kim, Monteiro and Park (2012) with all samples in one group.
    """

    l1: float = 0.0
    l2: float = 0.0
    l21: float = 0.0

    def __post_init__(self) -> None:
        for name in ("l1", "l2", "l21"):
            check_number(name, getattr(self, name), zero=True)

    def diagonal(self, lengths: Tensor) -> Tensor:
        """What is added to the diagonal of W Wᵀ, (L,): l2, and of each mixed norm its quadratic bound l21 / |h_k|."""
        return self.l2 + self.l21 / lengths.clamp_min(_TINY) if self.l21 else torch.full_like(lengths, self.l2)


def gsnmf_update(
    X: Any,
    H: Any,
    W: Any,
    penalty: Penalty = Penalty(),
    *,
    basis_norm: str | None = "unit",
    products: str = "float32",
) -> float:
    """One pass of Eq. (6): the coefficients for the basis as it is, then the basis. ``H`` and ``W`` change in place.

    Parameters
    ----------
    X : (N, M) non-negative. H : (N, L), W : (L, M), both non-negative; C-contiguous NumPy arrays or torch tensors of
        one floating dtype, on one device.
    basis_norm : what happens to the rows of W after their update: "unit" (section 3.3: scaled to unit length),
        "compensated" (as well, H scaled up by as much), "ball" (the update itself is solved under |w_k| <= 1, so the
        objective cannot rise), or None.
    products : "bfloat16" rounds the factors of every product to bfloat16 (CPU and GPU units for it are several
        times as fast); sums, quotients and the factors themselves stay as they are.

    Returns
    -------
    The objective, Eq. (2), at the factors that were passed in; it falls out of the update's own products.

    Raises
    ------
    UsageError : unknown ``basis_norm`` or ``products``; shapes that do not agree.
    """
    for name, part in (("H", H), ("W", W)):
        if isinstance(part, np.ndarray) and not part.flags.writeable:
            raise UsageError(f"{name} changes in place, and the array that was passed is read-only")
    X, H, W = (_tensor(a) for a in (X, H, W))
    check_made("penalty", penalty, "a Penalty", "l1", "diagonal")
    _check(X, H, W, basis_norm, products)
    for name, part in zip("XHW", (X, H, W)):
        # a GPU would have to be waited for; NaN is passed on to the least number, and no mask is made
        if part.device.type == "cpu" and part.numel() and not float(part.min()) >= 0:
            raise UsageError(f"{name} must be non-negative and without NaN")
    statistics = Statistics.zeros(W)
    value = update_coefficients(X, H, W, penalty, products=products, statistics=statistics)
    norms = update_basis(W, statistics, basis_norm=basis_norm, products=products)
    if basis_norm == "compensated":
        H *= norms
    return value


@dataclass
class Statistics:
    """What the basis needs to know of the samples: Hᵀ X (L, M) and Hᵀ H (L, L)."""

    HX: Tensor
    HH: Tensor

    @classmethod
    def zeros(cls, W: Tensor) -> "Statistics":
        """Of no samples."""
        return cls(torch.zeros_like(W), W.new_zeros(len(W), len(W)))

    def fade(self, share: float) -> None:
        """Keep ``share`` of what earlier batches added."""
        self.HX *= share
        self.HH *= share


def update_coefficients(
    X: Tensor,
    H: Tensor,
    W: Tensor,
    penalty: Penalty,
    *,
    products: str = "float32",
    statistics: Statistics | None = None,
) -> float:
    """H's half of Eq. (6), in place, W held fixed; adds the new Hᵀ X and Hᵀ H to ``statistics``.

    Returns the objective before the update.
    """
    factor = _bfloat16 if products == "bfloat16" else _as_is
    basis = factor(W)
    gram = torch.mm(basis, basis.T).to(W.dtype)
    gram.diagonal().add_(penalty.diagonal(torch.linalg.vector_norm(H, dim=0) if penalty.l21 else H.new_zeros(len(W))))
    gram = factor(gram)
    value = penalty.l21 * 0.5 * float(torch.linalg.vector_norm(H, dim=0).sum()) if penalty.l21 else 0.0
    rows = _ROWS.get(X.device.type, 1024)
    buffers = [torch.empty(min(rows, len(X)), len(W), dtype=gram.dtype, device=H.device) for _ in range(2)]
    work = torch.empty_like(buffers[0], dtype=H.dtype)
    for start in range(0, len(X), rows):
        x, h = factor(X[start : start + rows]), H[start : start + rows]
        numerator, denominator, terms = (buffer[: len(h)] for buffer in (*buffers, work))
        torch.mm(x, basis.T, out=numerator)
        torch.mm(factor(h), gram, out=denominator)
        # Σ ½ h (h (W Wᵀ + l2) ) - h (x Wᵀ) + l1 h: Eq. (2) less ½ |x|²
        if on_gpu_with_triton(h):
            from clustlib.kernels.cuda.scaled_coefficients import scale_coefficients

            value += 0.5 * scale_coefficients(h, numerator, denominator, penalty.l1, _TINY)
            value += 0.5 * _squared_norm(X[start : start + rows])
        else:
            torch.add(denominator, numerator, alpha=-2, out=terms)
            terms.add_(2 * penalty.l1).mul_(h)
            value += 0.5 * float(terms.sum(dtype=torch.float64)) + 0.5 * _squared_norm(X[start : start + rows])
            torch.add(denominator, penalty.l1, out=terms)
            h.mul_(numerator).div_(terms.clamp_min_(_TINY))
        if statistics is not None:
            turned = factor(h).T
            _add_product(statistics.HX, turned, x)
            _add_product(statistics.HH, turned, turned.T)
    return value


def update_basis(
    W: Tensor, statistics: Statistics, *, basis_norm: str | None = "unit", products: str = "float32"
) -> Tensor:
    """W's half of Eq. (6), in place, from the samples' statistics.

    Returns the lengths (L,) that its rows were divided by.
    """
    factor = _bfloat16 if products == "bfloat16" else _as_is
    denominator = torch.mm(factor(statistics.HH), factor(W)).to(W.dtype).clamp_min_(_TINY)
    if basis_norm == "ball":
        return _update_in_ball(W, statistics.HX, denominator)
    W.mul_(statistics.HX).div_(denominator)
    if basis_norm is None:
        return W.new_ones(len(W))
    norms = torch.linalg.vector_norm(W, dim=1)
    norms.masked_fill_(norms == 0, 1)
    W.div_(norms[:, None])
    return norms


def _update_in_ball(W: Tensor, HX: Tensor, denominator: Tensor, steps: int = 6) -> Tensor:
    """The minimiser of Eq. (6)'s auxiliary function under |w_k| <= 1: w = w' HX / (HH w' + mu_k w').

    mu_k = 0 where that is short enough, else the root of 1/|w(mu)| = 1. That function is concave and rising, so
    Newton's method from mu = 0 climbs to the root without passing it.
    """
    mu = W.new_zeros(len(W), 1)
    for _ in range(steps):
        bent = torch.addcmul(denominator, mu, W)
        w = W * HX / bent
        length = torch.linalg.vector_norm(w, dim=1, keepdim=True)
        slope = (w.square() * W / bent).sum(1, keepdim=True)
        mu = (mu + (length - 1) * length.square() / slope.clamp_min(_TINY)).clamp_min_(0)
    W.copy_(W * HX / torch.addcmul(denominator, mu, W))
    norms = torch.linalg.vector_norm(W, dim=1).clamp_min_(1)
    W.div_(norms[:, None])
    return norms


def objective(X: Any, H: Any, W: Any, penalty: Penalty = Penalty()) -> float:
    """Eq. (2) by its definition, block by block: ½ |X - H W|² and the penalties."""
    X, H, W = (_tensor(a) for a in (X, H, W))
    value = penalty.l1 * float(H.sum(dtype=torch.float64)) + 0.5 * penalty.l2 * _squared_norm(H)
    value += penalty.l21 * float(torch.linalg.vector_norm(H, dim=0).sum(dtype=torch.float64))
    for start in range(0, len(X), 1024):
        value += 0.5 * _squared_norm(torch.addmm(X[start : start + 1024], H[start : start + 1024], W, alpha=-1))
    return value


def _squared_norm(A: Tensor) -> float:
    return float(torch.linalg.vector_norm(A, dtype=torch.float64 if A.dtype == torch.float64 else None).double() ** 2)


def _add_product(total: Tensor, A: Tensor, B: Tensor) -> None:
    if A.dtype == total.dtype:
        total.addmm_(A, B)
    else:
        total += torch.mm(A, B)


def _as_is(A: Tensor) -> Tensor:
    return A


def _bfloat16(A: Tensor) -> Tensor:
    return A.to(torch.bfloat16)


def _tensor(array: Any) -> Tensor:
    """A torch view of the same memory."""
    try:
        return array if isinstance(array, Tensor) else torch.from_numpy(array)
    except (TypeError, ValueError) as error:  # no array, objects, strides that torch has not
        raise not_numbers("X, H and W", error) from None


def _check(X: Tensor, H: Tensor, W: Tensor, basis_norm: str | None, products: str) -> None:
    if basis_norm not in BASIS_NORMS:
        raise UsageError(f"basis_norm must be one of {', '.join(map(repr, BASIS_NORMS))}, got {shown(basis_norm)}")
    if products not in PRODUCTS:
        raise UsageError(f"products must be one of {', '.join(PRODUCTS)}, got {shown(products)}")
    if not X.ndim == W.ndim == 2 or H.shape != (len(X), len(W)) or W.shape[1:] != X.shape[1:]:
        raise UsageError(f"X {tuple(X.shape)}, H {tuple(H.shape)}, W {tuple(W.shape)} must be (N, M), (N, L), (L, M)")
    if not X.dtype == H.dtype == W.dtype or not X.is_floating_point():
        raise UsageError(f"X, H and W must have one floating dtype, got {X.dtype}, {H.dtype}, {W.dtype}")
