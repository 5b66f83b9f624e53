"""K-means on the device: the steps of :mod:`clustlib.kernels.lloyd`, without a table of distances.

One pass over the points a step: the nearest centre of each with an arg-min that runs along, then the sums of the
clusters from the points sorted by label. Nothing is added by atomics, so the same input gives the same bits. Points
that do not fit the device stay on the host and come over in batches, which changes the order of the sums and nothing
else.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from clustlib.kernels._lloyd_parts import Split, check_points, identity, split_empty, starting_rows
from clustlib.kernels.cuda.cluster_sums import cluster_sums
from clustlib.kernels.cuda.nearest_centre import nearest_centre

_BATCH = 1 << 20  # points that come over from the host at once


class DeviceClusters(NamedTuple):
    """``labels`` (N,) int64 where the points are, ``centroids`` (k, d) float32 on the device, ``objective`` a step."""

    labels: Tensor
    centroids: Tensor
    objective: list[float]


def kmeans(
    points: Tensor,
    n_clusters: int,
    *,
    n_iter: int = 20,
    seed: int = 0,
    split: Split = "released",
    precision: str = "float32",
    start: Tensor | None = None,
    device: str | torch.device | None = None,
    batch: int = _BATCH,
) -> DeviceClusters:
    """Lloyd's iterations from random points, empty clusters split, as :func:`clustlib.kernels.kmeans` does them.

    Parameters
    ----------
    points : (N, d) float32 or bfloat16, finite; on the device, or on the host.
    split : what becomes of an empty cluster, see :func:`clustlib.kernels.kmeans`.
    precision : of the products of the assignment: "float32", "tf32" or "bfloat16". A squared distance is wrong by at
        most 4 u (|x| + |c|)^2 with u = 2^-24, 2^-11 or 2^-8, and the objective by the mean of that; centroids are
        averages in float32 whatever the precision.
    start : (k, d) first centroids; None draws ``n_clusters`` of the points by ``seed``.
    device : where to compute; None is where the points are.
    batch : how many points are worked on at once when they come from another device.

    Returns
    -------
    Labels of a last assignment to the final centroids; the mean squared distance at every assignment before it.

    Raises
    ------
    ValueError : another shape or dtype, NaN or infinite values, more clusters than points, an unknown choice.

    Notes
    -----
    Workspace beside the points: 24 k d bytes; the larger of what :func:`nearest_centre` states and, with 12 N bytes for
    labels and distances, of what :func:`cluster_sums` states; with points on the host, those of one batch, and the
    batch.
    """
    where = torch.device(device) if device is not None else points.device
    check_points(points, n_clusters, split)  # the precision is refused by the first assignment
    if start is None:
        start = points[torch.from_numpy(starting_rows(len(points), n_clusters, seed)).to(points.device)]
    return DeviceClusters(
        *lloyd(points, start.to(where), n_iter, split=split, seed=seed, precision=precision, batch=batch)
    )


def lloyd(
    points: Tensor,
    centroids: Tensor,
    n_iter: int,
    *,
    split: Split = "released",
    seed: int = 0,
    precision: str = "float32",
    total: Callable[[Tensor], Tensor] = identity,
    batch: int = _BATCH,
) -> tuple[Tensor, Tensor, list[float]]:
    """The iterations of :func:`clustlib.kernels.lloyd.lloyd` where the centroids are; ``total`` sums over processes."""
    where, centroids = centroids.device, centroids.float()
    generator = np.random.RandomState(seed)
    n_points = int(total(torch.tensor(len(points), device=where)))
    objective: list[float] = []
    for _ in range(n_iter):
        before = centroids
        sums, sizes, distance = (total(part) for part in _step(points, centroids, precision, batch))
        objective.append(float(distance) / n_points)
        centroids = sums / sizes.clamp(min=1)[:, None]
        if split == "released":
            generator = np.random.RandomState(1234)  # faiss seeds its splits anew in every iteration
        centroids = split_empty(centroids, sizes.cpu().numpy(), n_points, split, generator)
        if torch.equal(centroids, before):
            break
    labels = [_nearest(part, centroids, precision)[0].to(points.device) for part in _parts(points, where, batch)]
    return torch.cat(labels), centroids, objective


def _parts(points: Tensor, where: torch.device, batch: int) -> Iterator[Tensor]:
    """The points on the device: all at once if they are there, else in batches."""
    if points.device == where:
        yield points
        return
    for part in points.split(batch):
        yield part.to(where, non_blocking=True)


def _nearest(part: Tensor, centroids: Tensor, precision: str) -> tuple[Tensor, Tensor]:
    return nearest_centre(part, centroids.to(part.dtype), precision)


def _step(points: Tensor, centroids: Tensor, precision: str, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sums (k, d) and sizes (k,) of the clusters around the centroids, and the sum of squared distances to them."""
    k, where = len(centroids), centroids.device
    sums = torch.zeros(centroids.shape, dtype=torch.float32, device=where)
    sizes = torch.zeros(k, dtype=torch.int64, device=where)
    distance = torch.zeros((), dtype=torch.float64, device=where)
    for part in _parts(points, where, batch):
        labels, d2 = _nearest(part, centroids, precision)
        own, counts = cluster_sums(part, labels, k)
        sums += own
        sizes += counts
        distance += d2.sum(dtype=torch.float64)
    return sums, sizes, distance
