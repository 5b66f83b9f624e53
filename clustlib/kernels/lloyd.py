"""K-means as DeepCluster runs it: faiss in one process, the same iterations in torch where rows are spread."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from clustlib._device import on_gpu, on_gpu_with_triton, resolve
from clustlib._validation import (
    check_choice,
    check_integer,
    check_n_clusters,
    check_numbers,
    measured_from,
    origin_of,
)
from clustlib.errors import UsageError
from clustlib.kernels._lloyd_parts import Split, check_points, identity, split_empty, starting_rows
from clustlib.kernels._neighbour_parts import far_row

_BLOCK = 1 << 24  # distances held at once by the torch path


class Clusters(NamedTuple):
    """``labels`` (N,) int64, ``centroids`` (k, d) float32, ``objective``: mean squared distance by iteration run."""

    labels: np.ndarray
    centroids: np.ndarray
    objective: list[float]


def kmeans(
    rows: np.ndarray,
    n_clusters: int,
    *,
    n_iter: int = 20,
    seed: int = 0,
    split: Split = "released",
    backend: Literal["auto", "faiss", "torch"] = "auto",
    device: str | torch.device = "cpu",
) -> Clusters:
    """Eq. (2): k-means from random rows, 20 iterations, empty clusters split.

    Parameters
    ----------
    rows : (N, d) float32, finite. A tensor on a GPU is clustered there, and labels and centroids are tensors beside it.
    split : what becomes of an empty cluster. "released": faiss takes a donor with a probability that grows with its
        size and moves both centroids by 1/1024; "paper" (Section 3.3): a non-empty cluster at random, its centroid
        with a small random perturbation. Either way an assignment after the last iteration may leave empty clusters.
    backend : "faiss" (on the GPU where ``device`` is one and faiss has GPUs), "torch", or "auto": on a GPU the kernels
        of :mod:`clustlib.kernels.cuda` (:func:`clustlib.kernels.cuda.lloyd.kmeans` has more choices: the precision of
        the products, the start, the size of a batch); on the CPU faiss if it is installed and ``split="released"``.
    device : where rows of the host are clustered; what does not fit half of a GPU's free memory comes over in batches.

    Raises
    ------
    ValueError : more clusters than rows, an unknown choice, NaN.
    """
    check_integer("n_iter", n_iter, 1, 2**31 - 1)
    check_integer("seed", seed, 0, 2**32 - 1)
    where = resolve(device)
    if on_gpu(rows if isinstance(rows, Tensor) else device) and backend != "faiss":
        return _kmeans_on_gpu(rows, n_clusters, n_iter, seed, split, device)
    points = check_numbers(rows, name="rows")
    check_n_clusters(n_clusters, len(points))
    check_choice("split", split, ("released", "paper"))
    origin = origin_of(points)
    points = measured_from(points, origin).astype(np.float32, copy=False)
    clusters = _kmeans_on_cpu(points, n_clusters, n_iter, seed, split, backend, where)
    return clusters if origin is None else clusters._replace(centroids=(clusters.centroids + origin).astype(np.float32))


def _kmeans_on_cpu(
    rows: np.ndarray, n_clusters: int, n_iter: int, seed: int, split: Split, backend: str, device: torch.device
) -> Clusters:
    start = rows[starting_rows(len(rows), n_clusters, seed)]
    if _with_faiss(backend, split):
        return _kmeans_faiss(rows, start, n_iter, device)
    result = lloyd(
        torch.from_numpy(rows).to(device), torch.from_numpy(start).to(device), n_iter, split=split, seed=seed
    )
    return Clusters(result[0].cpu().numpy(), result[1].cpu().numpy(), result[2])


def _with_faiss(backend: str, split: str) -> bool:
    check_choice("backend", backend, ("auto", "faiss", "torch"))
    if backend == "faiss" and split != "released":
        raise UsageError('faiss splits empty clusters in its own way: split must be "released"')
    if backend != "auto":
        return backend == "faiss"
    from importlib.util import find_spec

    return split == "released" and find_spec("faiss") is not None


def _kmeans_faiss(rows: np.ndarray, start: np.ndarray, n_iter: int, device: torch.device) -> Clusters:
    import faiss

    k, d = start.shape
    index: Any = faiss.IndexFlatL2(d)
    if device.type == "cuda" and hasattr(faiss, "StandardGpuResources"):
        index = faiss.GpuIndexFlatL2(faiss.StandardGpuResources(), d)
    clustering = faiss.Clustering(d, k)
    clustering.niter = int(n_iter)
    clustering.min_points_per_centroid = 1  # a warning otherwise
    clustering.max_points_per_centroid = 10**7  # no subsampling, as released
    faiss.copy_array_to_vector(start.ravel(), clustering.centroids)
    clustering.train(rows, index)
    centroids = faiss.vector_to_array(clustering.centroids).reshape(k, d)
    _, labels = index.search(rows, 1)
    steps: Any = clustering.iteration_stats
    objective = [float(steps.at(i).obj) / len(rows) for i in range(steps.size())]
    return Clusters(labels[:, 0].astype(np.int64), centroids, objective)


def _kmeans_on_gpu(
    rows: Any, n_clusters: int, n_iter: int, seed: int, split: Split, device: str | torch.device
) -> Clusters:
    """:func:`kmeans` on the device of a tensor, or on ``device`` with rows of the host."""
    given = isinstance(rows, Tensor)
    points = rows if given else torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32))
    where = points.device if given else torch.device(device)
    check_points(points, n_clusters, split)
    origin = far_row(points)
    points = points if origin is None else points - origin
    start = points[torch.from_numpy(starting_rows(len(points), n_clusters, seed)).to(points.device)].to(where)
    if on_gpu_with_triton(where):
        from clustlib.kernels.cuda.lloyd import lloyd as iterations

        fits = given or points.nbytes < torch.cuda.mem_get_info(where)[0] // 2
        result = iterations(points.to(where) if fits else points, start, n_iter, split=split, seed=seed)
    else:
        result = lloyd(points.to(where).float(), start.float(), n_iter, split=split, seed=seed)
    centroids = result[1] if origin is None else result[1] + origin.to(result[1])
    kept: list[Any] = [part if given else part.cpu().numpy() for part in (result[0], centroids)]
    return Clusters(kept[0], kept[1], result[2])


def lloyd(
    rows: Tensor,
    centroids: Tensor,
    n_iter: int,
    *,
    split: Split = "released",
    seed: int = 0,
    total: Callable[[Tensor], Tensor] = identity,
) -> tuple[Tensor, Tensor, list[float]]:
    """The iterations on rows that may be spread over processes: ``total`` sums a tensor over them.

    Every process starts from the same centroids and ends with the same; its labels are those of its own rows.
    The steps are faiss's: assign, average, split what is empty; and a last assignment.

    Returns
    -------
    labels (n,) int64, centroids (k, d), and the mean squared distance at each assignment but the last.
    """
    if on_gpu_with_triton(rows):
        from clustlib.kernels.cuda.lloyd import lloyd as on_device

        return on_device(rows, centroids, n_iter, split=split, seed=seed, total=total)
    generator = np.random.RandomState(1234 if split == "released" else seed)
    k, d = centroids.shape
    n_rows = int(total(torch.tensor(len(rows), device=rows.device)))
    objective: list[float] = []
    for _ in range(n_iter):
        before = centroids
        labels, distances = assign(rows, centroids)
        sums = torch.zeros(k, d + 1, dtype=torch.float64, device=rows.device)
        sums[:, :d].index_add_(0, labels, rows.double())
        sums[:, d] = torch.bincount(labels, minlength=k)
        sums = total(sums)
        objective.append(float(total(distances.double().sum())) / n_rows)
        sizes = sums[:, d]
        centroids = (sums[:, :d] / sizes.clamp(min=1)[:, None]).to(rows.dtype)
        if split == "released":
            generator = np.random.RandomState(1234)  # faiss seeds its splits anew in every iteration
        centroids = split_empty(centroids, sizes.cpu().numpy(), n_rows, split, generator)
        if torch.equal(centroids, before):
            break
    return assign(rows, centroids)[0], centroids, objective


def assign(rows: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest centroid of every row and the squared distance to it, in blocks of bounded memory."""
    step = max(1, _BLOCK // len(centroids))
    labels, distances = [], []
    norms = (centroids * centroids).sum(1)
    for block in rows.split(step):
        squared = torch.addmm(norms[None], block, centroids.T, alpha=-2)
        nearest = squared.min(1)
        labels.append(nearest.indices)
        distances.append((nearest.values + (block * block).sum(1)).clamp(min=0))
    return torch.cat(labels), torch.cat(distances)
