"""DBC's soft assignment, its loss and both gradients in two passes over the codes (Li et al., 2017, section 3.2).

The same pair as in :mod:`clustlib.kernels.soft_assignment`. Forward reads the codes once and writes S and u; backward
reads the codes, S, u and the target once and writes the gradients. Nothing larger than (N, k) exists in between.
"""

import torch
import triton
import triton.language as tl

from clustlib.kernels.cuda.cluster_sums import rows_contiguous

MOST_CLUSTERS = 128  # a tile holds all of a sample's scores; twice as many no longer fit the registers
_PROGRAMS = 256  # of the gradients: enough to fill a large GPU several times over


@triton.jit
def _scores(
    codes, centres, origin, scores, u, n, k, dim, v, stride_z,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr, PRODUCTS: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    columns = tl.arange(0, BLOCK_K)
    dots = tl.zeros((BLOCK_N, BLOCK_K), tl.float32)
    z_norm2, c_norm2 = tl.zeros((BLOCK_N,), tl.float32), tl.zeros((BLOCK_K,), tl.float32)
    for d0 in range(0, dim, BLOCK_D):
        d = d0 + tl.arange(0, BLOCK_D)
        # distances do not change with the origin, but the large terms cancel less among the centres
        shift = tl.load(origin + d, mask=d < dim, other=0.0)[None, :]
        inside = (rows[:, None] < n) & (d[None, :] < dim)
        z = tl.load(codes + rows.to(tl.int64)[:, None] * stride_z + d[None, :], mask=inside, other=0.0) - shift
        kept = (columns[:, None] < k) & (d[None, :] < dim)
        c = tl.load(centres + columns[:, None] * dim + d[None, :], mask=kept, other=0.0) - shift
        dots = tl.dot(z, tl.trans(c), dots, input_precision=PRODUCTS)
        z_norm2 += tl.sum(z * z, axis=1)
        c_norm2 += tl.sum(c * c, axis=1)
    squares = tl.maximum(z_norm2[:, None] - 2 * dots + c_norm2[None, :], 0.0)
    far = squares / v + 1  # u_ij of Eq. (.1)
    power = tl.where(columns[None, :] < k, -(v + 1) / 2 * tl.log(far), float("-inf"))
    power = tl.exp(power - tl.max(power, axis=1)[:, None])
    share = power / tl.sum(power, axis=1)[:, None]  # Eq. (1)
    at = rows.to(tl.int64)[:, None] * k + columns[None, :]
    inside = (rows[:, None] < n) & (columns[None, :] < k)
    tl.store(scores + at, share, mask=inside)
    tl.store(u + at, far, mask=inside)


@triton.jit
def _gradients(
    codes, centres, scores, u, target, by_codes, by_centres, n, k, dim, v, stride_z, programs,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr, PRODUCTS: tl.constexpr,
):  # fmt: skip
    """Some of the samples, every ``programs``-th tile of them, and some of the features: Eq. (5) stays in registers."""
    own = tl.program_id(0)
    d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    columns = tl.arange(0, BLOCK_K)
    c_at, c_in = columns[:, None] * dim + d[None, :], (columns[:, None] < k) & (d[None, :] < dim)
    c = tl.load(centres + c_at, mask=c_in, other=0.0)
    push = tl.zeros((BLOCK_K, BLOCK_D), tl.float32)
    for row0 in range(own * BLOCK_N, n, programs * BLOCK_N):
        rows = row0 + tl.arange(0, BLOCK_N)
        at = rows.to(tl.int64)[:, None] * k + columns[None, :]
        inside = (rows[:, None] < n) & (columns[None, :] < k)
        r = tl.load(target + at, mask=inside, other=0.0)
        s = tl.load(scores + at, mask=inside, other=0.0)
        far = tl.load(u + at, mask=inside, other=1.0)
        force = (1 + v) / v * (r - s) / far
        z_in = (rows[:, None] < n) & (d[None, :] < dim)
        z = tl.load(codes + rows.to(tl.int64)[:, None] * stride_z + d[None, :], mask=z_in, other=0.0)
        pull = tl.sum(force, axis=1)[:, None] * z - tl.dot(force, c, input_precision=PRODUCTS)  # Eq. (4)
        tl.store(by_codes + rows.to(tl.int64)[:, None] * dim + d[None, :], pull, mask=z_in)
        push += tl.sum(force, axis=0)[:, None] * c - tl.dot(tl.trans(force), z, input_precision=PRODUCTS)  # Eq. (5)
    tl.store(by_centres + own.to(tl.int64) * k * dim + c_at, push, mask=c_in)


def serves(codes: torch.Tensor, centres: torch.Tensor) -> bool:
    """Whether this pair can take the place of the plain one: CUDA, float32, and few enough clusters."""
    return codes.is_cuda and codes.dtype == centres.dtype == torch.float32 and len(centres) <= MOST_CLUSTERS


def scores(codes: torch.Tensor, centres: torch.Tensor, v: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The scores S of Eq. (1) and u_ij = 1 + ||z_i - mu_j||^2 / v, both (N, k) float32; no workspace beside them."""
    codes, centres = rows_contiguous(codes), centres.contiguous()
    n, k = len(codes), len(centres)
    found, u = (torch.empty((n, k), dtype=torch.float32, device=codes.device) for _ in range(2))
    if n:
        tile = blocks(k, "scores")
        _scores[(triton.cdiv(n, tile["BLOCK_N"]),)](
            codes, centres, centres.mean(dim=0), found, u, n, k, codes.shape[1], float(v), codes.stride(0), **tile
        )
    return found, u


def gradients(
    codes: torch.Tensor, centres: torch.Tensor, found: torch.Tensor, u: torch.Tensor, target: torch.Tensor, v: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Eq. (4), (N, d), and Eq. (5), (k, d).

    Workspace: at most 256 parts of Eq. (5), (k, d) each, which together stay in the second-level cache for ten or
    twenty clusters; they are added in a fixed order.
    """
    codes, centres = rows_contiguous(codes), centres.contiguous()
    n, k, dim = len(codes), len(centres), codes.shape[1]
    tile = blocks(k, "gradients")
    across = triton.cdiv(dim, tile["BLOCK_D"])
    programs = max(1, min(_PROGRAMS // across, triton.cdiv(n, tile["BLOCK_N"])))
    by_codes = torch.empty((n, dim), dtype=torch.float32, device=codes.device)
    parts = torch.empty((programs, k, dim), dtype=torch.float32, device=codes.device)
    _gradients[(programs, across)](
        codes, centres, found.contiguous(), u.contiguous(), target.float().contiguous(), by_codes, parts,
        n, k, dim, float(v), codes.stride(0), programs, **tile,
    )  # fmt: skip
    return by_codes, parts.sum(dim=0)


def blocks(k: int, kernel: str) -> dict[str, int | str]:
    """Samples, clusters and features of a tile, warps and products, of "scores" or "gradients".

    Three products of 11 bits on the tensor cores make one of 24. The gradients gain nothing by them, and a tile of
    more than 32 clusters has no room for their parts in registers. None spills to memory up to 128 clusters.
    """
    clusters = max(16, triton.next_power_of_2(k))  # both sides of a product are at least 16
    few, split = clusters <= 32, kernel == "scores" and clusters <= 32
    return {
        "BLOCK_N": 64 if few else 32,
        "BLOCK_K": clusters,
        "BLOCK_D": 64 if few and not split else 32,
        "num_warps": 4,
        "num_stages": 1,
        "PRODUCTS": "tf32x3" if split else "ieee",
    }
