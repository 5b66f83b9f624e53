"""Where k-means may begin: the peaks of density, as the authors of DBC themselves do it elsewhere.

The paper says "k-means centers" and no more. Its reference [7] (Li, Qiao and Zhang, 2016) is by the same authors and
begins k-means at density peaks, an idea of Rodriguez and Laio (2014), the paper's reference [6].
"""

import numpy as np
import torch

_NEAR = 0.02  # share of all pairs that are near: one to two per cent in Rodriguez and Laio
_PAIRS = 1000  # points whose distances tell what is near
_ROWS = 1024


def density_peaks(points: np.ndarray, n_clusters: int) -> np.ndarray:
    """The ``n_clusters`` points of largest density times distance to the nearest denser point, (k, d) float32.

    The density of a point counts the others with a Gaussian weight of their distance. Nothing is random. Memory grows
    with the number of points, time with its square.

    Parameters
    ----------
    points : (N, d) float32, at least two different ones.
    """
    X = torch.from_numpy(np.ascontiguousarray(points, dtype=np.float32))
    rows = X.split(_ROWS)
    sample = X[:: max(1, len(X) // _PAIRS)]
    near = torch.pdist(sample)
    width = near.kthvalue(max(1, int(_NEAR * len(near)))).values.clamp(min=torch.finfo(X.dtype).tiny)
    density = torch.cat([torch.exp(-((torch.cdist(part, X) / width) ** 2)).sum(1) for part in rows])
    # of equals the first counts as denser, so that all but one point have a denser one
    rank = torch.empty(len(X), dtype=torch.long)
    rank[density.argsort(descending=True, stable=True)] = torch.arange(len(X))
    apart = torch.cat([_to_denser(part, ranks, X, rank) for part, ranks in zip(rows, rank.split(_ROWS))])
    apart[rank == 0] = apart[rank > 0].max()
    return X[(density * apart).argsort(descending=True, stable=True)[:n_clusters]].numpy()


def _to_denser(part: torch.Tensor, ranks: torch.Tensor, X: torch.Tensor, rank: torch.Tensor) -> torch.Tensor:
    """The distance of each point to the nearest denser one; infinite for the densest of all."""
    distance = torch.cdist(part, X)
    return distance.masked_fill_(rank[None, :] >= ranks[:, None], torch.inf).amin(1)
