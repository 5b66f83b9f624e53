"""Agglomerative clustering on a directed graph: rows "AC-GDL", "AC-PIC" and "AC-Zell" of JULE's tables."""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin

from clustlib._validation import check_features, check_parameters, choices, integers, numbers, seed_of
from clustlib.checkpoints import Checkpoint, content_hash
from clustlib.cluster._rows import warn_of_few_rows
from clustlib.errors import UsageError

if TYPE_CHECKING:
    from clustlib.kernels import KnnGraph


class GraphLinkage(ClusterMixin, BaseEstimator):
    """Merge small initial clusters, always the two with the largest affinity on a graph of nearest neighbours.

    The graph has an edge from every sample to its ``n_neighbors`` nearest others (Eq. (4) of JULE), the initial
    clusters are the components of the graph of first neighbours, and the whole merge tree is kept.

    Parameters
    ----------
    n_clusters : int or None
        None finds the number: see :func:`clustlib.cluster.number_of_clusters.estimate`.
    linkage : {"gdl", "path", "zeta"}
        Graph degree linkage (Zhang et al., ECCV 2012), the increment of the path integral (Zhang, Zhao and Wang,
        2013) or of the zeta entropy (Zhao and Tang, NIPS 2008).
    n_neighbors : int
        K_s of JULE. With fewer than ``n_neighbors`` + 1 samples all others are neighbours, and a warning says so.
    a : float
        Scale of the squared bandwidth, Eq. (4).
    variant : {"published", "released"}
        "released" is the authors' gactoolbox: the bandwidth is doubled until every sample has a neighbour with a
        weight of 1e-5, path and zeta linkage have self-loops, and isolated clusters are kept.
    update : {"exact", "paper_fast", "released_fast"}
        "gdl": how the affinity of a merged cluster is found. The fast forms are those of JULE's talk and of
        JULE.torch; they save time only where the exact one is not sparse.
    criterion : {"affinity", "local", "released"}
        "gdl": merge by affinity, by Eq. (7) of JULE, or by Eq. (7) as in JULE.torch.
    k_c, weight : int, float
        K_c and lambda of Eq. (7).
    candidates : int, optional
        "gdl": AGDL with that many nearest clusters as candidates.
    z : float
        "path" and "zeta": weight of a step of a walk.
    initial : {"nearest", "singletons"}
        "singletons" starts from every sample alone.
    isolated : {"auto", "nearest", "keep", "released"}
        What becomes of a cluster that has no affinity to any other; see :func:`clustlib.kernels.graph_linkage`.
        "auto" is "nearest" for the published variant and "keep" for the released one.
    neighbor_method : {"auto", "exact", "approximate"}
        How neighbours are searched, see :func:`clustlib.kernels.knn`: "auto" is exact up to 100,000 samples.
    random_state : int, RandomState or None
        Of the approximate search; nothing else is random.
    device : {"auto", "cpu", "cuda", ...}
        Where neighbours are searched. Merging runs on the CPU.
    checkpoint : path, optional
        A file that holds the graph, which takes the time of a large fit: a later fit to the same samples takes it from
        there, with any other linkage, criterion or number of clusters.

    Attributes
    ----------
    labels_ : (n_samples,) int64
    n_clusters_ : int
        ``n_clusters``, or the number that was found.
    tree_ : clustlib.kernels.MergeTree
        ``tree_.linkage_matrix()`` is SciPy's format.
    children_ : (n_leaves_ - 1, 2) int64
        scikit-learn's convention; leaves are the initial clusters.
    affinities_ : (n_leaves_ - 1,) float64
        Affinity at each merge, 0 where there was none.
    n_leaves_ : int
        Number of initial clusters.
    initial_labels_ : (n_samples,) int32
        Leaf of every sample.
    history_ : list of dict
        ``{"stage", "seconds", ...}`` for "graph" (``sigma2``; ``recall``, the share of true neighbours: 1 of an exact
        search, else measured on 1,000 samples), "initial" (``n_clusters``) and "merging" (``without_affinity``: merges
        at affinity 0).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().data
    >>> model = GraphLinkage(10).fit(X / np.linalg.norm(X, axis=1, keepdims=True))
    >>> model.labels_at(12).max()
    11
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_clusters": [integers(1), None],
        "linkage": [choices("gdl", "path", "zeta")],
        "n_neighbors": [integers(1)],
        "a": [numbers(0, closed="neither")],
        "variant": [choices("published", "released")],
        "update": [choices("exact", "paper_fast", "released_fast")],
        "criterion": [choices("affinity", "local", "released")],
        "k_c": [integers(1)],
        "weight": [numbers(0)],
        "candidates": [integers(1), None],
        "z": [numbers(0, 0.1, closed="right")],
        "initial": [choices("nearest", "singletons")],
        "isolated": [choices("auto", "nearest", "keep", "released")],
        "neighbor_method": [choices("auto", "exact", "approximate")],
        "random_state": ["random_state"],
        "device": [str],
        "checkpoint": [str, os.PathLike, None],
    }

    def __init__(
        self,
        n_clusters: int | None = 10,
        linkage: Literal["gdl", "path", "zeta"] = "gdl",
        n_neighbors: int = 20,
        a: float = 1.0,
        *,
        variant: Literal["published", "released"] = "published",
        update: Literal["exact", "paper_fast", "released_fast"] = "exact",
        criterion: Literal["affinity", "local", "released"] = "affinity",
        k_c: int = 5,
        weight: float = 1.0,
        candidates: int | None = None,
        z: float = 0.01,
        initial: Literal["nearest", "singletons"] = "nearest",
        isolated: Literal["auto", "nearest", "keep", "released"] = "auto",
        neighbor_method: Literal["auto", "exact", "approximate"] = "auto",
        random_state: Any = 0,
        device: str = "auto",
        checkpoint: str | Path | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.linkage = linkage
        self.n_neighbors = n_neighbors
        self.a = a
        self.variant = variant
        self.update = update
        self.criterion = criterion
        self.k_c = k_c
        self.weight = weight
        self.candidates = candidates
        self.z = z
        self.initial = initial
        self.isolated = isolated
        self.neighbor_method = neighbor_method
        self.random_state = random_state
        self.device = device
        self.checkpoint = checkpoint

    def fit(self, X: Any, y: Any = None) -> Self:
        """Build the graph and the merge tree of ``X`` (n_samples, n_features) and cut it.

        Raises
        ------
        ValueError
            NaN or infinite values, wrong rank, no samples, fewer samples or initial clusters than ``n_clusters``,
            or an unknown or impossible parameter.
        """
        from clustlib.kernels import graph_linkage, initial_clusters, neighbours

        check_parameters(self)
        n_clusters = 1 if self.n_clusters is None else self.n_clusters
        X = check_features(X, n_clusters, translate=True, estimator=self)
        warn_of_few_rows(n_clusters, X, "identical rows are split")
        self.history_: list[dict[str, Any]] = []
        started = time.perf_counter()
        graph, recall = self._graph(X)
        started = self._note("graph", started, sigma2=graph.sigma2, recall=recall)
        order = np.arange(len(X))
        numbered = graph
        if len(X) > neighbours.MOST_EXACT:  # so many that merging waits for memory rather than computes
            order = _neighbours_together(graph.indices)
            numbered = _renumbered(graph, order)
        alone = self.initial == "singletons" or len(X) == 1
        labels0 = np.arange(len(X)) if alone else initial_clusters(numbered)
        n_leaves = int(labels0.max()) + 1
        started = self._note("initial", started, n_clusters=n_leaves)
        if n_clusters > n_leaves:
            raise UsageError(
                f"n_clusters={n_clusters} is more than the {n_leaves} initial clusters; "
                "initial='singletons' starts from every sample alone"
            )
        tree = graph_linkage(
            numbered,
            labels0,
            linkage=self.linkage,
            update=self.update,
            criterion=self.criterion,
            k_c=self.k_c,
            weight=self.weight,
            candidates=self.candidates,
            z=self.z,
            self_loops=self.variant == "released",
            isolated=self._rescue(),
            features=X if numbered is graph else X[order],
            n_clusters=n_clusters,
        )
        self.tree_ = replace(tree, initial=tree.initial[np.argsort(order)])
        self._note("merging", started, without_affinity=int((self.tree_.heights == 0).sum()))
        self.children_, self.affinities_ = self.tree_.children, self.tree_.heights
        self.n_leaves_, self.initial_labels_ = self.tree_.n_leaves, self.tree_.initial
        self.n_clusters_ = self._estimate(graph.indices) if self.n_clusters is None else n_clusters
        self.labels_ = self.labels_at(self.n_clusters_)
        return self

    def labels_at(self, n_clusters: int) -> np.ndarray:
        """Labels (n_samples,) int64 of the same tree cut at another number of clusters; no new run."""
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        return self.tree_.labels(n_clusters)

    def _graph(self, X: np.ndarray) -> tuple[Any, float]:
        """Eq. (4), and the share of true neighbours in it."""
        from clustlib.kernels import KnnGraph, affinity_graph, neighbour_recall
        from clustlib.kernels.neighbours import is_exact

        if len(X) == 1:
            return KnnGraph(np.empty((1, 0), np.int32), np.empty((1, 0)), 0.0), 1.0
        exact = is_exact(self.neighbor_method, len(X), self.device)
        asked: dict[str, Any] = {"n_neighbors": self._neighbors(len(X)), "a": self.a, "variant": self.variant}
        asked |= {"method": "exact"} if exact else {"method": "approximate", "random_state": seed_of(self.random_state)}
        checkpoint = Checkpoint(self.checkpoint, asked | {"samples": content_hash(X) if self.checkpoint else None})
        state = checkpoint.load()
        if state is not None:
            return KnnGraph(state["indices"].numpy(), state["weights"].numpy(), state["sigma2"]), state["recall"]
        graph = affinity_graph(X, device=self.device, **asked)
        recall = 1.0 if exact else neighbour_recall(X, graph.indices, random_state=asked["random_state"])
        if self.checkpoint:
            import torch

            arrays = {name: torch.from_numpy(getattr(graph, name)) for name in ("indices", "weights")}
            checkpoint.save({**arrays, "sigma2": graph.sigma2, "recall": recall})
        return graph, recall

    def _estimate(self, neighbours: np.ndarray) -> int:
        from clustlib.cluster.number_of_clusters import estimate

        return estimate(self.tree_, neighbours).n_clusters

    def _neighbors(self, n_samples: int) -> int:
        if n_samples <= self.n_neighbors:
            warnings.warn(f"{n_samples} samples have fewer than n_neighbors={self.n_neighbors} others", stacklevel=3)
            return n_samples - 1
        return self.n_neighbors

    def _rescue(self) -> str:
        if self.isolated == "auto":
            return "nearest" if self.variant == "published" else "keep"
        return self.isolated

    def _note(self, stage: str, started: float, **facts: Any) -> float:
        now = time.perf_counter()
        self.history_.append({"stage": stage, "seconds": now - started, **facts})
        return now


def _neighbours_together(indices: np.ndarray) -> np.ndarray:
    """An order (N,) of the samples in which neighbours stand near each other: reverse Cuthill-McKee."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    n, k = indices.shape
    edges = (np.ones(n * k, np.int8), indices.ravel(), np.arange(0, n * k + 1, k))
    return reverse_cuthill_mckee(csr_matrix(edges, shape=(n, n)))


def _renumbered(graph: KnnGraph, order: np.ndarray) -> KnnGraph:
    """The same graph, its vertices numbered by their places in ``order``."""
    place = np.argsort(order).astype(graph.indices.dtype)
    return graph._replace(indices=place[graph.indices[order]], weights=graph.weights[order])
