"""How many clusters there are: the cut of a merge tree by which the graph of neighbours is described in the least.

A partition is worth having if it makes the edges of the k-NN graph cheaper to write down by more than it costs itself:
the description length of the planted partition (Zhang and Peixoto, 2020). Three things are changed for graphs of
neighbours. Only edges between points that are neighbours *of each other* count, since hubs and points between clusters
have edges that nobody returns. Every edge between clusters costs more, by ``EDGE_PRICE`` ln N nats: the model's groups
are random graphs, while the neighbours of points spread evenly over a line or a surface already fall into groups along
it; and in a small folder, where clusters have few points, some edge leads out of each. And three graphs are described,
of all the neighbours that are looked at, half and a quarter of them: in the widest alone small clusters are merged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from clustlib.errors import UsageError
from clustlib.kernels.description_length import description_lengths, mutual_edges
from clustlib.kernels.linkage import MergeTree

EDGE_PRICE = 0.6  # of ln N nats, what an edge between clusters costs more; up to .75 little changes
NEIGHBOUR_SHARES = (1.0, 0.5, 0.25)  # of the neighbours that are looked at, a graph each
FEWEST, MOST = 5, 20  # neighbours that are looked at
FEWEST_IN_TREE = 10  # a tree made of fewer neighbours takes classes apart


@dataclass(frozen=True)
class Estimate:
    """A number of clusters and what it was chosen from.

    Attributes
    ----------
    n_clusters : the number of clusters with the shortest description.
    description_length : (C,) float64, in nats, for 1 to C clusters: the mean of the graphs, each as if it had as many
        edges as the first.
    alternatives : up to two other numbers with shorter descriptions than both their neighbours on that curve, the best
        first.
    """

    n_clusters: int
    description_length: np.ndarray
    alternatives: tuple[int, ...]


def n_neighbors_for(n_samples: int, fewest: int = FEWEST) -> int:
    """How many neighbours of each of ``n_samples`` points are looked at: half the root of their number, 5 to 20.

    For the merge tree itself ``fewest`` is better ``FEWEST_IN_TREE``: classes of ten images are lost in a graph of 20
    neighbours.
    """
    return min(int(np.clip(round(np.sqrt(n_samples) / 2), fewest, MOST)), max(n_samples - 1, 0))


def estimate(tree: MergeTree, neighbours: np.ndarray, *, price: float = EDGE_PRICE) -> Estimate:
    """The number of clusters in which to cut a merge tree.

    Parameters
    ----------
    tree : MergeTree
        As :class:`clustlib.cluster.GraphLinkage` and :func:`clustlib.kernels.graph_linkage` make it.
    neighbours : (N, K) integers
        Nearest neighbours of every sample, nearest first, as :func:`clustlib.kernels.knn` gives them or as
        ``KnnGraph.indices``; the first :func:`n_neighbors_for` of them are used.
    price : float
        What an edge between clusters costs more than the planted partition has it, as a share of ln N nats.

    Raises
    ------
    ValueError
        Neighbours that do not fit the tree's samples.
    """
    neighbours = np.asarray(neighbours)
    n = len(tree.initial)
    if neighbours.ndim != 2 or len(neighbours) != n or neighbours.dtype.kind not in "iu":
        raise UsageError(f"neighbours must be integers of shape ({n}, K), got {neighbours.dtype} {neighbours.shape}")
    length = curve(tree, neighbours, price=price)
    chosen = int(length.argmin()) + 1
    others = [k for k in _local_minima(length) if k != chosen]
    return Estimate(chosen, length, tuple(others[:2]))


def curve(
    tree: MergeTree,
    neighbours: np.ndarray,
    *,
    price: float = EDGE_PRICE,
    shares: Sequence[float] = NEIGHBOUR_SHARES,
    edges_of: Callable[[np.ndarray], np.ndarray] = mutual_edges,
) -> np.ndarray:
    """What :func:`estimate` takes the minimum of, (C,) float64, in nats, for 1 to C clusters.

    Parameters
    ----------
    tree, neighbours, price : as in :func:`estimate`.
    shares : of the neighbours that are looked at, one graph each, at least ``FEWEST``.
    edges_of : makes the edges (E, 2) of a graph out of its neighbours (N, K).
    """
    n = len(tree.initial)
    most = n_neighbors_for(n)
    graphs = [edges_of(neighbours[:, : max(min(FEWEST, most), round(share * most))]) for share in shares]
    there = [edges for edges in graphs if len(edges)] or graphs[:1]
    lengths = [description_lengths(tree, edges, price * np.log(n)) / max(len(edges), 1) for edges in there]
    return np.mean(lengths, axis=0) * max(len(there[0]), 1)


def _local_minima(length: np.ndarray) -> list[int]:
    """Numbers of clusters whose descriptions are shorter than those of one more and one less, the shortest first."""
    walled = np.concatenate([[np.inf], length, [np.inf]])
    low = np.flatnonzero((length < walled[:-2]) & (length < walled[2:]))
    return [int(k) + 1 for k in low[np.argsort(length[low], kind="stable")]]
