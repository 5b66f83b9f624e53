"""The runs behind the tables and figures of the FCN paper."""

from clustlib.experiments.fcn.clustering import classify_features, cluster_features, embed_features
from clustlib.experiments.fcn.cost import multiplications, time_pass, time_updates
from clustlib.experiments.fcn.representations import METHODS
from clustlib.experiments.fcn.tables import METRICS, by_dataset, cells_of_settings, choices, compare, penalty_grid
from clustlib.experiments.fcn.usage import components_in_use

__all__ = [
    "METHODS",
    "METRICS",
    "by_dataset",
    "cells_of_settings",
    "choices",
    "classify_features",
    "cluster_features",
    "compare",
    "components_in_use",
    "embed_features",
    "multiplications",
    "penalty_grid",
    "time_pass",
    "time_updates",
]
