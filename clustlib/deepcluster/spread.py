"""K-means of rows that are spread over processes, as one process would run it."""

import numpy as np
import torch

from clustlib.kernels._lloyd_parts import Split, starting_rows
from clustlib.kernels.lloyd import Clusters, kmeans, lloyd
from clustlib.networks.processes import Processes


def spread_kmeans(
    share: Processes,
    rows: np.ndarray,
    n_rows: int,
    n_clusters: int,
    *,
    n_iter: int,
    seed: int,
    split: Split,
    device: torch.device,
) -> Clusters:
    """The clusters of all processes' rows, in order, on each of them.

    The rows stay where they are; centroids are all-reduced, from the start that one process would choose.

    Parameters
    ----------
    rows : (n, d) float32, of this process. n_rows : of all processes together.
    The others : see :func:`clustlib.kernels.kmeans`.
    """
    if not share.shared:
        return kmeans(rows, n_clusters, n_iter=n_iter, seed=seed, split=split, device=device)
    first = int(np.cumsum([0, *share.gather(np.array([len(rows)]))])[share.rank])
    chosen = starting_rows(n_rows, n_clusters, seed) - first
    mine = np.flatnonzero((chosen >= 0) & (chosen < len(rows)))
    start = torch.zeros(n_clusters, rows.shape[1], device=device)
    local = torch.from_numpy(rows).to(device)
    start[mine] = local[chosen[mine]]
    labels, centroids, objective = lloyd(local, share.total(start), n_iter, split=split, seed=seed, total=share.total)
    return Clusters(share.gather(labels.cpu().numpy()), centroids.cpu().numpy(), objective)
