"""JULE on images less their mean image, the pixels that COIL-20's row of tables 3 and 10 comes from."""

from typing import Any

import numpy as np

from clustlib import datasets, records
from clustlib._validation import check_seed
from clustlib.checkpoints import checkpoint_of
from clustlib.jule.rows import JULE_VARIANTS, OURS
from clustlib.jule.runs import clustering
from clustlib.metrics import compact, scores
from clustlib.published.tables import choose


def shown(images: datasets.ImageSet) -> np.ndarray:
    """The images that the network sees: (N, C, H, W) float32, scaled to [0, 1] and less their mean image."""
    pixels = images.images.astype(np.float32) / 255
    return pixels - pixels.mean(axis=0, dtype=np.float64).astype(np.float32)


def train_centred(
    dataset: str,
    seed: int = 0,
    variant: str = "default",
    epochs: int = 20,
    precision: str = "float32",
    device: str = "auto",
) -> dict[str, np.ndarray]:
    """As :func:`~clustlib.jule.runs.clustering.train_jule` on centred images; a killed fit goes on where it was."""
    checkpoint = checkpoint_of(train_centred, locals())
    images = datasets.load(dataset)
    chosen = {**clustering.settings(dataset, variant, epochs=epochs), "scaled": False}
    model = clustering.fitted(shown(images), images.labels, seed, precision, device, checkpoint, **chosen)
    history = {name: np.array([line[name] for line in model.history_]) for name in ("n_clusters", "nmi", "accuracy")}
    found = {"OURS-SF": model.labels_sf_, "OURS-RC": model.labels_rc_}
    return {**found, "seconds": clustering.seconds_of(model), **history}


def cluster_centred(
    dataset: str,
    method: str,
    seed: int = 0,
    variant: str = "default",
    epochs: int = 20,
    precision: str = "float32",
    device: str = "auto",
) -> dict[str, Any]:
    """JULE's labels on centred images against the classes.

    Parameters as for :func:`clustlib.jule.runs.clustering.joint_clustering`.

    Returns
    -------
    The scores of the labels; ``fit_seconds``; ``labels`` (N,); by period ``n_clusters`` and ``nmi``.
    """
    fit = records.artifact(
        train_centred,
        dataset=dataset,
        seed=seed,
        variant=variant,
        epochs=epochs,
        precision=precision,
        device=device,
    )
    labels = fit[method]
    return {
        **scores(datasets.load(dataset).labels, labels),
        "fit_seconds": float(fit["seconds"]),
        "labels": compact(labels),
        "period_n_clusters": fit["n_clusters"].astype(np.int32),
        "period_nmi": fit["nmi"].astype(np.float32),
    }


def _check(dataset: str, method: str, seed: int = 0, variant: str = "default", **_: Any) -> None:
    """Refuse what cannot be right before any work is done."""
    choose("data set", dataset, datasets.names())
    choose("method", method, OURS)
    choose("variant", variant, JULE_VARIANTS)
    check_seed(seed)


records.declare(cluster_centred, check=_check)
