"""Deep image clustering, reproduced: the library behind the book's notebooks.

The papers' systems are names of this package, each imported when it is first asked for. Importing ``clustlib`` is
cheap: no torch, no data. It only makes sure that a later ``import torchvision`` works beside a CPU build of torch (see
:mod:`clustlib._torchvision`), and that training does not wait for threads or memory (see :mod:`clustlib._process`).
"""

import lazy_loader

from clustlib import _process, _torchvision

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

_torchvision.install_hook()
_process.follow_openmp()
_process.keep_freed()
