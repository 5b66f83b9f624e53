"""GSNMF-FCN (Gui et al., 2017): a CNN's last hidden layer factorised; its estimators, runs and pages."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["runs", "views"])
