"""From vectors to a merge tree or to clusters: the graph of nearest neighbours and what is built on it."""

from typing import Any, NamedTuple

import numpy as np

from clustlib._validation import unit_rows
from clustlib.cluster._rows import identical_rows
from clustlib.cluster.number_of_clusters import FEWEST_IN_TREE, n_neighbors_for
from clustlib.compiled import njit
from clustlib.kernels import (
    KnnGraph,
    MergeTree,
    affinity_graph,
    graph_linkage,
    initial_clusters,
    knn,
    neighbour_recall,
)
from clustlib.kernels.linkage.initial import in_order_of_appearance
from clustlib.kernels.neighbours import is_exact

LINKAGES = ("gdl", "path", "zeta")
_EXACT = 5_000  # images up to which neighbours are searched in the vectors as they are
_PROJECTED = 128  # dimensions in which candidates are searched among more images
_CANDIDATES = 3  # times as many as there are neighbours
_SAMPLE = 4_000  # rows that the directions come from


class Grouped(NamedTuple):
    """Images as points: ``rows`` (n, d) float32 of unit length, their graph, and the tree of merges on it."""

    rows: np.ndarray
    graph: KnnGraph
    tree: MergeTree


def rows_of(vectors: np.ndarray) -> np.ndarray:
    """Unit rows (n, d) float32: of the square roots of activations, or of pixels as they are.

    The square root makes the inner product of two rows the Bhattacharyya coefficient of their activations.
    """
    rows = np.empty(vectors.shape, np.float32)
    for start in range(0, len(vectors), 4096):
        part = vectors[start : start + 4096].astype(np.float32)
        rows[start : start + 4096] = unit_rows(np.sqrt(part) if vectors.dtype == np.float16 else part)
    return rows


def graph_of(rows: np.ndarray, method: str = "auto", seed: int = 0) -> KnnGraph:
    """The graph of 10 to 20 nearest neighbours; of many images, out of candidates near in the principal components.

    ``method`` and ``seed`` are those of the search, see :func:`clustlib.kernels.knn`.
    """
    k = n_neighbors_for(len(rows), FEWEST_IN_TREE)
    if k < 1:
        return KnnGraph(np.empty((len(rows), 0), np.int32), np.empty((len(rows), 0)), 0.0)
    if len(rows) <= _EXACT or rows.shape[1] <= _PROJECTED:
        return affinity_graph(knn(rows, k, method=method, random_state=seed), k)
    candidates = knn(_projected(rows), _CANDIDATES * k, method=method, random_state=seed)[0]
    return affinity_graph(_nearest_of(rows, candidates, k), k)


def _projected(rows: np.ndarray) -> np.ndarray:
    """The rows in the directions in which a sample of them varies most, (n, 128) float32."""
    sample = rows[:: -(-len(rows) // _SAMPLE)]
    mean = sample.mean(axis=0)
    centred = sample - mean
    axes = np.linalg.eigh(centred.T @ centred)[1][:, -_PROJECTED:]
    return rows @ axes - mean @ axes


def _nearest_of(rows: np.ndarray, candidates: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of each row's candidates, and their squared distances, by the rows themselves."""
    d2 = _squared_distances(rows, candidates)
    order = np.argsort(d2, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(candidates, order, axis=1), np.take_along_axis(d2, order, axis=1)


@njit(fastmath={"reassoc", "contract"})
def _squared_distances(rows, heads):
    """From each row to the rows that ``heads`` (n, m) names, (n, m) float64."""
    squared = np.empty(heads.shape)
    for i in range(len(heads)):
        for t in range(heads.shape[1]):
            total = np.float32(0)
            for c in range(rows.shape[1]):
                gap = rows[i, c] - rows[heads[i, t], c]
                total += gap * gap
            squared[i, t] = total
    return squared


def grouped(rows: np.ndarray, linkage: str = "gdl", *, least: int = 1, method: str = "auto", seed: int = 0) -> Grouped:
    """The merge tree of the rows, from the components of first neighbours on.

    Parameters
    ----------
    least : clusters that the tree must be able to give; where first neighbours leave fewer, every image starts alone,
        identical ones together.
    method, seed : how neighbours are searched, see :func:`graph_of`.
    """
    graph = graph_of(rows, method, seed)
    if graph.indices.shape[1] == 0:
        return Grouped(rows, graph, MergeTree(*_no_merges(len(rows))))
    labels = initial_clusters(graph)
    if labels.max() + 1 < least:
        labels = duplicates(rows)
    return Grouped(rows, graph, tree_from(graph, labels, rows, linkage))


def duplicates(rows: np.ndarray) -> np.ndarray:
    """A number for each row, in order of appearance from 0, (n,) int32: identical rows have the same."""
    return in_order_of_appearance(identical_rows(rows))


def recall_note(rows: np.ndarray, graph: KnnGraph, method: str, seed: int) -> tuple[str, ...]:
    """What a person is told of an approximate search: which share of the neighbours it found."""
    if graph.indices.shape[1] == 0 or is_exact(method, len(rows)):
        return ()
    recall = neighbour_recall(rows, graph.indices, random_state=seed)
    tried = min(1000, len(rows))
    return (f"Neighbours were searched approximately: {recall:.3f} of the true ones were found on {tried:,} images.",)


def tree_from(graph: KnnGraph, labels: np.ndarray, rows: np.ndarray, linkage: str = "gdl") -> MergeTree:
    """What the clusters in ``labels`` are merged to, step by step, down to one."""
    if labels.max() == 0:
        return MergeTree(*_no_merges(len(labels)))
    return graph_linkage(graph, labels, linkage=linkage, isolated="nearest", features=rows)


def _no_merges(n: int) -> tuple[np.ndarray, ...]:
    return np.zeros(n, np.int32), np.empty((0, 2), np.int64), np.empty(0), np.empty(0, np.int64)


def by_size(labels: np.ndarray) -> np.ndarray:
    """The same clusters, numbered from 0 by falling size; of equal ones the first to appear comes first."""
    first_seen, first, inverse, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    place = np.empty(len(first_seen), np.int64)
    place[np.lexsort((first, -sizes))] = np.arange(len(first_seen))
    return place[inverse]


class Standing(NamedTuple):
    """How each image stands in its cluster.

    ``score`` (n,): the share, by affinity, of its neighbours that are in its cluster too; ``rank`` (n,): its place in
    the cluster from the most typical on, 1 first; ``next`` (n,): the other cluster of most of its neighbours, or -1.
    """

    score: np.ndarray
    rank: np.ndarray
    next: np.ndarray


def standing(rows: np.ndarray, graph: KnnGraph, labels: np.ndarray) -> Standing:
    """Scores and ranks by the graph, equal scores by the cosine with the mean of the cluster."""
    n, k = len(labels), int(labels.max()) + 1
    shares = np.zeros((n, 0))
    score, other = np.ones(n), np.full(n, -1)
    if graph.indices.shape[1]:
        heads = labels[graph.indices]
        weights = graph.weights / np.maximum(graph.weights.sum(axis=1, keepdims=True), 1e-300)
        score = np.where(heads == labels[:, None], weights, 0).sum(axis=1)
        shares = np.where(heads == labels[:, None], 0, weights)
        other = _most(heads, shares)
    cosine = _cosines(rows, labels, k)
    order = np.lexsort((-cosine, -np.round(score, 2), labels))
    rank = np.empty(n, np.int64)
    starts = np.cumsum(np.bincount(labels, minlength=k)) - np.bincount(labels, minlength=k)
    rank[order] = np.arange(n) - starts[labels[order]] + 1
    return Standing(np.clip(score, 0, 1), rank, other)


def _most(heads: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of every row the value in ``heads`` with the largest sum of weights; -1 where all are zero."""
    totals = np.zeros_like(weights)
    for column in range(heads.shape[1]):
        totals[:, column] = np.where(heads == heads[:, [column]], weights, 0).sum(axis=1)
    best = totals.argmax(axis=1)
    winners = np.take_along_axis(heads, best[:, None], axis=1)[:, 0]
    return np.where(totals.max(axis=1, initial=0) > 0, winners, -1)


def _cosines(rows: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    means = np.zeros((k, rows.shape[1]), np.float32)
    for cluster in range(k):
        means[cluster] = rows[labels == cluster].sum(axis=0, dtype=np.float64)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    cosines = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), 4096):
        part = slice(start, start + 4096)
        cosines[part] = np.einsum("ij,ij->i", rows[part], means[labels[part]])
    return cosines


def vote(known: np.ndarray, labels: np.ndarray, rows: np.ndarray, n_neighbors: int = 10) -> tuple[np.ndarray, Any]:
    """The cluster of new rows by their nearest known ones, each with the inverse of its distance as its weight.

    Returns
    -------
    labels (n,) int64, and the winner's share of the votes (n,). A row that is known has its own cluster.
    """
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(min(n_neighbors, len(known)), weights="distance", algorithm="brute")
    shares = model.fit(known, labels).predict_proba(rows)
    best = shares.argmax(axis=1)
    return model.classes_[best].astype(np.int64), shares[np.arange(len(rows)), best]
