"""The classical rows on raw pixels: JULE's tables 3 and 10."""

import importlib
import inspect
from typing import Any

import numpy as np

from clustlib import datasets, kernels, records
from clustlib._validation import check_seed, unit_rows
from clustlib.jule.rows import ROWS, Row
from clustlib.metrics import compact, scores
from clustlib.published.tables import choose

VARIANTS = ("released", "published")


def estimator(row: Row, n_clusters: int, **settings: Any) -> Any:
    """The row's estimator, ready to fit, with those of the settings that it has."""
    module, name = row.estimator.split(":")
    kind = getattr(importlib.import_module(module), name)
    accepted = {name: value for name, value in settings.items() if name in inspect.signature(kind).parameters}
    return kind(n_clusters, **{**accepted, **row.options})


def cluster_pixels(
    dataset: str, method: str, seed: int = 0, variant: str = "released", device: str = "auto"
) -> dict[str, Any]:
    """Cluster a data set's L2-normalised pixels into as many clusters as it has classes (JULE, 4.1.3).

    Parameters
    ----------
    dataset : a registered name. method : a label of ``ROWS``. seed : ``random_state`` of the estimator.
    variant : "released", what the code behind the paper's table computes, or "published", what the
        cited paper describes; only read for rows where the two differ.
    device : where the estimators that can use a GPU run.

    Returns
    -------
    nmi_geometric, nmi_max, accuracy, purity, n_clusters (found), and ``labels`` (N,) uint8 or uint16.
    """
    images = datasets.load(dataset)
    return _clustered(images, images.pixels("l2"), method, random_state=seed, variant=variant, device=device)


def _clustered(images: datasets.ImageSet, rows: np.ndarray, method: str, **settings: Any) -> dict[str, Any]:
    """A row of the table on one vector an image."""
    labels = estimator(ROWS[method], images.n_classes, **settings).fit(rows).labels_
    return {**scores(images.labels, labels), "labels": compact(labels)}


def centred(images: datasets.ImageSet) -> np.ndarray:
    """Each image less the mean image, then scaled to unit length: (N, C H W) float32 rows."""
    rows = images.pixels(None)
    rows -= rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    return unit_rows(rows)


def cluster_centred_pixels(
    dataset: str, method: str, seed: int = 0, variant: str = "released", device: str = "auto"
) -> dict[str, Any]:
    """:func:`cluster_pixels` on :func:`centred` images, which is what the table's values on some sets come from.

    NMF-LP needs rows without negative numbers, and is refused.
    """
    images = datasets.load(dataset)
    return _clustered(images, centred(images), method, random_state=seed, variant=variant, device=device)


def initial_clusters(dataset: str, centre: bool = False) -> dict[str, Any]:
    """The number of initial clusters, JULE's section 3.5.1, of a data set's pixels, as they are or centred."""
    images = datasets.load(dataset)
    graph = kernels.affinity_graph(centred(images) if centre else images.pixels("l2"), device="cpu")
    return {"initial_clusters": float(kernels.initial_clusters(graph).max()) + 1}


def _check(dataset: str, method: str, seed: int = 0, variant: str = "released", **_: Any) -> None:
    """Refuse what cannot be right before any work is done."""
    choose("data set", dataset, datasets.names())
    choose("method", method, ROWS)
    choose("variant", variant, VARIANTS)
    check_seed(seed)


def _uses(params: dict[str, Any]) -> list[str]:
    """The code and the settings that the chosen row adds to a run's sources."""
    row = ROWS[params["method"]]
    return [row.estimator, repr(row)]


def _check_centred(dataset: str, method: str, seed: int = 0, variant: str = "released", **_: Any) -> None:
    """As :func:`_check`, without the row that cannot have negative numbers."""
    choose("method", method, [name for name in ROWS if name != "NMF-LP"])
    _check(dataset, method, seed, variant)


records.declare(cluster_centred_pixels, check=_check_centred, uses=_uses)
records.declare(cluster_pixels, check=_check, uses=_uses)
