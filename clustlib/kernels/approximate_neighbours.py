"""Nearest neighbours of more points than can all be compared: a few cells of the space in place of all of it.

faiss's ``IndexIVFFlat``: k-means on a sample divides the points into 4 sqrt(N) cells, and a point is compared with
those of the cells nearest to it. How many cells, the data say: as many as find .99 of the true neighbours of 1,000
points drawn at random. Points are searched cell by cell, which halves the time. The rival was HNSW, of the same library
(``benchmarks/million.py`` times both): on 50,000 points it took longer to about as good a recall, and its graph depends
on the order in which threads add points, where of cells nothing depends on threads. Candidates are ranked by their
distances in float64, as the exact search ranks its own.
"""

from typing import Any

import numpy as np
from tqdm.auto import tqdm

from clustlib._arrays import array_of, check_within
from clustlib._validation import check_features, check_integer, seed_of
from clustlib.errors import UsageError
from clustlib.kernels._neighbour_parts import check_k, rounding
from clustlib.kernels._ranking import in_threads, rank_all, rank_some

RECALL = 0.99  # share of the true neighbours that a search is to find
_SAMPLED = 1_000  # points whose true neighbours are known
_LEARNT = 50  # points a cell that k-means sees
_ITERATIONS = 8
_FEWEST = 8  # cells looked into
_AT_ONCE = 1 << 16  # points searched between two looks at the progress bar and at the keyboard


def approximate_knn(X: np.ndarray, k: int, random_state: Any = 0) -> tuple[np.ndarray, np.ndarray]:
    """Most of the ``k`` nearest other points of every point, on the CPU.

    Parameters
    ----------
    X : (N, D) floating, as :func:`clustlib._validation.check_features` returns it
    k : int
    random_state : int, RandomState or None
        Of the points that the cells are learnt from and of those that say how many are needed.

    Returns
    -------
    indices : (N, k) int32, ordered by (squared distance, index), never the point itself.
    d2 : (N, k) float64
    """
    check_k(k, len(X))
    k = int(k)
    seed = _seed(random_state)
    points = _centred(X)
    index = _cells(points, seed)
    index.nprobe = _cells_needed(index, X, points, k, seed)
    indices, d2 = np.empty((len(X), k), np.int32), np.empty((len(X), k))
    order = _by_cell(index, points)
    with tqdm(total=len(X), unit="point", desc="neighbours", delay=3, leave=False) as bar:
        for start in range(0, len(X), _AT_ONCE):
            rows = order[start : start + _AT_ONCE]
            indices[rows], d2[rows] = _ranked(X, rows, _search(index, points[rows], k)[1], k)
            bar.update(len(rows))
    short = np.flatnonzero(indices[:, -1] < 0)  # points of cells with fewer than k others
    in_threads(len(short), rank_all, X, short, indices, d2)
    return indices, d2


def neighbour_recall(X: Any, indices: np.ndarray, *, rows: int = _SAMPLED, random_state: Any = 0) -> float:
    """The share of the true nearest neighbours that ``indices`` has, on points drawn at random.

    Parameters
    ----------
    X : (N, D) array of numbers
    indices : (N, k) integers
        Found neighbours of every point.
    rows : int
        Points whose neighbours are searched exactly, all N if there are no more. 1,000 give a standard error of about
        .001 at a recall of .99.
    random_state : int, RandomState or None
        Draws the points; others than those that :func:`clustlib.kernels.knn` chose by with the same number.

    Raises
    ------
    ValueError
        Impossible points or indices.
    """
    X = check_features(X, translate=True)
    check_integer("rows", rows, 1)
    indices = array_of("indices", indices, "(N, k)", "iu")
    if len(indices) != len(X):
        raise UsageError(f"neighbours need integer indices of shape ({len(X)}, k), got {indices.shape}")
    check_k(indices.shape[1], len(X))
    check_within("neighbours", indices, len(X))
    sample = _sample(len(X), rows, _seed(random_state), judging=True)
    return float(_found(X, sample, indices[sample], _farthest(X, _centred(X), sample, indices.shape[1])).mean())


def _seed(random_state: Any) -> int:
    return seed_of(random_state) % 2**31  # faiss and NumPy's generators take no negative numbers


def _centred(X: np.ndarray) -> np.ndarray:
    """Float32 rows around the origin, for the products."""
    return (X - X.mean(axis=0, dtype=np.float64).astype(X.dtype)).astype(np.float32, copy=False)


def _sample(n: int, rows: int, seed: int, judging: bool) -> np.ndarray:
    return np.sort(np.random.default_rng([seed, judging]).permutation(n)[:rows])


def _cells(points: np.ndarray, seed: int) -> Any:
    import faiss

    n, dim = points.shape
    n_cells = max(1, min(int(4 * n**0.5), n // _LEARNT))
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(dim), dim, n_cells)
    index.cp.niter, index.cp.seed = _ITERATIONS, seed
    index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, 2 * _LEARNT
    index.train(points[np.random.default_rng(seed).permutation(n)[: _LEARNT * n_cells]])
    index.add(points)
    return index


def _by_cell(index: Any, points: np.ndarray) -> np.ndarray:
    """The points in the order of their cells: those searched together then read the same memory."""
    return np.argsort(index.quantizer.search(points, 1)[1][:, 0], kind="stable")


def _search(index: Any, points: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances and candidates (n, m): a few more than k, the point itself among them, -1 where there are no more."""
    return index.search(points, min(index.ntotal, k + max(8, k // 2) + 1))


def _cells_needed(index: Any, X: np.ndarray, points: np.ndarray, k: int, seed: int) -> int:
    """How many cells find enough of the sample's neighbours, with two standard errors to spare."""
    sample = _sample(len(X), _SAMPLED, seed, judging=False)
    farthest = _farthest(X, points, sample, k)
    probes = float(_FEWEST)
    while probes < index.nlist:
        index.nprobe = int(probes)
        recall = _found(X, sample, _ranked(X, sample, _search(index, points[sample], k)[1], k)[0], farthest)
        if recall.mean() - 2 * recall.std() / len(sample) ** 0.5 >= RECALL:
            return int(probes)
        probes *= 2**0.5
    return index.nlist


def _farthest(X: np.ndarray, points: np.ndarray, sample: np.ndarray, k: int) -> np.ndarray:
    """The squared distance (n,) of each sampled point to the last of its true neighbours."""
    import faiss

    index = faiss.IndexFlatL2(points.shape[1])
    index.add(points)
    reach, candidates = _search(index, points[sample], k)
    d2 = _ranked(X, sample, candidates, k)[1]
    lengths = np.linalg.norm(points, axis=1).astype(np.float64)
    error = rounding(points.shape[1]) * (lengths[sample] + lengths.max()) ** 2
    unsure = d2[:, -1] >= reach[:, -1] - error if candidates.shape[1] < len(X) else np.zeros(len(sample), bool)
    everything = np.arange(len(X))[None]
    for i in np.flatnonzero(unsure):
        d2[i] = _ranked(X, sample[i : i + 1], everything, k)[1]
    return d2[:, -1]


def _found(X: np.ndarray, rows: np.ndarray, indices: np.ndarray, farthest: np.ndarray) -> np.ndarray:
    """Which share of each row's neighbours are as near as its farthest true one, (n,)."""
    near = _ranked(X, rows, indices, indices.shape[1])[1]
    return (near <= farthest[:, None]).mean(axis=1)


def _ranked(X: np.ndarray, rows: np.ndarray, candidates: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of each row's candidates by (squared distance in float64, index)."""
    indices, d2 = np.empty((len(rows), k), np.int32), np.empty((len(rows), k))
    in_threads(len(rows), rank_some, X, rows, candidates, indices, d2)
    return indices, d2
