"""The nearest centre of every point, with an arg-min that runs along: the N x k distances never reach memory."""

import torch
import triton
import triton.language as tl

from clustlib.errors import UsageError
from clustlib.kernels.cuda._layout import rows_contiguous

PRECISIONS = ("float32", "tf32", "bfloat16")
_FEATURES = {"float32": 16, "tf32": 32, "bfloat16": 64}  # of a tile, where a point's do not all fit


@triton.jit
def _nearest(
    points, centres, half_norm2, labels, values, n, k, dim, stride_x, stride_c,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr, RESIDENT: tl.constexpr,
    PRECISION: tl.constexpr, WIDEN: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    features = tl.arange(0, BLOCK_D)
    x_rows = points + rows.to(tl.int64)[:, None] * stride_x
    best = tl.full((BLOCK_N,), float("inf"), tl.float32)
    label = tl.zeros((BLOCK_N,), tl.int32)
    if RESIDENT:  # all features of the points stay in shared memory while the centres pass by
        x = _tile(x_rows, rows, n, features, dim, WIDEN)
    for k0 in range(0, k, BLOCK_K):
        columns = k0 + tl.arange(0, BLOCK_K)
        c_rows = centres + columns.to(tl.int64)[:, None] * stride_c
        if RESIDENT:
            c = _tile(c_rows, columns, k, features, dim, WIDEN)
            dots = tl.dot(x, tl.trans(c), input_precision=PRECISION)
        else:
            dots = tl.zeros((BLOCK_N, BLOCK_K), tl.float32)
            for d0 in range(0, dim, BLOCK_D):
                x = _tile(x_rows, rows, n, d0 + features, dim, WIDEN)
                c = _tile(c_rows, columns, k, d0 + features, dim, WIDEN)
                dots = tl.dot(x, tl.trans(c), dots, input_precision=PRECISION)
        # |x - c|^2 / 2 = |x|^2 / 2 + |c|^2 / 2 - x c, and |x|^2 is the same for all centres
        half = tl.load(half_norm2 + columns, mask=columns < k, other=float("inf"))
        value, at = tl.min(half[None, :] - dots, axis=1, return_indices=True)
        better = value < best
        label = tl.where(better, k0 + at, label)
        best = tl.where(better, value, best)
    tl.store(labels + rows, label, mask=rows < n)
    tl.store(values + rows, best, mask=rows < n)


@triton.jit
def _tile(row_starts, rows, n, features, dim, WIDEN: tl.constexpr):
    found = tl.load(row_starts + features[None, :], mask=(rows[:, None] < n) & (features[None, :] < dim), other=0.0)
    return found.to(tl.float32) if WIDEN else found  # the interpreter multiplies the bit patterns of bfloat16


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
        multiplied = "bfloat16" if points.dtype == torch.bfloat16 else precision
        chosen = blocks(multiplied, dim, shared_memory(points.device))
        _nearest[(triton.cdiv(n, chosen["BLOCK_N"]),)](
            points, centres, norm2 / 2, labels, values, n, len(centres), dim, points.stride(0), centres.stride(0),
            PRECISION="tf32" if precision == "tf32" else "ieee", WIDEN=not points.is_cuda, **chosen,
        )  # fmt: skip
    d2 = torch.linalg.vecdot(exact.float(), exact.float()).add_(values, alpha=2).clamp_(min=0)
    return labels.long(), d2


def blocks(precision: str, dim: int, shared: int) -> dict[str, int | bool]:
    """The tile, warps and pipeline stages, for products in a precision and a number of features.

    Points that come again for every tile of centres cost as much of the second-level cache's bandwidth as the centres
    do. Where ``shared``, the bytes of shared memory that a program may use, holds all features of 128 bfloat16 points
    and of twice 128 centres (256 features on sm_90, 128 on sm_80), the points stay.
    """
    tile: dict[str, int | bool] = {"BLOCK_N": 128, "BLOCK_K": 128, "num_warps": 8}
    width = max(16, triton.next_power_of_2(dim))
    if precision == "bfloat16" and 2 * width * (128 + 2 * 128) <= shared:
        return {**tile, "BLOCK_D": width, "RESIDENT": True, "num_stages": 2}
    return {**tile, "BLOCK_D": min(_FEATURES[precision], width), "RESIDENT": False, "num_stages": 3}


def shared_memory(device: torch.device) -> int:
    """The bytes of shared memory that a program may use; of sm_90 where there is no GPU to ask."""
    if device.type != "cuda":
        return 227 << 10
    return int(getattr(torch.cuda.get_device_properties(device), "shared_memory_per_block_optin", 99 << 10))
