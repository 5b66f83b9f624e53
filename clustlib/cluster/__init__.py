"""scikit-learn style estimators for the classical rows of the papers' tables."""

from clustlib.cluster.average_linkage import AverageLinkage
from clustlib.cluster.graph_linkage import GraphLinkage
from clustlib.cluster.kmeans import KMeans
from clustlib.cluster.nmf import DeepSemiNMF, LocalityPreservingNMF
from clustlib.cluster.spectral import LandmarkSpectral, NormalizedCuts, SelfTuningSpectral, SpectralNJW

__all__ = [
    "AverageLinkage",
    "DeepSemiNMF",
    "GraphLinkage",
    "KMeans",
    "LandmarkSpectral",
    "LocalityPreservingNMF",
    "NormalizedCuts",
    "SelfTuningSpectral",
    "SpectralNJW",
]
