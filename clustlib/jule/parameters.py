"""What JULE's parameters may be, in scikit-learn's terms."""

import os
from typing import Any

from clustlib._validation import choices, integers, numbers

_SWITCH = ["boolean"]
CONSTRAINTS: dict[str, Any] = {
    "n_clusters": [integers(1), None],
    "unrolling_rate": [numbers(0, 1, closed="neither")],
    "n_neighbors": [integers(1)],
    "a": [numbers(0, closed="neither")],
    "criterion": [choices("local", "affinity", "released")],
    "k_c": [integers(1)],
    "weight": [numbers(0)],
    "update": [choices("exact", "paper_fast", "released_fast")],
    "isolated": [choices("nearest", "released", "keep")],
    "small": [choices("throughout", "absorb", "keep")],
    "chains": [choices("published", "released")],
    "gamma": [numbers(0)],
    "margin": [numbers(0), None],
    "negatives": [choices("spread", "random", "nearest")],
    "n_negatives": [integers(1)],
    "gradient": [choices("exact", "released")],
    "epochs": [integers(1)],
    "batch_size": [integers(2)],
    "learning_rate": [numbers(0, closed="neither")],
    "momentum": [numbers(0)],
    "dampening": [numbers(0)],
    "weight_decay": [numbers(0)],
    "reset_rate": _SWITCH,
    "train_first": _SWITCH,
    "train_last": _SWITCH,
    "statistics": [choices("running", "batch")],
    "start": [choices("neighbours", "kmeans", "singletons")],
    "init": [choices("released", "torch")],
    "network": [dict, None],
    "precision": [choices("float32", "bfloat16")],
    "scaled": _SWITCH,
    "neighbor_method": [choices("auto", "exact", "approximate")],
    "random_state": ["random_state"],
    "device": "no_validation",  # clustlib._device.resolve names what is wrong
    "checkpoint": [str, os.PathLike, None],
}
