"""Your own images: a folder in, clusters out, with or without labels, whether or not their number is known."""

from typing import TYPE_CHECKING

from clustlib import _lazy

if TYPE_CHECKING:  # for readers, type checkers and clustlib.sources; at run time the names come in one by one
    from clustlib.images.clusters import assign, cluster_folder
    from clustlib.images.folder import load_folder
    from clustlib.images.number_of_clusters import Estimate, estimate
    from clustlib.images.outcome import Outcome

_HOME = {
    "Estimate": "number_of_clusters",
    "Outcome": "outcome",
    "assign": "clusters",
    "cluster_folder": "clusters",
    "estimate": "number_of_clusters",
    "load_folder": "folder",
}

__all__ = ["Estimate", "Outcome", "assign", "cluster_folder", "estimate", "load_folder"]

__getattr__ = _lazy.attributes(__name__, _HOME)
