"""Deep image clustering, reproduced: the library behind the book's notebooks.

Importing ``clustlib`` is cheap: no torch, no data. It only makes sure that a later
``import torchvision`` works beside a CPU build of torch (see :mod:`clustlib._torchvision`), and
that numba keeps to the number of threads asked for (see :mod:`clustlib._threads`).
"""

from clustlib import _threads, _torchvision

__version__ = "0.1.0"

_torchvision.install_hook()
_threads.follow_openmp()
