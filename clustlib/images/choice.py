"""How many clusters a run takes, and the curve that speaks for or against it."""

from dataclasses import dataclass, field

import numpy as np

from clustlib.cluster.number_of_clusters import estimate
from clustlib.kernels import KnnGraph, MergeTree


@dataclass(frozen=True)
class Choice:
    """What was chosen and out of what.

    Attributes
    ----------
    n_clusters : the number taken.
    given : whether the user named it.
    lengths : the description length in bits an image, (m,) for 1 to m clusters; empty where there is no graph.
    others : the numbers next best to the best of the curve, best first.
    """

    n_clusters: int
    given: bool = False
    lengths: np.ndarray = field(default_factory=lambda: np.empty(0))
    others: tuple[int, ...] = ()


def choose(tree: MergeTree, graph: KnnGraph, n_clusters: int | None = None) -> Choice:
    """The number of clusters where ``n_clusters`` is None, and in any case the curve."""
    if graph.indices.shape[1] == 0 or tree.n_leaves == 1:
        return Choice(n_clusters or 1, n_clusters is not None)
    estimated = estimate(tree, graph.indices)
    bits = estimated.description_length / len(graph.indices) / np.log(2)
    return Choice(n_clusters or estimated.n_clusters, n_clusters is not None, bits, estimated.alternatives)
