"""What features are good for beyond the task they were learnt on: downstream protocols."""

from typing import TYPE_CHECKING

from clustlib import _lazy

if TYPE_CHECKING:  # for readers, type checkers and clustlib.sources; at run time the names come in one by one
    from clustlib.transfer.coates import image_features, random_patches
    from clustlib.transfer.filters import exciting_images
    from clustlib.transfer.probes import linear_probes
    from clustlib.transfer.retrieval import mean_average_precision, rmac
    from clustlib.transfer.svm import svm_accuracy

_HOME = {
    "exciting_images": "filters",
    "image_features": "coates",
    "linear_probes": "probes",
    "mean_average_precision": "retrieval",
    "random_patches": "coates",
    "rmac": "retrieval",
    "svm_accuracy": "svm",
}

__all__ = [
    "exciting_images",
    "image_features",
    "linear_probes",
    "mean_average_precision",
    "random_patches",
    "rmac",
    "svm_accuracy",
]

__getattr__ = _lazy.attributes(__name__, _HOME)
