"""How the clusters of a training agree with the labels and with those before, beside what chance gives (Figure 2)."""

from typing import Any

import numpy as np

from clustlib import records
from clustlib.deepcluster.runs import training


def agreement(
    dataset: str,
    method: str,
    seed: int = 0,
    n_images: int = 2500,
    epochs: int = 30,
    per_class: int = 10,
    width: float = 0.125,
    batch_size: int = 64,
    device: str = "auto",
    reassign: int = 1,
    dropout: float = 0.5,
    n_components: int = 256,
) -> dict[str, Any]:
    """Figures 2(a) and 2(b), clustering by clustering: the NMI, what chance gives of it, and what is left (adjusted).

    Parameters
    ----------
    dataset : trained on. method : a name of ``SETTINGS`` that is trained with clusters.
    The others : see :func:`clustlib.deepcluster.runs.training.train`.

    Returns
    -------
    For labels and previous: ``nmi_``, ``chance_`` and ``adjusted_<other>_<first or last>``, numbers, and
    ``..._<other>_by_clustering``, arrays, with ``at`` (the epoch of each; the last follows the training), the loss of
    the ``last_loss`` epoch, ``log_k`` (of a guess), and training_seconds.
    """
    run = training.chosen(locals())
    arrays = records.artifact(training.train, dataset=dataset, method=method, seed=seed, device=device, **run)
    at = np.append(np.flatnonzero(~np.isnan(arrays["history.nmi_labels"])), epochs)
    found: dict[str, Any] = {}
    for other in ("labels", "previous"):
        nmi, chance = (_by_clustering(arrays, f"{kind}_{other}", at) for kind in ("nmi", "chance"))
        for name, curve in (("nmi", nmi), ("chance", chance), ("adjusted", (nmi - chance) / (1 - chance))):
            found |= {f"{name}_{other}_first": curve[0], f"{name}_{other}_last": curve[-1]}
            found[f"{name}_{other}_by_clustering"] = curve.astype(np.float32)
    return {
        **found,
        "last_loss": float(arrays["history.loss"][-1]),
        "log_k": float(np.log(np.nanmedian(arrays["history.n_clusters"]))),
        "training_seconds": float(arrays["seconds"]),
        "at": at.astype(np.int64),
        "loss": arrays["history.loss"].astype(np.float32),
    }


def _by_clustering(arrays: dict[str, np.ndarray], name: str, at: np.ndarray) -> np.ndarray:
    """A curve over the clusterings ``at``; without the first where that has none before it."""
    curve = np.append(arrays[f"history.{name}"], arrays[f"final_{name}"])[at]
    return curve[~np.isnan(curve)]


records.declare(agreement, check=training.check_clusters, uses=training.uses)
