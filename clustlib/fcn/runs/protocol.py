"""Which images the FCN paper's systems learn from and which are clustered, and the CNN features of both."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clustlib import datasets
from clustlib.errors import UsageError

LEARN, CLUSTER = "train", "test"
STAND_IN_CNN = "efficientnet-lite0"


@dataclass(frozen=True)
class Part:
    """Images (N, C, H, W) uint8 and their labels (N,)."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Split:
    """What is learnt from and what is clustered; the same object where nothing is held out."""

    learn: Part
    cluster: Part


def split(dataset: str, n_images: int | None = None, n_learn: int | None = None) -> Split:
    """The images of a data set as section 4.1 divides them.

    MNIST: the first 50,000 training images are learnt from, the 10,000 test images clustered, the 10,000 validation
    images left out. Sets with an official split keep it (MIT-67, Birds-200, Flowers-102, scene-15; validation
    images are left out). COIL-20 is reduced to the paper's 32 x 32; the paper names no split, and all
    of it is learnt from and clustered. Flowers-17 has no split here: of every four images of a class three are
    learnt from, 1,020 in all, as many as Flowers-102 has. Other sets: all of it for both.

    Parameters
    ----------
    n_images : take this many at random first (seed 0), for quick runs; official splits then do not hold.
    n_learn : learn from the first so many only, where less than the whole training split can be afforded.
    """
    whole = datasets.load(dataset)
    if n_images is not None:
        whole = whole.take(min(n_images, len(whole)), 0)
    images, labels = whole.images, whole.labels
    if dataset == "coil-20":
        images = _reduced(images, 32)
    everything = np.arange(len(labels))
    learn, cluster = everything, everything
    if dataset == "mnist" and n_images is None:
        learn, cluster = everything[:50_000], everything[60_000:]
    elif dataset == "flowers-17":
        fourth = rank_in_class(labels) % 4 == 3
        learn, cluster = everything[~fourth], everything[fourth]
    elif whole.split is not None and n_images is None:
        learn, cluster = (np.flatnonzero(whole.split == part) for part in (LEARN, CLUSTER))
    chosen = Part(images[learn[:n_learn]], labels[learn[:n_learn]])
    same = cluster is learn and n_learn is None
    return Split(chosen, chosen if same else Part(images[cluster], labels[cluster]))


def rank_in_class(labels: np.ndarray) -> np.ndarray:
    """Each image's place among those of its class, in the set's order."""
    rank = np.empty(len(labels), int)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        rank[own] = np.arange(len(own))
    return rank


def _reduced(images: np.ndarray, size: int) -> np.ndarray:
    """Images at ``size`` by ``size``, antialiased, uint8."""
    import torch
    from torch.nn.functional import interpolate

    small = interpolate(torch.from_numpy(images.copy()).float(), (size, size), mode="bilinear", antialias=True)
    return small.round_().clamp_(0, 255).byte().numpy()


def feature_folder() -> Path:
    """``features`` in the user's cache, beside the artifacts."""
    from clustlib.records.artifacts import folder

    return folder().parent / "features"


def features(part: Part, cnn: str = STAND_IN_CNN, size: int = 224, hidden: int = 0, device: str = "auto") -> Any:
    """The CNN features (N, M) float32 of a part's images; with ``hidden``, what goes into so many last hidden layers.

    ``cnn="pixels"`` gives the raw pixels in [0, 1] instead, which need no network.
    """
    if cnn == "pixels":
        if hidden:
            raise UsageError("pixels have no hidden layer to fine-tune")
        return part.images.reshape(len(part.images), -1).astype(np.float32) / 255
    from clustlib.fcn.extraction import extract
    from clustlib.fcn.weights import pretrained

    network: Any = pretrained(cnn)
    network.trained_layers = max(hidden, 1)
    # by PyTorch: the numbers of the book are not to hang on whether OpenVINO is installed
    how: dict[str, Any] = {"device": device, "engine": "torch", "cache": feature_folder()}
    return extract(part.images, network, size=size, hidden=hidden > 0, **how)
