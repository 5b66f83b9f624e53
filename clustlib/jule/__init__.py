"""JULE (Yang et al., 2016): joint unsupervised learning; its estimators, runs and pages."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["runs", "views"])
