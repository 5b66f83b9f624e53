"""What DeepCluster's parameters may be, in scikit-learn's terms, and the number of clusters where none is given."""

import os
import warnings
from typing import Any

from clustlib._validation import check_n_clusters, choices, integers, numbers

ON_IMAGENET = 10_000  # clusters; the paper's choice, ten times as many as there are classes
CONSTRAINTS: dict[str, Any] = {
    "n_clusters": [integers(1), None],
    "network": [choices("alexnet", "vgg16")],
    "front": [choices("sobel", "rgb")],
    "network_options": [dict, None],
    "image_size": [integers(1), None],
    "epochs": [integers(1)],
    "batch_size": [integers(2)],
    "learning_rate": [numbers(0, closed="neither")],
    "momentum": [numbers(0)],
    "weight_decay": [numbers(0)],
    "dropout": [numbers(0, 1)],
    "n_components": [integers(1)],
    "reassign": [integers(1)],
    "clustering": [choices("kmeans", "pic")],
    "kmeans_iterations": [integers(1)],
    "split": [choices("released", "paper")],
    "sampler": [choices("uniform", "released")],
    "feature_memory": [integers(0, 1 << 62)],  # bytes
    "workers": [integers(0)],
    "precision": [choices("float32", "bfloat16")],
    "random_state": ["random_state"],
    "device": "no_validation",  # clustlib._device.resolve names what is wrong
    "checkpoint": [str, os.PathLike, None],
    "checkpoint_every": [integers(1)],
    "verbose": ["boolean"],
}

_OF_ALL: dict[str, Any] = {
    "front": CONSTRAINTS["front"],
    "width": [numbers(0, 1, closed="right")],
    "dropout": CONSTRAINTS["dropout"],
}
# what ``network_options`` may hold, by network
NETWORK_OPTIONS: dict[str, dict[str, Any]] = {
    "alexnet": {**_OF_ALL, "kernel": [integers(1)], "stride": [integers(1)]},
    "vgg16": _OF_ALL,
}


def number_of_clusters(wanted: int | None, n_images: int) -> int:
    """The number asked for; the paper's where none is, or a tenth of the images, said, where these are fewer."""
    if wanted is None and n_images < ON_IMAGENET:
        most = max(1, n_images // 10)
        warnings.warn(f"{n_images} images are put into {most} clusters in place of {ON_IMAGENET:,}", stacklevel=3)
        return most
    wanted = ON_IMAGENET if wanted is None else int(wanted)
    check_n_clusters(wanted, n_images)
    return wanted
