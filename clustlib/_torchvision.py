"""Let ``import torchvision`` work beside a CPU build of torch.

The PyPI wheel of torchvision is built against CUDA torch. Beside a CPU torch its extension
``_C.so`` does not load, and torchvision's own import then fails because two operator schemas
(``nms``, ``qnms``) were never defined. Where the extension loads we leave it alone; where it does
not, we define the two schemas, which is all that the import needs. Compiled operators such as
``torchvision.ops.nms`` stay unavailable there; nothing in this project uses them.
"""

import sys
from importlib.machinery import PathFinder
from pathlib import Path

_library = None  # keeps the defined schemas alive


def _prepare() -> None:
    """Load torchvision's extension, or define the two missing operator schemas."""
    global _library
    spec = PathFinder.find_spec("torchvision")  # located, not imported
    if _library is not None or spec is None or not spec.submodule_search_locations:
        return
    import torch

    for extension in Path(spec.submodule_search_locations[0]).glob("_C*.so"):
        try:
            torch.ops.load_library(str(extension))
            return
        except OSError:
            pass
    _library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        _library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


class _Hook:
    """Runs :func:`_prepare` once, just before torchvision's first import; finds nothing itself."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            _prepare()
        return None


def install_hook() -> None:
    """Arrange for :func:`_prepare` to run before torchvision's first import."""
    if "torchvision" not in sys.modules and not any(isinstance(f, _Hook) for f in sys.meta_path):
        sys.meta_path.insert(0, _Hook())
