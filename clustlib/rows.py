"""The rows of JULE's tables: which estimator stands behind each label, and how it is called.

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
