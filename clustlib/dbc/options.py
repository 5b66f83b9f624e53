"""What both stages of DBC take for their training, in scikit-learn's terms."""

import os
from typing import Any

from clustlib._validation import choices, integers, numbers
from clustlib.dbc.minibatch import OPTIMIZERS

TRAINING: dict[str, Any] = {
    "epochs": [integers(0)],
    "batch_size": [integers(2)],
    "learning_rate": [numbers(0, closed="neither")],
    "weight_decay": [numbers(0)],
    "optimizer": [choices(*OPTIMIZERS)],
    "random_state": ["random_state"],
    "device": "no_validation",  # clustlib._device.resolve names what is wrong
    "checkpoint": [str, os.PathLike, None],
}
