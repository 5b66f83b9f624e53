"""The numeric cores: one function per operation, imported where it is first used."""

from typing import TYPE_CHECKING

from clustlib import _lazy

if TYPE_CHECKING:  # for readers, type checkers and clustlib.sources; at run time the names come in one by one
    from clustlib.kernels.boosting import boosted_target, kl_terms
    from clustlib.kernels.description_length import description_lengths, mutual_edges
    from clustlib.kernels.gsnmf import Penalty, gsnmf_update
    from clustlib.kernels.linkage import MergeTree, graph_linkage, initial_clusters
    from clustlib.kernels.linkage.scores import cluster_affinities, merge_scores
    from clustlib.kernels.lloyd import kmeans
    from clustlib.kernels.neighbours import KnnGraph, affinity_graph, knn
    from clustlib.kernels.power_iteration import power_iteration_clusters
    from clustlib.kernels.sampling import draw_epoch
    from clustlib.kernels.soft_assignment import boosted_kl, soft_assign
    from clustlib.kernels.torch_neighbours import nearest_neighbours
    from clustlib.kernels.triplets import Triplets, sample_triplets, squared_distances, weighted_triplet_loss
    from clustlib.kernels.whitening import Moments, pca_whiten, zca_whitening

_HOME = {
    "KnnGraph": "neighbours",
    "MergeTree": "linkage",
    "Moments": "whitening",
    "Penalty": "gsnmf",
    "Triplets": "triplets",
    "affinity_graph": "neighbours",
    "boosted_kl": "soft_assignment",
    "boosted_target": "boosting",
    "cluster_affinities": "linkage.scores",
    "description_lengths": "description_length",
    "draw_epoch": "sampling",
    "graph_linkage": "linkage",
    "gsnmf_update": "gsnmf",
    "initial_clusters": "linkage",
    "kl_terms": "boosting",
    "kmeans": "lloyd",
    "knn": "neighbours",
    "merge_scores": "linkage.scores",
    "mutual_edges": "description_length",
    "nearest_neighbours": "torch_neighbours",
    "pca_whiten": "whitening",
    "power_iteration_clusters": "power_iteration",
    "sample_triplets": "triplets",
    "soft_assign": "soft_assignment",
    "squared_distances": "triplets",
    "weighted_triplet_loss": "triplets",
    "zca_whitening": "whitening",
}

__all__ = [
    "KnnGraph",
    "MergeTree",
    "Moments",
    "Penalty",
    "Triplets",
    "affinity_graph",
    "boosted_kl",
    "boosted_target",
    "cluster_affinities",
    "description_lengths",
    "draw_epoch",
    "graph_linkage",
    "gsnmf_update",
    "initial_clusters",
    "kl_terms",
    "kmeans",
    "knn",
    "merge_scores",
    "mutual_edges",
    "nearest_neighbours",
    "pca_whiten",
    "power_iteration_clusters",
    "sample_triplets",
    "soft_assign",
    "squared_distances",
    "weighted_triplet_loss",
    "zca_whitening",
]

__getattr__ = _lazy.attributes(__name__, _HOME)
