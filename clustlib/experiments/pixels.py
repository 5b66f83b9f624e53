"""The classical rows on raw pixels: JULE's tables 3 and 10."""

import importlib
import inspect
from typing import Any

import numpy as np

from clustlib import datasets
from clustlib.experiments._checks import check_seed
from clustlib.experiments.scores import scores
from clustlib.published.tables import choose
from clustlib.rows import ROWS, Row

VARIANTS = ("released", "published")


def estimator(row: Row, n_clusters: int, **settings: Any) -> Any:
    """The row's estimator, ready to fit, with those of the settings that it has."""
    module, name = row.estimator.split(":")
    made = getattr(importlib.import_module(module), name)
    accepted = {name: value for name, value in settings.items() if name in inspect.signature(made).parameters}
    return made(n_clusters, **{**accepted, **row.options})


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
    row = ROWS[method]
    images = datasets.load(dataset)
    n_clusters = len(np.unique(images.labels))
    model = estimator(row, n_clusters, random_state=seed, variant=variant, device=device)
    found = model.fit(images.pixels("l2")).labels_
    return {**scores(images.labels, found), "labels": found.astype(np.min_scalar_type(int(found.max())))}


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


cluster_pixels.check = _check  # type: ignore[attr-defined]
cluster_pixels.uses = _uses  # type: ignore[attr-defined]
