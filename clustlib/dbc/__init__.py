"""FCAE and DBC (Li et al., 2017): discriminatively boosted clustering; its estimators, runs and pages."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["runs", "search", "views"])
