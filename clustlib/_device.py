"""Which device a computation runs on: one rule for every estimator.

A branch ``if on_gpu(...):`` or ``if on_gpu_with_triton(...):`` is what a GPU does instead. :mod:`clustlib.sources`
leaves such branches out of what a run on the CPU went through: a GPU's kernel can change, and the CPU's records stand.
"""

import ctypes
import os
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from clustlib._arrays import shown
from clustlib.errors import UsageError

if TYPE_CHECKING:
    import torch


def resolve(device: "str | torch.device" = "auto") -> "torch.device":
    """The torch device of ``"auto"`` (CUDA where there is one, else the CPU), ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.

    Raises :class:`UsageError` on a name that is no device, or one that this machine does not have.
    """
    import torch

    if not isinstance(device, (str, torch.device)):
        raise UsageError(f'device must be "auto", "cpu" or "cuda", got {shown(device)}')
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise UsageError(f'device must be "auto", "cpu" or "cuda", got {shown(device)}') from None
    if chosen.type not in ("cpu", "cuda") or (chosen.type == "cpu" and chosen.index):
        raise UsageError(f'device must be "auto", "cpu" or "cuda", got {shown(device)}')
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"device {shown(device)} is not on this machine: {torch.cuda.device_count()} CUDA devices")
    return chosen


@cache
def _has_driver() -> bool:
    """Whether it is worth the seconds and the memory of importing torch to ask it for a GPU."""
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return False
    return True


def on_gpu(what: Any) -> bool:
    """Whether ``what``, an array, a tensor, a device or a device's name, is on a GPU or is one."""
    if isinstance(what, str):
        return what != "cpu" and (what != "auto" or _has_driver()) and resolve(what).type == "cuda"
    return bool(getattr(what, "is_cuda", False)) or getattr(what, "type", None) == "cuda"


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None


def on_gpu_with_triton(what: Any) -> bool:
    """:func:`on_gpu`, where the kernels written in Triton can be compiled too."""
    return on_gpu(what) and _has_triton()
