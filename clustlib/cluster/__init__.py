"""scikit-learn style estimators for the classical rows of the papers' tables."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
