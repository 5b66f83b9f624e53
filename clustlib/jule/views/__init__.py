"""What only the pages of JULE draw: from records to cells, pictures and tables."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, ["elements", "embeddings", "faces", "figures", "patches", "settings", "stand_ins", "switches"]
)
