"""The numeric cores: one function per operation, imported where it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for readers, type checkers and clustlib.sources; at run time the names come in one by one
    from clustlib.kernels.boosting import boosted_target, kl_terms
    from clustlib.kernels.gsnmf import Penalty, gsnmf_update
    from clustlib.kernels.linkage import MergeTree, graph_linkage, initial_clusters
    from clustlib.kernels.linkage.scores import cluster_affinities, merge_scores
    from clustlib.kernels.neighbours import KnnGraph, affinity_graph, knn

_HOME = {
    "KnnGraph": "neighbours",
    "MergeTree": "linkage",
    "Penalty": "gsnmf",
    "affinity_graph": "neighbours",
    "boosted_target": "boosting",
    "cluster_affinities": "linkage.scores",
    "graph_linkage": "linkage",
    "gsnmf_update": "gsnmf",
    "initial_clusters": "linkage",
    "kl_terms": "boosting",
    "knn": "neighbours",
    "merge_scores": "linkage.scores",
}

__all__ = [
    "KnnGraph",
    "MergeTree",
    "Penalty",
    "affinity_graph",
    "boosted_target",
    "cluster_affinities",
    "graph_linkage",
    "gsnmf_update",
    "initial_clusters",
    "kl_terms",
    "knn",
    "merge_scores",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
