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
# The text and nothing else: Eq. (11) has no hinge, its negatives are K_c nearest images, the rate begins anew in each
# period, Algorithm 1 merges before it trains, and nothing is said of clusters without affinity or of a few images
AS_WRITTEN: dict[str, Any] = {
    "margin": None,
    "negatives": "nearest",
    "n_negatives": 5,
    "reset_rate": True,
    "train_first": False,
    "train_last": True,
    "isolated": "keep",
    "small": "keep",
}
ALL_RELEASED: dict[str, Any] = {
    "gamma": 1.0,
    "gradient": "released",
    "dampening": 0.9,
    "criterion": "released",
    "update": "released_fast",
    "isolated": "released",
    "small": "keep",
    "chains": "released",
    "statistics": "batch",
}
AS_RELEASED = {**ALL_RELEASED, "negatives": "random"}
# What is said otherwise, or done otherwise in the released code: one switch at a time
SWITCHES: dict[str, dict[str, Any]] = {
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
    "random-negatives": {"negatives": "random"},
    "kmeans-start": {"start": "kmeans"},
    "singletons-start": {"start": "singletons"},
    "damped-small-kept": {"dampening": 0.9, "small": "keep"},
    "all-released": ALL_RELEASED,
    "gamma-1.5": {"gamma": 1.5},
    "gamma-3": {"gamma": 3.0},
    **{f"k-c-{k}": {"k_c": k, "negatives": "nearest", "n_negatives": k} for k in (2, 10, 20)},
}
# Section 4.1.2: K_c, of the merges and of the nearest negatives, and gamma were searched on MNIST-test
SEARCHED = {
    "gamma-1": "gamma = 1",
    "gamma-1.5": "gamma = 1.5",
    "default": "gamma = 2",
    "gamma-3": "gamma = 3",
    "k-c-2": "K_c = 2",
    "nearest-negatives": "K_c = 5",
    "k-c-10": "K_c = 10",
    "k-c-20": "K_c = 20",
}
READINGS: dict[str, dict[str, Any]] = {"as-written": AS_WRITTEN, "as-released": AS_RELEASED}
# the text with one element of the released code, and the released code with one of the text
INTO_THE_TEXT: dict[str, dict[str, Any]] = {
    "written-with-margin": {"margin": 0.2},
    "written-with-random-negatives": {"negatives": "random", "n_negatives": 20},
    "written-trained-first": {"train_first": True, "train_last": False},
    "written-rate-not-reset": {"reset_rate": False},
    "written-with-damped-momentum": {"dampening": 0.9},
    "written-with-released-gradient": {"gamma": 1.0, "gradient": "released"},
}
INTO_THE_CODE: dict[str, dict[str, Any]] = {
    "released-without-margin": {"margin": None},
    "released-with-nearest-negatives": {"negatives": "nearest", "n_negatives": 5},
    "released-with-plain-momentum": {"dampening": 0.0},
    "released-with-exact-gradient": {"gamma": 2.0, "gradient": "exact"},
    "released-with-exact-merges": {"criterion": "local", "update": "exact"},
    "released-with-running-statistics": {"statistics": "running"},
}
JULE_VARIANTS = {
    **SWITCHES,
    **READINGS,
    **{name: {**AS_WRITTEN, **element} for name, element in INTO_THE_TEXT.items()},
    **{name: {**AS_RELEASED, **element} for name, element in INTO_THE_CODE.items()},
}
