"""The nearest centre of every point, with an arg-min that runs along: the N x k distances never reach memory."""

import torch
import triton
import triton.language as tl

from clustlib.errors import UsageError
from clustlib.kernels.cuda._layout import rows_contiguous

PRECISIONS = ("float32", "tf32", "bfloat16")


@triton.jit
def _nearest(
    points, centres, half_norm2, labels, values, n, k, dim, stride_x, stride_c,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr, PRECISION: tl.constexpr, WIDEN: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    x_rows = points + rows.to(tl.int64)[:, None] * stride_x
    best = tl.full((BLOCK_N,), float("inf"), tl.float32)
    label = tl.zeros((BLOCK_N,), tl.int32)
    for k0 in range(0, k, BLOCK_K):
        columns = k0 + tl.arange(0, BLOCK_K)
        c_rows = centres + columns.to(tl.int64)[:, None] * stride_c
        dots = tl.zeros((BLOCK_N, BLOCK_K), tl.float32)
        for d0 in range(0, dim, BLOCK_D):
            d = d0 + tl.arange(0, BLOCK_D)
            x = tl.load(x_rows + d[None, :], mask=(rows[:, None] < n) & (d[None, :] < dim), other=0.0)
            c = tl.load(c_rows + d[None, :], mask=(columns[:, None] < k) & (d[None, :] < dim), other=0.0)
            if WIDEN:  # the interpreter multiplies the bit patterns of bfloat16
                x, c = x.to(tl.float32), c.to(tl.float32)
            dots = tl.dot(x, tl.trans(c), dots, input_precision=PRECISION)
        # |x - c|^2 / 2 = |x|^2 / 2 + |c|^2 / 2 - x c, and |x|^2 is the same for all centres
        half = tl.load(half_norm2 + columns, mask=columns < k, other=float("inf"))
        value, at = tl.min(half[None, :] - dots, axis=1, return_indices=True)
        better = value < best
        label = tl.where(better, k0 + at, label)
        best = tl.where(better, value, best)
    tl.store(labels + rows, label, mask=rows < n)
    tl.store(values + rows, best, mask=rows < n)


def nearest_centre(
    points: torch.Tensor, centres: torch.Tensor, precision: str = "float32"
) -> tuple[torch.Tensor, torch.Tensor]:
    """The index of the nearest centre of every point, and the squared distance to it.

    Parameters
    ----------
    points : (N, D) float32 or bfloat16, rows contiguous. centres : (k, D) of the same dtype and device.
    precision : what the products are made in: "float32" (24 bits), "tf32" (11) or "bfloat16" (8); sums are float32.

    Returns
    -------
    labels : (N,) int64; among equal distances the lowest index.
    d2 : (N,) float32, clipped at 0. Its error is that of |x|^2 - 2 x c + |c|^2 in ``precision``.

    Notes
    -----
    Workspace: 8 N + 4 k bytes beside the outputs, and bfloat16 copies of both inputs for "bfloat16".
    """
    if precision not in PRECISIONS:
        raise UsageError(f"precision must be one of {', '.join(PRECISIONS)}; got {precision!r}")
    if points.ndim != 2 or centres.ndim != 2 or points.shape[1] != centres.shape[1] or not len(centres):
        raise ValueError(f"points (N, D) and centres (k, D) are needed, got {points.shape} and {centres.shape}")
    n, dim = points.shape
    norm2 = centres.float().square().sum(dim=1)
    exact = points
    if precision == "bfloat16":
        points, centres = points.bfloat16(), centres.bfloat16()
    points, centres = rows_contiguous(points), rows_contiguous(centres)
    labels = torch.empty(n, dtype=torch.int32, device=points.device)
    values = torch.empty(n, dtype=torch.float32, device=points.device)
    if n:
        block_n, block_k, block_d, warps, stages = _blocks(points.dtype, dim)
        _nearest[(triton.cdiv(n, block_n),)](
            points, centres, norm2 / 2, labels, values, n, len(centres), dim, points.stride(0), centres.stride(0),
            BLOCK_N=block_n, BLOCK_K=block_k, BLOCK_D=block_d,
            PRECISION="tf32" if precision == "tf32" else "ieee", WIDEN=not points.is_cuda,
            num_warps=warps, num_stages=stages,
        )  # fmt: skip
    d2 = torch.linalg.vecdot(exact.float(), exact.float()).add_(values, alpha=2).clamp_(min=0)
    return labels.long(), d2


def _blocks(dtype: torch.dtype, dim: int) -> tuple[int, int, int, int, int]:
    """Points, centres and features of a tile, warps and pipeline stages: what fits the memory of sm_80."""
    wide = 64 if dtype == torch.bfloat16 else 32
    return 128, 128, min(wide, max(16, triton.next_power_of_2(dim))), 8, 3
