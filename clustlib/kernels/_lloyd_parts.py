"""What k-means needs wherever it runs: its checks, its start, and the split of empty clusters."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from clustlib._validation import check_n_clusters
from clustlib.errors import UsageError

Split = Literal["released", "paper"]
_EPSILON = 1 / 1024  # relative perturbation of a split centroid, faiss's
_CHECKED = 1 << 24  # rows looked at together


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
        raise UsageError(f'split must be "released" or "paper", got {split!r}')
    if not all(bool(part.isfinite().all()) for part in points.split(_CHECKED)):
        raise UsageError("features contain NaN or infinite values")


def split_empty(
    centroids: Tensor, sizes: np.ndarray, n_rows: int, split: Split, generator: np.random.RandomState
) -> Tensor:
    """Give every empty cluster half of another's points (Section 3.3)."""
    sizes = sizes.astype(np.float32)
    for empty in np.flatnonzero(sizes == 0):
        donor = _donor_faiss(sizes, n_rows, generator) if split == "released" else _donor_paper(sizes, generator)
        if split == "released":
            sign = torch.ones_like(centroids[donor])
            sign[1::2] = -1
            centroids[empty] = centroids[donor] * (1 + _EPSILON * sign)
            centroids[donor] = centroids[donor] * (1 - _EPSILON * sign)
        else:
            noise = torch.from_numpy(generator.standard_normal(centroids.shape[1])).to(centroids)
            spread = centroids[donor].norm() / centroids.shape[1] ** 0.5
            centroids[empty] = centroids[donor] + _EPSILON * spread * noise
        sizes[empty] = sizes[donor] / 2
        sizes[donor] -= sizes[empty]
    return centroids


def _donor_faiss(sizes: np.ndarray, n_rows: int, generator: np.random.RandomState) -> int:
    """Walk over the clusters until one is taken, each with probability (size - 1) / (N - k)."""
    candidate = 0
    # as many clusters as rows: no cluster has a point to spare, and faiss would walk for ever
    chances = (sizes - 1) / np.float32(n_rows - len(sizes)) if n_rows > len(sizes) else np.ones_like(sizes)
    while True:
        drawn = np.float32(generator.randint(0, 2**32, dtype=np.uint32)) / np.float32(2**32 - 1)
        if drawn < chances[candidate]:
            return candidate
        candidate = (candidate + 1) % len(sizes)


def _donor_paper(sizes: np.ndarray, generator: np.random.RandomState) -> int:
    return int(generator.choice(np.flatnonzero(sizes >= 1)))
