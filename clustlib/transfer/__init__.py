"""What features are good for beyond the task they were learnt on: downstream protocols."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
