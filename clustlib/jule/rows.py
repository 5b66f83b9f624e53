"""The rows of JULE's tables: which estimator stands behind each label and its call; the switches of JULE.

The labels are the paper's. Estimators are named by strings so that reading the list imports none.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """The estimator behind a label and what it is called with besides ``n_clusters``."""

    estimator: str  # "module:class"
    options: dict[str, Any] = field(default_factory=dict)
    random: bool = True  # whether the result depends on the seed
    variants: bool = False  # whether the released code differs from the cited paper


ROWS = {
    "K-means": Row("clustlib.cluster.kmeans:KMeans"),
    "SC-NJW": Row("clustlib.cluster.spectral:SpectralNJW", variants=True),
    "SC-ST": Row("clustlib.cluster.spectral:SelfTuningSpectral", variants=True),
    "SC-LS": Row("clustlib.cluster.spectral:LandmarkSpectral", variants=True),
    "N-Cuts": Row("clustlib.cluster.spectral:NormalizedCuts", variants=True),
    "AC-Link": Row("clustlib.cluster.average_linkage:AverageLinkage", random=False),
    "AC-Zell": Row(
        "clustlib.cluster.graph_linkage:GraphLinkage", {"linkage": "zeta", "a": 0.95}, random=False, variants=True
    ),
    "AC-GDL": Row("clustlib.cluster.graph_linkage:GraphLinkage", {"linkage": "gdl"}, random=False, variants=True),
    "AC-PIC": Row("clustlib.cluster.graph_linkage:GraphLinkage", {"linkage": "path"}, random=False, variants=True),
    "NMF-LP": Row("clustlib.cluster.nmf:LocalityPreservingNMF", variants=True),
    "NMF-D": Row("clustlib.cluster.nmf:DeepSemiNMF"),
}
DETERMINISTIC = tuple(label for label, row in ROWS.items() if not row.random)

OURS = ("OURS-SF", "OURS-RC")  # the read-outs of JULE
# Section 4.1.2: eta is 0.2 for faces and 0.9 for all else
UNROLLING = dict.fromkeys(("umist", "umist-112x92", "frgc", "cmu-pie", "ytf", "olivetti"), 0.2)
# What is said otherwise, or done otherwise in the released code: one switch at a time
JULE_VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "gamma-1": {"gamma": 1.0},
    "no-margin": {"margin": 0.0},
    "released-gradient": {"gamma": 1.0, "gradient": "released"},
    "damped-momentum": {"dampening": 0.9},
    "nearest-negatives": {"negatives": "nearest", "n_negatives": 5},
    "affinity-alone": {"criterion": "affinity"},
    "released-criterion": {"criterion": "released"},
    "paper-fast-update": {"update": "paper_fast"},
    "released-fast-update": {"update": "released_fast"},
    "isolated-kept": {"isolated": "keep"},
    "released-rescue": {"isolated": "released"},
    "small-kept": {"small": "keep"},
    "small-absorbed-at-the-end": {"small": "absorb"},
    "cut-chains": {"chains": "released"},
    "batch-statistics": {"statistics": "batch"},
    "reset-rate": {"reset_rate": True},
    "algorithm-1": {"train_first": False, "train_last": True},
    "train-last": {"train_last": True},
    "torch-init": {"init": "torch"},
    "all-released": {
        "gamma": 1.0,
        "gradient": "released",
        "dampening": 0.9,
        "criterion": "released",
        "update": "released_fast",
        "isolated": "released",
        "small": "keep",
        "chains": "released",
        "statistics": "batch",
    },
}
