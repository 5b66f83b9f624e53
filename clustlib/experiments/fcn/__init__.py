"""The runs behind the tables and figures of the FCN paper."""

from clustlib.experiments.fcn.clustering import classify_features, cluster_features, embed_features
from clustlib.experiments.fcn.representations import METHODS

__all__ = ["METHODS", "classify_features", "cluster_features", "embed_features"]
