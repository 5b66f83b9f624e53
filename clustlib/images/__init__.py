"""Your own images: a folder in, clusters out, with or without labels, whether or not their number is known."""

from typing import TYPE_CHECKING

from clustlib import _lazy

if TYPE_CHECKING:  # for readers, type checkers and clustlib.sources; at run time the names come in one by one
    from clustlib.images.number_of_clusters import Estimate, estimate

_HOME = {"Estimate": "number_of_clusters", "estimate": "number_of_clusters"}

__all__ = ["Estimate", "estimate"]

__getattr__ = _lazy.attributes(__name__, _HOME)
