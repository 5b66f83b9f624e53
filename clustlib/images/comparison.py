"""The runs behind the guide's page on methods: each as a person calls it, on a folder of a registered set's images."""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from clustlib import datasets, records
from clustlib._validation import check_choice, check_integer, check_seed
from clustlib.errors import PackageMissing, UsageError
from clustlib.images.clusters import METHODS, outcome_of
from clustlib.images.folder import load_folder
from clustlib.images.runs import FEATURES, part_of, scored
from clustlib.images.systems import SYSTEMS
from clustlib.published.tables import choose

PEERS = ("AEC", "DCN", "DEC")  # deep clustering of others, as ClustPy has it with its defaults
LEARNING = (*(name for name, system in SYSTEMS.items() if system.reads == "images"), *PEERS)
PIXELS = 32  # a side, of what the peers see


def cluster_as_folder(
    dataset: str,
    method: str,
    features: str = "cnn",
    known: bool = True,
    size: int = 500,
    seed: int = 0,
    device: str = "auto",
) -> dict[str, float]:
    """Write images of a set to a folder and cluster it, by :func:`clustlib.images.cluster_folder` or by a peer.

    Parameters
    ----------
    dataset : a registered name. size : images that are drawn from larger sets (seed 0).
    method : one of ``clustlib.images.clusters.METHODS``, or of ``PEERS``.
    features : "cnn" or "pixels"; those that learn their own begin with pixels.
    known : whether the number of classes is given. A peer needs it.
    seed : of the method.

    Returns
    -------
    accuracy, nmi_geometric; found, classes, error (log2 of found / classes); seconds_features, seconds_clustering.

    Raises
    ------
    PackageMissing : ClustPy is not installed, where a peer is asked for.
    """
    images = part_of(dataset, size)
    with tempfile.TemporaryDirectory() as place:
        folder, k = _written(images, Path(place) / "images"), images.n_classes if known else None
        if method in PEERS:
            labels, truth, spent = _by_peer(folder, method, images.n_classes, seed, device)
        else:
            how: dict[str, Any] = {"features": features, "labels": "folders", "seed": seed, "device": device}
            how |= {"clusters": k, "method": method, "size": None, "neighbor_method": "auto"}
            made = outcome_of(folder, cache=Path(place) / "cache", verbose=False, **how)
            labels, truth, spent = made.labels, np.unique(made.truth, return_inverse=True)[1], made.seconds  # type: ignore[call-overload]
    return {**scored(truth, labels), **{f"seconds_{part}": float(spent[part]) for part in ("features", "clustering")}}


def _written(images: datasets.ImageSet, folder: Path) -> Path:
    """A folder for each class, and each image in its own as a PNG."""
    from PIL import Image

    for i, (image, label) in enumerate(zip(images.images, images.labels)):
        place = folder / f"{label:04d}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(place / f"{i:06d}.png")
    return folder


def _by_peer(
    folder: Path, method: str, k: int, seed: int, device: str
) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Labels, classes and seconds of a method of ClustPy's, on pixels of mean 0 and variance 1."""
    from clustlib import _device

    try:
        from clustpy import deep
    except ImportError:
        raise PackageMissing("needs clustpy: pip install clustpy==0.0.3") from None
    clock = time.perf_counter()
    images = load_folder(folder, PIXELS, labels="folders", cache=folder.parent / "cache", verbose=False)
    rows = images.images.reshape(len(images), -1).astype(np.float32)
    rows = (rows - rows.mean()) / max(float(rows.std()), 1e-6)
    read = time.perf_counter()
    deep.set_torch_seed(seed)
    with contextlib.redirect_stdout(io.StringIO()):
        model = getattr(deep, method)(k, device=_device.resolve(device), random_state=seed).fit(rows)
    spent = {"features": read - clock, "clustering": time.perf_counter() - read}
    return np.asarray(model.labels_), images.labels, spent


def _check(
    dataset: str, method: str, features: str = "cnn", known: bool = True, size: int = 500, seed: int = 0, **_: Any
) -> None:
    """Refuse what cannot be right before any work is done."""
    choose("data set", dataset, datasets.names())
    choose("method", method, (*METHODS, *PEERS))
    check_choice("features", features, FEATURES)
    check_integer("size", size, 20)
    check_seed(seed)
    if method in LEARNING and features == "cnn":
        raise UsageError(f"{method} learns its own features: features must be 'pixels'")
    if method in PEERS and not known:
        raise UsageError(f"{method} must be told the number of clusters")


records.declare(cluster_as_folder, check=_check)
