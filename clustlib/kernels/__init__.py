"""The numeric cores: one function per operation, imported where it is first used."""

from importlib import import_module

_HOME = {
    "KnnGraph": "neighbours",
    "affinity_graph": "neighbours",
    "knn": "neighbours",
    "MergeTree": "linkage",
    "graph_linkage": "linkage",
    "initial_clusters": "linkage",
    "boosted_target": "boosting",
    "kl_terms": "boosting",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
