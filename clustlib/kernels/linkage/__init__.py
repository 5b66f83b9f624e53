"""Agglomerative clustering on a sparse directed graph: graph degree linkage, path integral and zeta linkage."""

from clustlib.kernels.linkage.agglomerate import graph_linkage
from clustlib.kernels.linkage.initial import initial_clusters
from clustlib.kernels.linkage.tree import MergeTree

__all__ = ["MergeTree", "graph_linkage", "initial_clusters"]
