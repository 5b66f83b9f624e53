"""The nearest centre of every point: of the N x k distances, few or none are in memory at a time.

Products of 11 or 8 bits come from the tensor cores, and a kernel of our own finds the least while they are in
registers. Products of 24 bits take so long that a table costs little beside them: the vendor's library makes them,
block by block.
"""

import torch
import triton
import triton.language as tl

from clustlib.errors import UsageError
from clustlib.kernels.cuda.cluster_sums import rows_contiguous

PRECISIONS = ("float32", "tf32", "bfloat16")
_FEATURES = {"tf32": 32, "bfloat16": 64}  # of a tile, where a point's do not all fit
_SHARED_90 = 227 << 10  # bytes of shared memory that a program may use on sm_90
_TABLE = 1 << 24  # distances in memory at a time, in float32


@triton.jit
def _nearest(
    points, centres, half_norm2, labels, values, n, k, dim, stride_x, stride_c,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr, RESIDENT: tl.constexpr,
    HALVINGS: tl.constexpr, WIDEN: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    features = tl.arange(0, BLOCK_D)
    x_rows = points + rows.to(tl.int64)[:, None] * stride_x
    # the least so far in every column of the halved tiles: columns meet once, at the end
    best = tl.full((BLOCK_N, BLOCK_K >> HALVINGS), float("inf"), tl.float32)
    label = tl.zeros((BLOCK_N, BLOCK_K >> HALVINGS), tl.int32)
    if RESIDENT:  # all features of the points stay in shared memory while the centres pass by
        x = _tile(x_rows, rows, n, features, dim, WIDEN)
    for k0 in range(0, k, BLOCK_K):
        columns = k0 + tl.arange(0, BLOCK_K)
        c_rows = centres + columns.to(tl.int64)[:, None] * stride_c
        if RESIDENT:
            c = _tile(c_rows, columns, k, features, dim, WIDEN)
            dots = tl.dot(x, tl.trans(c), input_precision="tf32")  # which says nothing of bfloat16
        else:
            dots = tl.zeros((BLOCK_N, BLOCK_K), tl.float32)
            for d0 in range(0, dim, BLOCK_D):
                x = _tile(x_rows, rows, n, d0 + features, dim, WIDEN)
                c = _tile(c_rows, columns, k, d0 + features, dim, WIDEN)
                dots = tl.dot(x, tl.trans(c), dots, input_precision="tf32")
        # |x - c|^2 / 2 = |x|^2 / 2 + |c|^2 / 2 - x c, and |x|^2 is the same for all centres
        value = tl.load(half_norm2 + columns, mask=columns < k, other=float("inf"))[None, :] - dots
        offset = tl.zeros((BLOCK_N, BLOCK_K), tl.int32)
        for halving in tl.static_range(HALVINGS):
            value, offset = _lesser_half(value, offset, BLOCK_N, BLOCK_K >> (halving + 1))
        better = value < best
        label = tl.where(better, k0 + offset, label)
        best = tl.where(better, value, best)
    least = tl.min(best, axis=1)
    label += tl.arange(0, BLOCK_K >> HALVINGS)[None, :]
    first = tl.min(tl.where(best == least[:, None], label, 2147483647), axis=1)
    tl.store(labels + rows, first, mask=rows < n)
    tl.store(values + rows, least, mask=rows < n)


@triton.jit
def _lesser_half(value, offset, BLOCK_N: tl.constexpr, WIDTH: tl.constexpr):
    """Column j or j + WIDTH, the left one where they are equal; both are one thread's, so nothing is exchanged."""
    left, right = _halves(value, BLOCK_N, WIDTH)
    left_at, right_at = _halves(offset, BLOCK_N, WIDTH)
    take = right < left
    return tl.where(take, right, left), tl.where(take, right_at + WIDTH, left_at)


@triton.jit
def _halves(x, BLOCK_N: tl.constexpr, WIDTH: tl.constexpr):
    return tl.split(tl.permute(tl.reshape(x, (BLOCK_N, 2, WIDTH)), (0, 2, 1)))


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
    labels : (N,) int64; among equal distances, as they were computed, the lowest index.
    d2 : (N,) float32, clipped at 0. Its error is that of |x|^2 - 2 x c + |c|^2 in ``precision``.

    Notes
    -----
    Workspace: 8 N + 8 k bytes beside the outputs, 4 k D for the squares of the centres (8 k D where they are
    bfloat16), for "float32" a table of at most 64 MiB (or of one point's distances), and for "bfloat16" bfloat16 copies
    of both inputs. Points in bfloat16 are multiplied as they are, exactly, whatever the precision. "float32" products
    are PyTorch's, and have 24 bits unless ``torch.backends.cuda.matmul`` was told otherwise.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"precision must be one of {', '.join(PRECISIONS)}; got {precision!r}")
    if points.ndim != 2 or centres.ndim != 2 or points.shape[1] != centres.shape[1] or not len(centres):
        raise ValueError(f"points (N, D) and centres (k, D) are needed, got {points.shape} and {centres.shape}")
    half_norm2 = centres.float().square().sum(dim=1) / 2
    norm2 = torch.linalg.vector_norm(points, dim=1, dtype=torch.float32).square_()
    if precision == "bfloat16":
        points, centres = points.bfloat16(), centres.bfloat16()
    multiplied = "bfloat16" if points.dtype == torch.bfloat16 else precision
    if multiplied == "float32":
        labels, values = _by_table(points, centres, half_norm2)
    else:
        labels, values = _by_tiles(points, centres, half_norm2, multiplied)
    return labels.long(), norm2.add_(values, alpha=2).clamp_(min=0)


def _by_table(
    points: torch.Tensor, centres: torch.Tensor, half_norm2: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The index of the least |c|^2 / 2 - x c, and its value, from products that the vendor's library makes."""
    labels = torch.empty(len(points), dtype=torch.int64, device=points.device)
    values = torch.empty(len(points), dtype=torch.float32, device=points.device)
    step = max(1, _TABLE // len(centres))
    for rows in (slice(at, at + step) for at in range(0, len(points), step)):
        # not kept by a name: the next block's table would be made while this one still lives
        torch.min(torch.addmm(half_norm2, points[rows], centres.T, alpha=-1), dim=1, out=(values[rows], labels[rows]))
    return labels, values


def _by_tiles(
    points: torch.Tensor, centres: torch.Tensor, half_norm2: torch.Tensor, precision: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same from the kernel's products, of 11 or 8 bits; labels are int32."""
    points, centres = rows_contiguous(points), rows_contiguous(centres)
    n, dim = points.shape
    labels = torch.empty(n, dtype=torch.int32, device=points.device)
    values = torch.empty(n, dtype=torch.float32, device=points.device)
    if n:
        chosen = blocks(precision, dim, shared_memory(points.device))
        _nearest[(triton.cdiv(n, chosen["BLOCK_N"]),)](
            points, centres, half_norm2, labels, values, n, len(centres), dim, points.stride(0), centres.stride(0),
            WIDEN=not points.is_cuda, **chosen,
        )  # fmt: skip
    return labels, values


def blocks(precision: str, dim: int, shared: int) -> dict[str, int | bool]:
    """The tile, warps and pipeline stages, for products in a precision and a number of features.

    By a count of bytes, not by a clock, all centres come to a program from the second-level cache in about the time of
    the products with 128 bfloat16 points: more points to a program hide it. Points that come again for every tile of
    centres cost as much. Where ``shared``, the bytes of shared memory that a program may use, holds all features of a
    tile of bfloat16 points and of twice 64 centres (256 features on sm_90 and sm_80), the points stay.
    """
    width = max(16, triton.next_power_of_2(dim))
    # up to sm_89, products take their factors from registers, and those of 256 points would spill
    points = 256 if shared >= _SHARED_90 else 128
    if precision == "bfloat16" and 2 * width * (points + 2 * 64) <= shared:
        tile: dict[str, int | bool] = {"BLOCK_N": points, "BLOCK_K": 64, "BLOCK_D": width, "RESIDENT": True}
        return {**tile, "HALVINGS": 3, "num_warps": 8, "num_stages": 2}
    tile = {"BLOCK_N": points, "BLOCK_K": 128, "BLOCK_D": min(_FEATURES[precision], width), "RESIDENT": False}
    return {**tile, "HALVINGS": 4, "num_warps": 8, "num_stages": 3}


def shared_memory(device: torch.device) -> int:
    """The bytes of shared memory that a program may use; of sm_90 where there is no GPU to ask."""
    if device.type != "cuda":
        return _SHARED_90
    return int(getattr(torch.cuda.get_device_properties(device), "shared_memory_per_block_optin", 99 << 10))
