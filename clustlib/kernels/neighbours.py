"""k nearest neighbours and the directed affinity graph of Eq. (4) of Yang et al. (JULE, CVPR 2016).

Distances are searched in float32 by blocks of one matrix product and then computed again in float64 for the
candidates found, so that neighbours near a tie, far-away data and duplicates come out as in exact arithmetic:
the ``k`` smallest by (squared distance, index). Every backend returns the same arrays. Of more than 100,000 points most
neighbours are found, not all: see :mod:`clustlib.kernels.approximate_neighbours`.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from clustlib import _device
from clustlib._arrays import array_of, check_within
from clustlib._device import on_gpu
from clustlib._validation import check_choice, check_features, check_generator, check_integer, check_number
from clustlib.compiled import njit
from clustlib.errors import UsageError
from clustlib.kernels._neighbour_parts import check_k, magnified, rounding
from clustlib.kernels._ranking import in_threads, rank, rank_all

_BLOCK = 2048  # points a side of one block of distances: 16 MiB, which stays in a level-3 cache
_GROUP = 64  # distances compared at once before any is looked at
MOST_EXACT = 100_000  # points that "auto" compares with one another: some 45 s on two cores


class KnnGraph(NamedTuple):
    """A directed graph with ``K`` edges out of every vertex.

    Attributes
    ----------
    indices : (N, K) int32
        Heads of the edges: the neighbours of each vertex, nearest first, never the vertex itself.
    weights : (N, K) float64
        ``W_ij`` of Eq. (4), in [0, 1].
    sigma2 : float
        The squared bandwidth, in squared units of the features.
    """

    indices: np.ndarray
    weights: np.ndarray
    sigma2: float


def knn(
    X: Any, k: int, *, method: str = "auto", random_state: Any = 0, backend: str = "auto", device: str = "auto"
) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` nearest other points of every point.

    Parameters
    ----------
    X : (N, D) array of numbers or torch tensor
    k : int
        Number of neighbours, 1 <= k <= N - 1.
    method : {"auto", "exact", "approximate"}
        "approximate" looks into as many cells of the space as find .99 of the neighbours of a sample, on the CPU, with
        faiss; :func:`clustlib.kernels.neighbour_recall` measures what was found. "auto" is exact up to 100,000 points,
        and at any size on a GPU or without faiss. A tensor on a GPU is always searched exactly.
    random_state : int, RandomState or None
        Of the approximate search, which does not depend on the number of threads.
    backend : {"auto", "blocks", "faiss", "torch"}
        Where the exact search finds candidates: NumPy's matrix product (each block serves both its rows and its
        columns), ``faiss.IndexFlatL2``, or torch. "auto" takes torch on a GPU and "blocks" otherwise.
    device : {"auto", "cpu", "cuda", ...}
        Device of the torch backend; "auto" is CUDA where there is one. A tensor on a GPU is searched there.

    Returns
    -------
    indices : (N, k) int32
        Ordered by (squared distance, index). A point is excluded by its index, so a duplicate of it is a neighbour.
    d2 : (N, k) float32
        Squared Euclidean distances, in squared units of ``X``. Arrays; of a tensor on a GPU, tensors beside it.

    Raises
    ------
    ValueError
        NaN, infinite, empty or badly shaped input; ``k`` outside [1, N - 1]; an unknown method or backend.
    """
    if on_gpu(getattr(X, "device", None)):
        from clustlib.kernels.torch_neighbours import nearest_neighbours

        nearest: Any = nearest_neighbours(X, k)
        return nearest[0], nearest[1].float()
    indices, d2 = _neighbours(check_features(X, translate=True), k, method, random_state, backend, device)
    return indices, d2.astype(np.float32)


def affinity_graph(
    X: Any,
    n_neighbors: int = 20,
    a: float = 1.0,
    *,
    variant: str = "published",
    method: str = "auto",
    random_state: Any = 0,
    backend: str = "auto",
    device: str = "auto",
) -> KnnGraph:
    """The directed affinity graph of JULE, Eq. (4): ``W_ij = exp(-|x_i - x_j|^2 / sigma^2)`` for j in kNN(i).

    ``sigma^2`` is ``a`` times the mean squared distance over all edges. ``W`` has no self-loops and is not
    symmetrised. If every edge has length zero, every weight is one.

    Parameters
    ----------
    X : (N, D) array or tensor, or the pair (indices, d2) that :func:`knn` returns. The graph of a tensor on a GPU is
        made there and consists of tensors.
    n_neighbors : int
        K_s of the paper. With a pair, its first ``n_neighbors`` columns are used.
    a : float
        Scale of the squared bandwidth, positive.
    variant : {"published", "released"}
        "released" follows the authors' gactoolbox: the bandwidth comes from at least three neighbours and is
        doubled until the weight of every point's nearest neighbour reaches 1e-5.
    method, random_state, backend, device
        See :func:`knn`.

    Raises
    ------
    ValueError
        As :func:`knn`; ``a`` not positive; an unknown variant.
    """
    check_choice("variant", variant, ("published", "released"))
    check_number("a", a)
    if isinstance(X, tuple):
        indices, d2 = _check_neighbours(X, n_neighbors)
    else:
        if on_gpu(getattr(X, "device", None)):
            from clustlib.kernels.torch_neighbours import affinities

            edges: Any = affinities(X, n_neighbors, a, variant)
            return KnnGraph(*edges)
        X = check_features(X, translate=True)
        check_k(n_neighbors, len(X))
        wanted = min(max(n_neighbors, 3), len(X) - 1) if variant == "released" else n_neighbors
        indices, d2 = _neighbours(X, wanted, method, random_state, backend, device)
    bandwidth_d2 = d2 if variant == "released" else d2[:, :n_neighbors]
    sigma2 = a * float(bandwidth_d2.mean())
    if variant == "released":
        sigma2 = magnified(sigma2, d2[:, 0])
    indices, d2 = indices[:, :n_neighbors], d2[:, :n_neighbors]
    weights = np.exp(-d2 / sigma2) if sigma2 > 0 else np.ones_like(d2)  # Eq. (4)
    return KnnGraph(np.ascontiguousarray(indices, np.int32), np.ascontiguousarray(weights), sigma2)


def _check_neighbours(pair: tuple, n_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    check_integer("n_neighbors", n_neighbors, 1)
    if len(pair) != 2:
        raise UsageError(f"neighbours are a pair (indices, d2), got {len(pair)} things")
    indices, d2 = (
        array_of("neighbours", pair[0], "(N, k)", "iu"),
        array_of("neighbours' d2", pair[1], "(N, k)").astype(np.float64),
    )
    if indices.shape != d2.shape:
        raise UsageError(f"neighbours need integer indices and distances of one shape (N, k), got {indices.shape}")
    if indices.shape[1] < n_neighbors:
        raise UsageError(f"n_neighbors={n_neighbors} is more than the {indices.shape[1]} neighbours given")
    check_k(n_neighbors, len(indices))
    check_within("neighbours", indices, len(indices))
    if d2.min() < 0:
        raise UsageError(f"neighbours' d2 must not be negative, got {d2.min()}")
    return indices, d2


def is_exact(method: str, n: int, device: str = "auto") -> bool:
    """Whether a search among ``n`` points in memory, asked for as in :func:`knn`, compares all of them.

    Raises
    ------
    ValueError
        An unknown method.
    """
    check_choice("method", method, ("auto", "exact", "approximate"))
    if method != "auto":
        return method == "exact"
    return n <= MOST_EXACT or find_spec("faiss") is None or _torch_device(device) != "cpu"


def _neighbours(
    X: np.ndarray, k: int, method: str, random_state: Any, backend: str, device: str
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`knn` on checked input, with float64 distances."""
    check_generator(random_state)
    if is_exact(method, len(X), device):
        return _exact_knn(X, k, backend, device)
    from clustlib.kernels.approximate_neighbours import approximate_knn

    _backend(backend, device)
    return approximate_knn(X, k, random_state)


def _exact_knn(X: np.ndarray, k: int, backend: str, device: str) -> tuple[np.ndarray, np.ndarray]:
    n, dim = X.shape
    check_k(k, n)
    k = int(k)
    if on_gpu(device) and backend in ("auto", "torch"):
        return _neighbours_on_gpu(X, k, device)
    search = _backend(backend, device)
    m = min(n - 1, k + max(8, k // 2))
    # Distances do not change with the origin, but the rounding error of |x|^2 + |y|^2 - 2xy grows with it.
    with np.errstate(over="ignore"):
        centred = (X - X.mean(axis=0, dtype=np.float64).astype(X.dtype)).astype(np.float32, copy=False)
        norm2 = np.einsum("ij,ij->i", centred, centred, dtype=np.float32)
    if not np.isfinite(norm2).all() or norm2.max() > 1e37:
        raise UsageError("features are too large: their squared distances overflow float32")
    candidates, reach = search(centred, norm2, m)
    lengths = np.sqrt(norm2).astype(np.float64)
    error = rounding(dim) * (lengths + lengths.max()) ** 2
    indices, d2 = np.empty((n, k), np.int32), np.empty((n, k))
    sure = np.empty(n, np.bool_)
    bound = np.full(n, np.inf) if m == n - 1 else reach - error
    in_threads(n, rank, X, candidates, bound, indices, d2, sure)
    unsure = np.flatnonzero(~sure)
    in_threads(len(unsure), rank_all, X, unsure, indices, d2)
    return indices, d2


def _backend(backend: str, device: str) -> Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]:
    check_choice("backend", backend, ("auto", "blocks", "faiss", "torch"))
    if backend == "auto":
        backend = "torch" if _torch_device(device) != "cpu" else "blocks"
    if backend == "blocks":
        return _search_blocks
    if backend == "faiss":
        return _search_faiss
    return lambda X, norm2, m: _search_torch(X, norm2, m, _torch_device(device))


def _torch_device(device: str) -> str:
    if isinstance(device, str) and (device == "cpu" or (device == "auto" and not _has_cuda_driver())):
        return "cpu"
    return str(_device.resolve(device))


def _has_cuda_driver() -> bool:
    """Whether it is worth the seconds and the memory of importing torch to ask it for a GPU."""
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _neighbours_on_gpu(X: np.ndarray, k: int, device: str) -> tuple[np.ndarray, np.ndarray]:
    """:func:`_exact_knn` on the device, of points on the host."""
    import torch

    from clustlib.kernels.torch_neighbours import nearest_neighbours

    indices, d2 = nearest_neighbours(torch.from_numpy(X).to(_device.resolve(device)), k)
    return indices.cpu().numpy(), d2.cpu().numpy()


# ------------------------------------------------------------------ candidates, in float32
# Each search returns (N, m) int32 candidates without the point itself, and an (N,) lower limit in float32
# arithmetic: no point left out came out nearer than it.


def _search_blocks(X: np.ndarray, norm2: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    n = len(X)
    half = norm2 / 2  # |x - y|^2 / 2 = |x|^2 / 2 + |y|^2 / 2 - xy
    nearest, half_d2 = np.full((n, m), -1, np.int32), np.full((n, m), np.inf, np.float32)
    buffer = np.empty(_BLOCK * _BLOCK, np.float32)
    for rows, columns in tqdm(list(_upper_blocks(n)), unit="block", desc="neighbours", delay=3, leave=False):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        dots = buffer[: height * width].reshape(height, width)
        np.matmul(X[rows], X[columns].T, out=dots)
        if rows == columns:
            np.fill_diagonal(dots, -np.inf)
        block = (dots, half, rows.start, columns.start, nearest, half_d2)
        in_threads(height, _offer_columns, *block)
        if rows != columns:
            in_threads(width, _offer_rows, *block)
    return nearest, 2 * half_d2[:, -1]


def _upper_blocks(n: int) -> Iterator[tuple[slice, slice]]:
    starts = range(0, n, _BLOCK)
    for i in starts:
        for j in starts[starts.index(i) :]:
            yield slice(i, min(n, i + _BLOCK)), slice(j, min(n, j + _BLOCK))


def _search_faiss(X: np.ndarray, norm2: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    import faiss

    index = faiss.IndexFlatL2(X.shape[1])
    index.add(X)
    d2, indices = index.search(X, m + 1)
    indices = indices.astype(np.int32)
    others = indices != np.arange(len(X), dtype=np.int32)[:, None]
    others[others.all(axis=1), -1] = False  # so many duplicates that the point itself was not found
    return indices[others].reshape(len(X), m), d2[:, -1]


def _search_torch(X: np.ndarray, norm2: np.ndarray, m: int, device: str) -> tuple[np.ndarray, np.ndarray]:
    import torch

    points, norms = torch.from_numpy(X).to(device), torch.from_numpy(norm2).to(device)
    nearest, reach = np.empty((len(X), m), np.int32), np.empty(len(X), np.float32)
    for start in range(0, len(X), _BLOCK):
        rows = slice(start, min(len(X), start + _BLOCK))
        d2 = torch.addmm(norms, points[rows], points.T, alpha=-2)
        d2.diagonal(start).fill_(torch.inf)
        best, index = d2.topk(m, largest=False)
        nearest[rows], reach[rows] = index.cpu().numpy(), (best[:, -1] + norms[rows]).cpu().numpy()
    return nearest, reach


@njit(nogil=True)
def _offer_columns(dots, half, row0, column0, nearest, half_d2, lo, hi):
    """Offer each column's point to the rows ``lo:hi`` of a block of dot products."""
    half_j = half[column0 : column0 + dots.shape[1]]
    for r in range(lo, hi):
        i = row0 + r
        worst = half_d2[i, -1]
        for start in range(0, len(half_j), _GROUP):
            row, others = dots[r, start : start + _GROUP], half_j[start : start + _GROUP]
            limit = worst - half[i]
            hits = 0
            for c in range(len(others)):
                hits += others[c] - row[c] < limit
            if hits > 0:
                for c in range(len(others)):
                    new = half[i] + (others[c] - row[c])
                    if new < worst:
                        _insert(nearest[i], half_d2[i], column0 + start + c, new)
                        worst = half_d2[i, -1]


@njit(nogil=True)
def _offer_rows(dots, half, row0, column0, nearest, half_d2, lo, hi):
    """Offer each row's point to the columns ``lo:hi``, reading the block along its rows."""
    half_j = half[column0 : column0 + dots.shape[1]]
    limit = half_d2[column0 : column0 + dots.shape[1], -1] - half_j
    for r in range(dots.shape[0]):
        i = row0 + r
        for start in range(lo, hi, _GROUP):
            stop = min(start + _GROUP, hi)
            row, limits = dots[r, start:stop], limit[start:stop]
            hits = 0
            for c in range(len(limits)):
                hits += half[i] - row[c] < limits[c]
            if hits > 0:
                for c in range(len(limits)):
                    j = column0 + start + c
                    new = half_j[start + c] + (half[i] - row[c])
                    if new < half_d2[j, -1]:
                        _insert(nearest[j], half_d2[j], i, new)
                        limits[c] = half_d2[j, -1] - half_j[start + c]


@njit(nogil=True)
def _insert(nearest, d2, j, new):
    """Put ``j`` at its place in a list sorted by distance; the last one falls off."""
    at = len(d2) - 1
    while at > 0 and d2[at - 1] > new:
        d2[at], nearest[at] = d2[at - 1], nearest[at - 1]
        at -= 1
    d2[at], nearest[at] = new, j
