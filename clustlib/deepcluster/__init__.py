"""DeepCluster (Caron et al., 2018): clusters as labels, in turns; its estimator and runs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["runs", "views"])
