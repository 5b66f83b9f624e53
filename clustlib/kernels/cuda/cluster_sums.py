"""The sum of the points of every cluster: points sorted by label, one segment a cluster, no atomics."""

import torch
import triton
import triton.language as tl

_PROGRAMS = 1024  # enough to fill a large GPU several times over


@triton.jit
def _segment_sums(
    points, order, start, sums, dim, stride_x, parts, k,
    BLOCK_R: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    cluster, part = tl.program_id(0), tl.program_id(2)
    d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    first, last = tl.load(start + cluster), tl.load(start + cluster + 1)
    length = (last - first + parts - 1) // parts
    lo = first + part * length
    hi = tl.minimum(lo + length, last)
    total = tl.zeros((BLOCK_D,), tl.float32)
    for r0 in range(lo, hi, BLOCK_R):
        r = r0 + tl.arange(0, BLOCK_R)
        rows = tl.load(order + r, mask=r < hi, other=0)
        x = tl.load(
            points + rows[:, None] * stride_x + d[None, :], mask=(r[:, None] < hi) & (d[None, :] < dim), other=0.0
        )
        total += tl.sum(x.to(tl.float32), axis=0)
    tl.store(sums + (part.to(tl.int64) * k + cluster) * dim + d, total, mask=d < dim)


def cluster_sums(points: torch.Tensor, labels: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum and the number of the points of every cluster.

    Parameters
    ----------
    points : (N, D) float32 or bfloat16. labels : (N,) int64 in [0, k).

    Returns
    -------
    sums : (k, D) float32, counts : (k,) int64. The same input gives the same bits: the order of the sums is fixed.

    Notes
    -----
    Every point is read once. Workspace: 30 N bytes for the sort (36 N from 32,768 clusters on): the labels, narrow,
    three times and the points' numbers, 8 bytes each, three times; then 10 N (12 N) bytes, 16 k, and at most 4,096 D of
    partial sums.
    """
    if labels.shape != points.shape[:1]:
        raise ValueError(f"labels must have shape ({len(points)},), got {tuple(labels.shape)}")
    points = rows_contiguous(points)
    dim = points.shape[1]
    if len(labels):
        least, most = torch.stack(labels.aminmax()).tolist()
        if least < 0 or most >= k:
            raise ValueError(f"labels must be from 0 and below {k}")
    narrow = torch.int16 if k < 1 << 15 else torch.int32  # the sort takes a pass for every byte
    by_label, order = torch.sort(labels.to(narrow), stable=True)
    start = torch.searchsorted(by_label, torch.arange(k + 1, dtype=narrow, device=points.device))
    tile = blocks(dim)
    columns = triton.cdiv(dim, tile["BLOCK_D"])
    parts = max(1, _PROGRAMS // (k * columns)) if points.is_cuda else 2  # the interpreter runs one after the other
    sums = torch.empty((parts, k, dim), dtype=torch.float32, device=points.device)
    _segment_sums[(k, columns, parts)](points, order, start, sums, dim, points.stride(0), parts, k, **tile)
    return sums.sum(dim=0) if parts > 1 else sums[0], start.diff()


def blocks(dim: int) -> dict[str, int]:
    """Points and features of a tile, and warps."""
    return {"BLOCK_R": 32, "BLOCK_D": min(128, max(16, triton.next_power_of_2(dim))), "num_warps": 4}


def rows_contiguous(x: torch.Tensor) -> torch.Tensor:
    """``x`` itself where its rows are contiguous, else a copy."""
    return x if x.stride(1) == 1 else x.contiguous()
