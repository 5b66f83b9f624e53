"""K-means on pixels by every preparation and normalisation of the mutual information: which made a printed cell?"""

from typing import Any, Literal

import numpy as np

from clustlib import datasets, metrics, records
from clustlib.published.tables import choose

PREPARATIONS = ("unit", "l2", "centred", "standardised")
AVERAGES: tuple[Literal["max", "min", "geometric", "arithmetic"], ...] = ("max", "min", "geometric", "arithmetic")


def prepared_pixels(images: datasets.ImageSet, preparation: str) -> np.ndarray:
    """The pixels as (N, D) float32 rows.

    ``preparation`` is "unit" (0..255 as 0..1), "l2" (rows of unit length), "centred" (the mean image taken off, then
    rows of unit length) or "standardised" (each pixel of mean 0 and variance 1; one that never changes stays 0).
    """
    if preparation in ("unit", "l2"):
        return images.pixels(preparation)
    rows = images.pixels("unit")
    rows -= rows.mean(0, dtype=np.float64).astype(np.float32)
    scale = np.linalg.norm(rows, axis=1, keepdims=True) if preparation == "centred" else rows.std(0)
    return rows / np.where(scale > 0, scale, 1)


def kmeans_by_preparation(dataset: str, preparation: str, method: str = "KMS", seed: int = 0) -> dict[str, Any]:
    """K-means on pixels that were prepared in one of four ways.

    Returns
    -------
    accuracy, and ``nmi_<average>`` for each average of the two entropies; with ``_test`` the same on the test images,
    where the data set has such a part.
    """
    from clustlib.cluster.kmeans import KMeans

    images = datasets.load(dataset)
    labels = KMeans(images.n_classes, random_state=seed).fit(prepared_pixels(images, preparation)).labels_
    parts = {"": np.arange(len(images))}
    parts |= {"_test": np.flatnonzero(images.split == "test")} if "test" in images.parts else {}
    told: dict[str, Any] = {}
    for ending, own in parts.items():
        y, p = images.labels[own], labels[own]
        told[f"accuracy{ending}"] = float(metrics.accuracy(y, p))
        told |= {f"nmi_{average}{ending}": float(metrics.nmi(y, p, average=average)) for average in AVERAGES}
    return told


def _check(dataset: str, preparation: str, **_: Any) -> None:
    """Refuse what cannot be right before any work is done."""
    choose("data set", dataset, datasets.names())
    choose("preparation", preparation, PREPARATIONS)


records.declare(kmeans_by_preparation, check=_check)
