"""scikit-learn style estimators for the classical rows of the papers' tables."""

from clustlib.cluster.average_linkage import AverageLinkage
from clustlib.cluster.graph_linkage import GraphLinkage
from clustlib.cluster.kmeans import KMeans

__all__ = ["AverageLinkage", "GraphLinkage", "KMeans"]
