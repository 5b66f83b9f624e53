"""``FCN(k)`` as a user calls it, on all images of a set at once, beside k-means on the same activations."""

from typing import Any

import numpy as np

from clustlib import datasets, metrics, records
from clustlib._validation import check_integer, check_seed
from clustlib.fcn.runs import protocol
from clustlib.fcn.runs.protocol import STAND_IN_CNN
from clustlib.published.tables import choose


def cluster_a_folder(
    dataset: str,
    seed: int = 0,
    n_classes: int | None = None,
    n_per_class: int | None = None,
    n_images: int | None = None,
    cnn: str = STAND_IN_CNN,
    size: int = 224,
    n_components: int | None = None,
    init: str = "nndsvd",
    max_iter: int = 50,
    transform_iter: int = 1,
    compare: str = "coefficients",
    device: str = "auto",
) -> dict[str, float]:
    """Fit ``FCN`` to images and compare both its clusterings with their labels.

    Parameters
    ----------
    n_classes, n_per_class : take the first so many classes, and of each the first so many images, as a small folder
        would hold them. n_images : take so many at random (seed 0).
    The others are those of :class:`clustlib.FCN`; :func:`of_the_estimator` has its defaults.

    Returns
    -------
    accuracy, nmi (over the larger entropy) of FCN's clusters; accuracy_activations, nmi_activations of k-means on the
    activations that were factorised; dimension, images.
    """
    from clustlib.fcn.estimator import FCN

    part = chosen(dataset, n_classes, n_per_class, n_images)
    truth = part.labels
    how: dict[str, Any] = {"n_components": n_components, "init": init, "max_iter": max_iter, "device": device}
    how |= {"transform_iter": transform_iter, "compare": compare}
    model = FCN(len(np.unique(truth)), network=cnn, size=size, random_state=seed, **how)
    model.fit_features(protocol.features(part, cnn, size, device=device))
    of = {line["of"]: line["labels"] for line in model.history_ if line["stage"] == "cluster"}
    out = {"dimension": model.embedding_.shape[1], "images": len(truth)}
    for name, labels in {"": model.labels_, "_activations": of["activations"]}.items():
        out[f"accuracy{name}"] = metrics.accuracy(truth, labels)
        out[f"nmi{name}"] = metrics.nmi(truth, labels, average="max")
    return out


def of_the_estimator() -> dict[str, Any]:
    """The defaults of ``FCN`` for what :func:`cluster_a_folder` passes on."""
    from clustlib.fcn.estimator import FCN

    defaults = FCN().get_params()
    return {name: defaults[name] for name in ("n_components", "init", "max_iter", "transform_iter", "compare")}


def chosen(dataset: str, n_classes: int | None, n_per_class: int | None, n_images: int | None) -> protocol.Part:
    """The images of a small folder out of a data set."""
    whole = datasets.load(dataset)
    if n_images is not None:
        whole = whole.take(min(n_images, len(whole)), 0)
    few = np.isin(whole.labels, np.unique(whole.labels)[:n_classes])
    few &= protocol.rank_in_class(whole.labels) < (n_per_class or len(whole))
    return protocol.Part(whole.images[few], whole.labels[few])


def _check(dataset: str, seed: int = 0, transform_iter: int = 1, **_: Any) -> None:
    choose("data set", dataset, datasets.names())
    check_seed(seed)
    check_integer("transform_iter", transform_iter, 0)


records.declare(cluster_a_folder, check=_check)
