"""Your own images: a folder in, clusters out, with or without labels, whether or not their number is known."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
