"""What surrounds the products of a GSNMF update, in one pass: the objective's terms and the new coefficients."""

import torch
import triton
import triton.language as tl

_TILE = 1024  # coefficients to a program


@triton.jit
def _scale(
    h, numerator, denominator, constants, terms, n, width, stride_h, stride_hc, stride_n, stride_d,
    BLOCK_N: tl.constexpr, BLOCK_L: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)[:, None]
    columns = tl.program_id(1) * BLOCK_L + tl.arange(0, BLOCK_L)[None, :]
    inside = (rows < n) & (columns < width)
    rows = rows.to(tl.int64)
    at = h + rows * stride_h + columns * stride_hc
    old = tl.load(at, mask=inside, other=0.0)
    above = tl.load(numerator + rows * stride_n + columns, mask=inside, other=0.0).to(old.dtype)
    below = tl.load(denominator + rows * stride_d + columns, mask=inside, other=0.0).to(old.dtype)
    l1, tiny = tl.load(constants), tl.load(constants + 1)
    term = ((below - 2 * above + 2 * l1) * old).to(tl.float64)
    tl.store(terms + tl.program_id(0) * tl.num_programs(1) + tl.program_id(1), tl.sum(tl.sum(term, axis=1), axis=0))
    tl.store(at, old * above / tl.maximum(below + l1, tiny), mask=inside)


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
    n, width = h.shape
    if not h.numel():
        return 0.0
    tile = blocks(width)
    grid = triton.cdiv(n, tile["BLOCK_N"]), triton.cdiv(width, tile["BLOCK_L"])
    terms = torch.empty(grid, dtype=torch.float64, device=h.device)
    constants = torch.tensor([l1, tiny], dtype=h.dtype, device=h.device)  # arguments of a kernel are float32
    strides = *h.stride(), numerator.stride(0), denominator.stride(0)
    _scale[grid](h, numerator, denominator, constants, terms, n, width, *strides, **tile)
    return float(terms.sum())


def blocks(width: int) -> dict[str, int]:
    """Samples and coefficients of a tile, and warps."""
    across = min(256, triton.next_power_of_2(width))
    return {"BLOCK_N": _TILE // across, "BLOCK_L": across, "num_warps": 4}
