"""The four systems, scikit-learn style: ``fit(images)``, ``labels_``, ``embedding_``, ``history_``."""

from typing import TYPE_CHECKING

from clustlib import _lazy

if TYPE_CHECKING:  # for readers, type checkers and clustlib.sources; at run time the names come in one by one
    from clustlib.methods.dbc import DBC
    from clustlib.methods.deep_autoencoder import DeepAutoencoder
    from clustlib.methods.deepcluster import DeepCluster
    from clustlib.methods.ensemble_projection import EnsembleProjection
    from clustlib.methods.fcae import FCAEFeatures
    from clustlib.methods.fcn import FCN
    from clustlib.methods.gsnmf import GSNMF
    from clustlib.methods.jule import JULE
    from clustlib.methods.linear_autoencoder import LinearAutoencoder
    from clustlib.methods.patch_jule import PatchJULE

_HOME = {
    "DBC": "dbc",
    "DeepAutoencoder": "deep_autoencoder",
    "DeepCluster": "deepcluster",
    "EnsembleProjection": "ensemble_projection",
    "FCAEFeatures": "fcae",
    "FCN": "fcn",
    "GSNMF": "gsnmf",
    "JULE": "jule",
    "LinearAutoencoder": "linear_autoencoder",
    "PatchJULE": "patch_jule",
}

__all__ = [
    "DBC",
    "FCN",
    "GSNMF",
    "JULE",
    "DeepAutoencoder",
    "DeepCluster",
    "EnsembleProjection",
    "FCAEFeatures",
    "LinearAutoencoder",
    "PatchJULE",
]

__getattr__ = _lazy.attributes(__name__, _HOME)
