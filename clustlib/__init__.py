"""Deep image clustering, reproduced: the library behind the book's notebooks.

Importing ``clustlib`` is cheap: no torch, no data. It only makes sure that a later
``import torchvision`` works beside a CPU build of torch (see :mod:`clustlib._torchvision`), and
that training does not wait for threads or memory (see :mod:`clustlib._threads` and :mod:`clustlib._memory`).
"""

from clustlib import _memory, _threads, _torchvision

__version__ = "0.1.0"

_torchvision.install_hook()
_threads.follow_openmp()
_memory.keep_freed()
