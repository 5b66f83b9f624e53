"""What a run found: the clusters of a folder's images, and how they can be cut otherwise."""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from clustlib._validation import check_integer
from clustlib.errors import UsageError
from clustlib.images.choice import Choice
from clustlib.images.grouping import Standing, by_size, standing
from clustlib.kernels import KnnGraph, MergeTree

_KEPT_THUMBNAILS = 6000


@dataclass(frozen=True)
class Outcome:
    """Clusters of a folder's images.

    Attributes
    ----------
    files : relative to the folder, in order.
    labels : (n,) int64 from 0, the largest cluster first; ``clusters.csv`` counts from 1.
    standing : score, rank and next cluster of each image.
    choice : how many clusters, and why.
    tree : merges; where ``exact``, ``labels`` are a cut of it, else its leaves are the clusters themselves.
    skipped : file to (reason, detail).
    settings : what was asked for, JSON values. seconds : by part. notes : sentences for the reader.
    """

    name: str
    files: list[str]
    labels: np.ndarray
    standing: Standing
    choice: Choice
    tree: MergeTree
    exact: bool
    rows: np.ndarray
    graph: KnnGraph
    thumbnails: dict[int, bytes]
    skipped: dict[str, tuple[str, str]]
    settings: dict[str, Any]
    model: dict[str, Any]
    arrays: dict[str, np.ndarray]
    weights: dict[str, Any] | None = None
    truth: list[str] | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def n_clusters(self) -> int:
        """How many clusters there are."""
        return int(self.labels.max()) + 1

    @property
    def counted(self) -> list[tuple[str, int, list[str]]]:
        """(reason, how many, the first files) of what was skipped, most frequent first."""
        reasons = Counter(reason for reason, _ in self.skipped.values())
        return [(r, many, [f for f, (why, _) in self.skipped.items() if why == r]) for r, many in reasons.most_common()]

    def cut(self, n_clusters: int) -> "Outcome":
        """The same run at another number of clusters, from its merge tree.

        Raises
        ------
        UsageError : more clusters than the tree has leaves.
        """
        check_integer("clusters", n_clusters, 1)
        if n_clusters > self.tree.n_leaves:
            more = "" if self.exact else f"; for more, run cluster again with --clusters {n_clusters}"
            raise UsageError(f"this result can be cut into 1 to {self.tree.n_leaves} clusters, not {n_clusters}{more}")
        labels = by_size(self.tree.labels(n_clusters))
        choice = replace(self.choice, n_clusters=n_clusters, given=True)
        settings = {**self.settings, "clusters": n_clusters}
        standings = standing(self.rows, self.graph, labels)
        return replace(self, labels=labels, choice=choice, settings=settings, standing=standings, scores={}, notes=())


def kept_thumbnails(thumbnails: list[bytes], labels: np.ndarray, rank: np.ndarray) -> dict[int, bytes]:
    """Thumbnails of at most 6,000 images: an even share of each cluster, its typical and its least typical ones."""
    if len(thumbnails) <= _KEPT_THUMBNAILS:
        return dict(enumerate(thumbnails))
    sizes = np.bincount(labels)
    share = np.maximum(sizes * _KEPT_THUMBNAILS // len(labels), 12)
    low = rank <= share[labels] * 3 // 4
    high = sizes[labels] - rank < share[labels] // 4
    return {i: thumbnails[i] for i in np.flatnonzero(low | high).tolist()}
