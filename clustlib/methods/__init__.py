"""The four systems, scikit-learn style: ``fit(images)``, ``labels_``, ``embedding_``, ``history_``."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for readers, type checkers and clustlib.sources; at run time the names come in one by one
    from clustlib.methods.dbc import DBC
    from clustlib.methods.deepcluster import DeepCluster
    from clustlib.methods.ensemble_projection import EnsembleProjection
    from clustlib.methods.fcae import FCAEFeatures
    from clustlib.methods.fcn import FCN
    from clustlib.methods.gsnmf import GSNMF
    from clustlib.methods.jule import JULE
    from clustlib.methods.linear_autoencoder import LinearAutoencoder

_HOME = {
    "DBC": "dbc",
    "DeepCluster": "deepcluster",
    "EnsembleProjection": "ensemble_projection",
    "FCAEFeatures": "fcae",
    "FCN": "fcn",
    "GSNMF": "gsnmf",
    "JULE": "jule",
    "LinearAutoencoder": "linear_autoencoder",
}

__all__ = [
    "DBC",
    "FCN",
    "GSNMF",
    "JULE",
    "DeepCluster",
    "EnsembleProjection",
    "FCAEFeatures",
    "LinearAutoencoder",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
