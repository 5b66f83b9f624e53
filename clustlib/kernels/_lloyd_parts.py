"""What k-means needs wherever it runs: its checks, its start, and the split of empty clusters."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from clustlib._arrays import shown
from clustlib._validation import check_n_clusters
from clustlib.errors import UsageError

Split = Literal["released", "paper"]
_EPSILON = 1 / 1024  # relative perturbation of a split centroid, faiss's
_CHECKED = 1 << 30  # numbers looked at together
_AHEAD = 1 << 16  # random numbers drawn together


def identity(values: Tensor) -> Tensor:
    """The sum over processes where there is one."""
    return values


def starting_rows(n_rows: int, n_clusters: int, seed: int) -> np.ndarray:
    """The indices of the rows that are the first centroids, all different."""
    return np.random.default_rng(seed).choice(n_rows, n_clusters, replace=False)


def check_points(points: Tensor, n_clusters: int, split: str) -> None:
    """Refuse what :func:`clustlib.kernels.kmeans` cannot cluster, before it is copied anywhere."""
    if points.ndim != 2 or points.dtype not in (torch.float32, torch.bfloat16):
        raise UsageError(f"points must be (N, d) in float32 or bfloat16, got {points.dtype} {tuple(points.shape)}")
    check_n_clusters(n_clusters, len(points))
    if split not in ("released", "paper"):
        raise UsageError(f'split must be "released" or "paper", got {shown(split)}')
    parts = points.split(max(1, _CHECKED // max(1, points.shape[1])))
    # NaN is passed on to the extremes, and no mask is made
    if not all(bool(extreme.isfinite()) for part in parts for extreme in part.aminmax()):
        raise UsageError("features contain NaN or infinite values")


def split_empty(
    centroids: Tensor, sizes: np.ndarray, n_rows: int, split: Split, generator: np.random.RandomState
) -> Tensor:
    """Give every empty cluster half of another's points (Section 3.3).

    Parameters
    ----------
    centroids : (k, d) floats; changed in place on the CPU. From a device they go to the host and back once, since one
        split follows from those before it.
    sizes : (k,) numbers of points, ``n_rows`` together.
    generator : for "released" it is read ahead, and what is left of it is good for no other use.
    """
    sizes = sizes.astype(np.float32)
    empty = np.flatnonzero(sizes == 0)
    if not len(empty):
        return centroids
    host = centroids.cpu()
    if split == "released":
        _split_as_faiss(host.numpy(), sizes, empty, n_rows, generator)
    else:
        _split_as_stated(host, sizes, empty, generator)
    return host.to(centroids.device)


def _split_as_faiss(
    centroids: np.ndarray, sizes: np.ndarray, empty: np.ndarray, n_rows: int, generator: np.random.RandomState
) -> None:
    """The donor with a probability that grows with its size; it and the empty cluster move apart."""
    step = np.full(centroids.shape[1], _EPSILON, centroids.dtype)
    step[1::2] *= -1
    up, down = 1 + step, 1 - step
    # as many clusters as rows: no cluster has a point to spare, and faiss would walk for ever
    spare = np.float32(n_rows - len(sizes)) if n_rows > len(sizes) else None
    chances = np.ones_like(sizes) if spare is None else (sizes - 1) / spare
    drawn = np.empty(0, np.float32)
    for own in empty:
        donor, drawn = _walk(chances, drawn, generator)
        centroids[own] = centroids[donor] * up
        centroids[donor] *= down
        _halve(sizes, own, donor)
        if spare is not None:
            for changed in (own, donor):
                chances[changed] = (sizes[changed] - 1) / spare


def _walk(chances: np.ndarray, drawn: np.ndarray, generator: np.random.RandomState) -> tuple[int, np.ndarray]:
    """Go round the clusters until one is taken, each with its chance; also the numbers that are still to be used."""
    while True:
        if len(drawn) < len(chances):
            more = generator.randint(0, 2**32, size=max(_AHEAD, len(chances)), dtype=np.uint32)
            drawn = np.concatenate([drawn, more.astype(np.float32) / np.float32(2**32 - 1)])
        taken = drawn[: len(chances)] < chances
        first = int(taken.argmax())
        if taken[first]:
            return first, drawn[first + 1 :]
        drawn = drawn[len(chances) :]


def _split_as_stated(centroids: Tensor, sizes: np.ndarray, empty: np.ndarray, generator: np.random.RandomState) -> None:
    """A non-empty cluster at random as the donor; the empty one gets its centroid with a small perturbation."""
    rows, width = centroids.numpy(), centroids.shape[1]
    donors = np.flatnonzero(sizes >= 1)
    for own in empty:
        donor = donors[generator.randint(0, len(donors))]
        noise = generator.standard_normal(width).astype(rows.dtype)
        spread = centroids[donor].norm().numpy() / rows.dtype.type(width**0.5)
        rows[own] = rows[donor] + _EPSILON * spread * noise
        _halve(sizes, own, donor)
        both = sizes[own] >= 1  # the halves are equal
        donors = np.insert(donors, np.searchsorted(donors, own), own) if both else donors[donors != donor]


def _halve(sizes: np.ndarray, empty: int, donor: int) -> None:
    sizes[empty] = sizes[donor] / 2
    sizes[donor] -= sizes[empty]
