"""What graph linkage does on its way down to few clusters: the page on JULE's MNIST-full rows."""

from typing import Any

import numpy as np

from clustlib import datasets, metrics, records
from clustlib.errors import UsageError
from clustlib.published.tables import choose

LINKAGES = ("gdl", "path", "zeta")
ISOLATED = ("keep", "nearest")
SMALL = 20  # points: no more than a sample's neighbours


def merge_curve(
    dataset: str, linkage: str = "gdl", isolated: str = "keep", variant: str = "released", points: int = 60
) -> dict[str, Any]:
    """One merge tree over a data set's L2-normalised pixels, cut at ``points`` numbers of clusters.

    Parameters
    ----------
    linkage : "gdl", "path" or "zeta". isolated : "keep" leaves clusters without affinity alone, "nearest" joins them
        to the nearest centroid. variant : the graph's, as in :class:`clustlib.cluster.GraphLinkage`.

    Returns
    -------
    Arrays over the cuts, from many clusters to the number of classes: ``clusters`` (M,) int, ``nmi`` (geometric),
    ``largest`` (share of the samples in the largest cluster) and ``small`` (clusters of at most 20 samples). Metrics:
    ``nmi_geometric`` and ``largest_share`` at the number of classes, ``small_clusters`` there,
    ``without_affinity`` (merges made at affinity 0, of all down to one) and ``initial_clusters``.
    """
    from clustlib.cluster import GraphLinkage

    images = datasets.load(dataset)
    n_classes = len(np.unique(images.labels))
    model = GraphLinkage(n_classes, linkage, variant=variant, isolated=isolated)  # type: ignore[arg-type]
    model.fit(images.pixels("l2"))
    cuts = np.unique(np.geomspace(n_classes, model.n_leaves_, points).astype(int))[::-1]
    curve = np.array([_cut(images.labels, model.labels_at(int(k))) for k in cuts])
    return {
        "clusters": cuts,
        "nmi": curve[:, 0],
        "largest": curve[:, 1],
        "small": curve[:, 2].astype(int),
        "nmi_geometric": curve[-1, 0],
        "largest_share": curve[-1, 1],
        "small_clusters": curve[-1, 2],
        "without_affinity": int((model.affinities_ == 0).sum()),
        "initial_clusters": model.n_leaves_,
    }


def _cut(labels: np.ndarray, found: np.ndarray) -> tuple[float, float, float]:
    """NMI, share of the largest cluster, and number of small clusters."""
    sizes = np.bincount(found)
    return metrics.nmi(labels, found, average="geometric"), sizes.max() / len(found), float((sizes <= SMALL).sum())


def _check(
    dataset: str, linkage: str = "gdl", isolated: str = "keep", variant: str = "released", points: int = 60
) -> None:
    """Refuse what cannot be right before any work is done."""
    choose("data set", dataset, datasets.names())
    choose("linkage", linkage, LINKAGES)
    choose("isolated", isolated, ISOLATED)
    choose("variant", variant, ("released", "published"))
    if points < 2:
        raise UsageError(f"points must be at least 2, got {points}")


records.declare(merge_curve, check=_check)
