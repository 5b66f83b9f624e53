"""Exact k nearest neighbours and the affinity graph of tensors, on the device where they are.

The same result as :func:`clustlib.kernels.knn`, in plain PyTorch. The time of such a search is usually not that of
its matrix products: ``topk`` over rows of N distances is. Here every distance is read once, for the smallest of each
group of 64; the m nearest points of a row lie in the m groups of smallest minimum, so only these are looked into.
"""

import torch
from torch import Tensor

from clustlib._arrays import check_made
from clustlib.errors import UsageError
from clustlib.kernels._neighbour_parts import check_k, magnified, rounding

_GROUP = 64  # distances whose minimum is taken before any is looked at
_ROWS, _COLUMNS = 2048, 1 << 17  # a block of distances: 1 GiB at most
_RANKED = 1 << 25  # coordinates in float64 at once: 256 MiB


def nearest_neighbours(points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` nearest other points of every point, exactly, without a copy to the host.

    Parameters
    ----------
    points : (N, D) float64, float32, float16 or bfloat16 on any device, finite
    k : number of neighbours, 1 <= k <= N - 1

    Returns
    -------
    indices : (N, k) int32, ordered by (squared distance, index); never the point itself.
    d2 : (N, k) float64, squared Euclidean distances.

    Raises
    ------
    ValueError : another shape or dtype, NaN or infinite values, squared distances that overflow float32, bad ``k``.

    Notes
    -----
    Candidates come from float32 products; they are ranked in float64, and where the rounding of the products
    leaves doubt about what was not a candidate, the whole row is. Workspace: a centred copy of the points, 1.4 GiB at
    most for the blocks, and 12 bytes for each of 1.5 k candidates of a point.
    """
    n, dim = _checked(points, k)
    m = min(n - 1, k + max(8, k // 2))
    points = points if points.dtype == torch.float64 else points.float()
    # products of large numbers cancel badly
    centred = (points - points.mean(dim=0, dtype=torch.float64).to(points.dtype)).float()
    norm2 = torch.linalg.vecdot(centred, centred)
    if not bool((norm2 <= 1e37).all()):  # False for NaN too
        raise UsageError("features are not finite, or so large that their squared distances overflow float32")
    error = rounding(dim) * (norm2.sqrt() + norm2.max().sqrt()).square()
    indices = torch.empty((n, k), dtype=torch.int32, device=points.device)
    d2 = torch.empty((n, k), dtype=torch.float64, device=points.device)
    for start in range(0, n, _ROWS):
        rows = torch.arange(start, min(n, start + _ROWS), device=points.device)
        candidates, reach = _candidates(centred, norm2, rows, m)
        indices[rows], d2[rows] = _ranked(points, rows, candidates, k)
        if m < n - 1:
            unsure = rows[d2[rows, -1] >= reach - error[rows]]
            for row in unsure.split(max(1, _RANKED // (n * dim))):
                indices[row], d2[row] = _ranked(points, row, _all_others(row, n), k)
    return indices, d2


def affinities(points: Tensor, n_neighbors: int, a: float, variant: str) -> tuple[Tensor, Tensor, float]:
    """Eq. (4) of JULE: indices (N, K) int32, weights (N, K) float64 and the squared bandwidth.

    See :func:`clustlib.kernels.affinity_graph`, which checks ``a`` and ``variant``.
    """
    n, _ = _checked(points, n_neighbors)
    wanted = min(max(n_neighbors, 3), n - 1) if variant == "released" else n_neighbors
    indices, d2 = nearest_neighbours(points, wanted)
    sigma2 = a * float(d2.mean())
    if variant == "released":
        sigma2 = magnified(sigma2, d2[:, :1].max().cpu().numpy())
    indices, d2 = indices[:, :n_neighbors].contiguous(), d2[:, :n_neighbors]
    return indices, torch.exp(-d2 / sigma2) if sigma2 > 0 else torch.ones_like(d2), sigma2


def _checked(points: Tensor, k: int) -> tuple[int, int]:
    check_made("points", points, "a tensor", "is_floating_point")
    if points.ndim != 2 or not points.is_floating_point() or not points.shape[1]:
        raise UsageError(f"points must be (N, D) of a floating type, got {points.dtype} {tuple(points.shape)}")
    n, dim = points.shape
    check_k(k, n)
    return n, dim


def _candidates(points: Tensor, norm2: Tensor, rows: Tensor, m: int) -> tuple[Tensor, Tensor]:
    """The m points nearest to each of ``rows`` in float32, and a distance below which none was left out."""
    best = torch.empty((len(rows), 0), dtype=torch.float32, device=points.device)
    candidates = torch.empty((len(rows), 0), dtype=torch.int64, device=points.device)
    for start in range(0, len(points), _COLUMNS):
        columns = slice(start, start + _COLUMNS)
        # |x - y|^2 = |x|^2 + |y|^2 - 2 x y, and |x|^2 is the same for a whole row
        distances = torch.addmm(norm2[columns], points[rows], points[columns].T, alpha=-2)
        own = (rows >= start) & (rows < start + distances.shape[1])
        distances[own, rows[own] - start] = torch.inf
        near, at = _smallest(distances, m)
        best, keep = torch.cat([best, near], dim=1).topk(min(m, best.shape[1] + near.shape[1]), largest=False)
        candidates = torch.cat([candidates, at + start], dim=1).gather(1, keep)
    return candidates, best.amax(dim=1) + norm2[rows]


def _smallest(distances: Tensor, m: int) -> tuple[Tensor, Tensor]:
    """The m smallest of every row and their columns (all columns where there are no more than m)."""
    height, width = distances.shape
    groups = -(-width // _GROUP)
    if groups <= 2 * m:
        return distances.topk(min(m, width), largest=False)
    distances = torch.nn.functional.pad(distances, (0, groups * _GROUP - width), value=torch.inf)
    distances = distances.view(height, groups, _GROUP)
    chosen = distances.amin(dim=2).topk(m, largest=False, sorted=False).indices
    inside = distances.gather(1, chosen[:, :, None].expand(-1, -1, _GROUP)).view(height, m * _GROUP)
    best, at = inside.topk(m, largest=False)
    return best, chosen.gather(1, at // _GROUP) * _GROUP + at % _GROUP


def _all_others(rows: Tensor, n: int) -> Tensor:
    """Every index but the row's own, (R, n - 1)."""
    others = torch.arange(n - 1, device=rows.device).expand(len(rows), -1)
    return others + (others >= rows[:, None])


def _ranked(points: Tensor, rows: Tensor, candidates: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest of each row's candidates by (squared distance in float64, index)."""
    candidates = candidates.sort(dim=1).values
    d2 = torch.empty(candidates.shape, dtype=torch.float64, device=points.device)
    step = max(1, _RANKED // (candidates.shape[1] * points.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        gaps = points[candidates[part]].double() - points[rows[part], None].double()
        torch.sum(gaps.square_(), dim=2, out=d2[part])
    d2, order = d2.sort(dim=1, stable=True)  # stable: equal distances stay in the order of their indices
    return candidates.gather(1, order)[:, :k].int(), d2[:, :k]
