"""Your own images: a folder in, clusters out, with or without labels, whether or not their number is known."""

from typing import TYPE_CHECKING

from clustlib import _lazy

if TYPE_CHECKING:  # for readers, type checkers and clustlib.sources; at run time the names come in one by one
    from clustlib.images.folder import load_folder
    from clustlib.images.outcome import Outcome
    from clustlib.images.run import assign, cluster_folder

_HOME = {"Outcome": "outcome", "assign": "run", "cluster_folder": "run", "load_folder": "folder"}

__all__ = ["Outcome", "assign", "cluster_folder", "load_folder"]

__getattr__ = _lazy.attributes(__name__, _HOME)
