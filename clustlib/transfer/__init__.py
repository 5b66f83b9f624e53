"""What features are good for beyond the task they were learnt on: downstream protocols."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for readers, type checkers and clustlib.sources; at run time the names come in one by one
    from clustlib.transfer.svm import svm_accuracy

_HOME = {
    "svm_accuracy": "svm",
}

__all__ = [
    "svm_accuracy",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
