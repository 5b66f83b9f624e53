"""What surrounds the products of a GSNMF update, in one pass: the objective's terms and the new coefficients."""

import torch
import triton
import triton.language as tl

_BLOCK = 1024  # coefficients to a program


@triton.jit
def _scale(
    h, numerator, denominator, constants, terms, n, width, stride_h, stride_hc, stride_n, stride_d,
    BLOCK: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < n
    row, column = at // width, at % width
    old = tl.load(h + row * stride_h + column * stride_hc, mask=inside, other=0.0)
    above = tl.load(numerator + row * stride_n + column, mask=inside, other=0.0).to(old.dtype)
    below = tl.load(denominator + row * stride_d + column, mask=inside, other=0.0).to(old.dtype)
    l1, tiny = tl.load(constants), tl.load(constants + 1)
    term = (below - 2 * above + 2 * l1) * old
    tl.store(terms + tl.program_id(0), tl.sum(term.to(tl.float64), axis=0))
    tl.store(h + row * stride_h + column * stride_hc, old * above / tl.maximum(below + l1, tiny), mask=inside)


def scale_coefficients(
    h: torch.Tensor, numerator: torch.Tensor, denominator: torch.Tensor, l1: float, tiny: float
) -> float:
    """``h`` becomes h * numerator / max(denominator + l1, tiny), Eq. (6) of Gui et al., in place.

    Parameters
    ----------
    h : (N, L) float32 or float64. numerator : X Wᵀ. denominator : h (W Wᵀ + l2), both (N, L) of
        ``h``'s type or bfloat16, rows contiguous.

    Returns
    -------
    The sum of h (denominator - 2 numerator + 2 l1) over the old coefficients: twice Eq. (2), less |x|².

    Notes
    -----
    Three numbers are read and one is written for each coefficient; PyTorch's own operations move nineteen. Sums are
    float64, in a fixed order. Workspace: 8 bytes for every 1,024 coefficients.
    """
    n, width = h.numel(), h.shape[1]
    if not n:
        return 0.0
    programs = triton.cdiv(n, _BLOCK)
    terms = torch.empty(programs, dtype=torch.float64, device=h.device)
    constants = torch.tensor([l1, tiny], dtype=h.dtype, device=h.device)  # arguments of a kernel are float32
    strides = *h.stride(), numerator.stride(0), denominator.stride(0)
    _scale[(programs,)](h, numerator, denominator, constants, terms, n, width, *strides, BLOCK=_BLOCK, num_warps=4)
    return float(terms.sum())
