"""What features are good for beyond the task they were learnt on: downstream protocols."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for readers, type checkers and clustlib.sources; at run time the names come in one by one
    from clustlib.transfer.filters import exciting_images
    from clustlib.transfer.probes import linear_probes
    from clustlib.transfer.retrieval import mean_average_precision, rmac
    from clustlib.transfer.svm import svm_accuracy

_HOME = {
    "exciting_images": "filters",
    "linear_probes": "probes",
    "mean_average_precision": "retrieval",
    "rmac": "retrieval",
    "svm_accuracy": "svm",
}

__all__ = [
    "exciting_images",
    "linear_probes",
    "mean_average_precision",
    "rmac",
    "svm_accuracy",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
