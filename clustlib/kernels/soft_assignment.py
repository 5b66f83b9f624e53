"""DBC's soft assignment and its divergence from a target, without any (N, k, d) array (Li et al., 2017, section 3.2).

Distances come from one matrix product, ||z||^2 - 2 z.mu + ||mu||^2, and both gradients from one product each.
Memory is that of a few (N, k) matrices. :func:`scores` and :func:`gradients` are the pair that another
device's kernels have to provide.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from clustlib._arrays import check_tensor
from clustlib._device import on_gpu_with_triton
from clustlib._validation import check_features, check_number
from clustlib.errors import UsageError
from clustlib.kernels._neighbour_parts import rounding
from clustlib.kernels.boosting import library, terms

_LEAST_FREEDOM = 1e-12  # degrees of freedom; distances over fewer of them overflow


def squared_distances(Z: torch.Tensor, centers: torch.Tensor) -> torch.Tensor:
    """||z_i - mu_j||^2 as an (N, k) tensor, for (N, d) codes and (k, d) centres."""
    # moving the origin among the centres changes no distance, and keeps the large terms from cancelling
    origin = centers.mean(dim=0)
    Z, centers = Z - origin, centers - origin
    squares = torch.addmm((centers * centers).sum(dim=1), Z, centers.T, alpha=-2)
    return squares.add_((Z * Z).sum(dim=1, keepdim=True)).clamp_(min=0)


def scores(Z: torch.Tensor, centers: torch.Tensor, v: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The scores S of Eq. (1) and u_ij = 1 + ||z_i - mu_j||^2 / v of Eq. (.1), both (N, k)."""
    return _pair(Z, centers)[0](Z, centers, v)


def plain_scores(Z: torch.Tensor, centers: torch.Tensor, v: float) -> tuple[torch.Tensor, torch.Tensor]:
    """:func:`scores` in PyTorch's own operations."""
    if Z.dtype == torch.float64 and _is_lost(Z, centers, v):  # by differences, which take longer
        d2 = torch.cdist(Z, centers, compute_mode="donot_use_mm_for_euclid_dist").square()
    else:
        d2 = squared_distances(Z, centers)
    u = d2.div_(v).add_(1)
    logarithm = u.log()
    # a softmax: powers of u themselves underflow for codes that are far from every centre
    return torch.softmax(logarithm.mul_(-(v + 1) / 2), dim=1), u


def gradients(
    Z: torch.Tensor, centers: torch.Tensor, S: torch.Tensor, u: torch.Tensor, target: torch.Tensor, v: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Eq. (4), (N, d), and Eq. (5), (k, d): the derivatives of the loss by the codes and by the centres."""
    return _pair(Z, centers)[1](Z, centers, S, u, target, v)


def plain_gradients(
    Z: torch.Tensor, centers: torch.Tensor, S: torch.Tensor, u: torch.Tensor, target: torch.Tensor, v: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """:func:`gradients` in PyTorch's own operations."""
    force = (target - S).mul_((1 + v) / v).div_(u)
    by_codes = Z * force.sum(dim=1, keepdim=True) - force @ centers
    by_centers = centers * force.sum(dim=0)[:, None] - force.T @ Z
    return by_codes, by_centers


def _pair(Z: torch.Tensor, centers: torch.Tensor) -> tuple[Callable, Callable]:
    """Both passes: Triton's where they can serve, else PyTorch's."""
    if on_gpu_with_triton(Z):
        from clustlib.kernels.cuda import soft_assignment as fused

        if fused.serves(Z, centers):
            return fused.scores, fused.gradients
    return plain_scores, plain_gradients


class _BoostedKL(torch.autograd.Function):
    """KL(R || S) with S from codes and centres; the target R is a constant."""

    @staticmethod
    def forward(ctx: Any, Z: torch.Tensor, centers: torch.Tensor, target: torch.Tensor, v: float) -> torch.Tensor:
        S, u = scores(Z, centers, v)
        ctx.save_for_backward(Z, centers, S, u, target)
        ctx.v = v
        return terms(target, S).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        Z, centers, S, u, target = ctx.saved_tensors
        by_codes, by_centers = gradients(Z, centers, S, u, target, ctx.v)
        return by_codes * upstream, by_centers * upstream, None, None


def _check(Z: torch.Tensor, centers: torch.Tensor, v: float) -> None:
    check_tensor("Z", Z, "(N, d)")
    check_tensor("centers", centers, "(k, d)")
    if not Z.shape[1] == centers.shape[1] > 0 or not len(centers) or Z.dtype != centers.dtype:
        raise UsageError(
            f"codes (N, d) and centres (k, d) must share d and dtype, got {tuple(Z.shape)} and {tuple(centers.shape)}"
        )
    check_number("v", v)
    if v < _LEAST_FREEDOM:
        raise UsageError(f"v must be at least {_LEAST_FREEDOM:g}, got {v!r}")


def soft_assign(Z: Any, centers: Any, v: float = 1.0) -> Any:
    """The score of every code against every centre under Student's t kernel, Eq. (1).

    Parameters
    ----------
    Z : (N, d) floats, an array or a tensor: the codes.
    centers : (k, d) of the same kind.
    v : degrees of freedom; the paper uses 1.

    Returns
    -------
    (N, k) array or tensor of the codes' dtype and kind; rows sum to 1. Not differentiable: training goes through
    :func:`boosted_kl`.

    Raises
    ------
    ValueError : shapes that do not fit, or ``v`` that is not positive.
    """
    if library(Z) is np:
        Z, centers = check_features(Z, name="Z"), check_features(centers, name="centers")
        Z, centers = (torch.from_numpy(array.astype(np.result_type(Z, centers), copy=False)) for array in (Z, centers))
        return soft_assign(Z, centers, v).numpy()
    _check(Z, centers, v)
    with torch.no_grad():
        if Z.dtype == torch.float32 and _is_lost(Z, centers, v):
            return scores(Z.double(), centers.double(), v)[0].float()
        return scores(Z, centers, v)[0]


def _is_lost(Z: torch.Tensor, centers: torch.Tensor, v: float) -> bool:
    """Whether the rounding of products may exceed the 1 that Eq. (1) adds to the distances."""
    if not len(Z):
        return False
    Z, centers = Z.detach(), centers.detach()
    origin = centers.mean(dim=0)
    furthest = sum(float(torch.linalg.vector_norm(part - origin, dim=1).max()) for part in (Z, centers))
    return rounding(Z.shape[1], torch.finfo(Z.dtype).eps / 2) * furthest**2 > v


def boosted_kl(Z: torch.Tensor, centers: torch.Tensor, target: torch.Tensor, v: float = 1.0) -> torch.Tensor:
    """The loss KL(R || S) of Eq. (3), summed over the samples, with Eq. (4) and (5) as its derivatives.

    Parameters
    ----------
    Z : (N, d) codes. centers : (k, d). target : (N, k), R of :func:`boosted_target`; no gradient flows into it.
    v : degrees of freedom of Eq. (1).

    Returns
    -------
    A scalar in nats, differentiable once by ``Z`` and ``centers``.

    Raises
    ------
    ValueError : shapes that do not fit, or ``v`` that is not positive.
    """
    _check(Z, centers, v)
    check_tensor("target", target, "(N, k)")
    if target.shape != (len(Z), len(centers)):
        raise UsageError(f"the target must be ({len(Z)}, {len(centers)}), got {tuple(target.shape)}")
    if target.device.type == "cpu" and not bool((target >= 0).all()):  # a GPU would have to be waited for
        raise UsageError("the target must be finite and non-negative")
    if Z.device.type == "cpu" and Z.dtype == torch.float32 and _is_lost(Z, centers, v):
        return _BoostedKL.apply(Z.double(), centers.double(), target.double(), v).float()
    return _BoostedKL.apply(Z, centers, target, v)
