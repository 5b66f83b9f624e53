"""What every protocol of transfer asks of what it is given; each failure is one clear line."""

from pathlib import Path
from typing import Any

import numpy as np

from clustlib._arrays import array_of, check_made, shown
from clustlib._validation import check_integer, check_number
from clustlib.errors import DataCorrupt, UsageError

LARGEST_SIDE = 1 << 14  # pixels
MOST_CLASSES = 100_000  # a classifier has an output for each


def check_network(network: Any) -> None:
    """Raise :class:`UsageError` unless ``network`` is a :class:`clustlib.networks.convnet.ConvNet`."""
    check_made("network", network, "a ConvNet", "features", "classifier", "stages")


def check_folder(folder: Any) -> None:
    """Raise :class:`UsageError` unless ``folder`` is a :class:`clustlib.datasets.ImageFolder`."""
    check_made("folder", folder, "an ImageFolder", "read", "paths")


def check_source(source: Any) -> None:
    """Raise :class:`UsageError` unless ``source`` gives crops and says which files it cannot read."""
    check_made("source", source, "what clustlib.networks.crops.image_source makes", "random", "unreadable")


def check_side(name: str, value: Any) -> None:
    """Raise :class:`UsageError` unless ``value`` is a number of pixels that an image can have."""
    check_integer(name, value, 1, LARGEST_SIDE)


def check_share(name: str, value: Any) -> None:
    """Raise :class:`UsageError` unless ``value`` is a number from 0 to 1."""
    check_number(name, value, zero=True, most=1)


def sequence_of(name: str, value: Any) -> Any:
    """``value``, a list, a tuple or an array. Raises :class:`UsageError` on anything else."""
    if not isinstance(value, (list, tuple, np.ndarray)) or getattr(value, "ndim", 1) == 0:
        raise UsageError(f"{name} must be a list, got {shown(value)}")
    return value


def boxes_of(boxes: Any, name: str = "boxes") -> np.ndarray:
    """Boxes (r, 4) of finite numbers: left, top, right, bottom; float32 or float64."""
    found = array_of(name, boxes, "(r, 4)")
    return found if found.dtype in (np.float32, np.float64) else found.astype(np.float64)


def text_of(path: Path) -> str:
    """What a file of a data set says. Raises :class:`DataCorrupt` where it is no text."""
    try:
        return path.read_text(encoding="utf-8")
    except ValueError as error:
        raise DataCorrupt(f"{path} is no text in UTF-8: {error}") from None


def check_boxes(parts: Any, name: str = "boxes") -> None:
    """Raise :class:`UsageError` unless parts are (r, 4) finite numbers, right and bottom from left and top on."""
    for part in sequence_of(name, parts):
        found = boxes_of(part, name)
        if (found[:, 2:] < found[:, :2]).any():
            raise UsageError(f"{name}: a box must have its right and bottom from its left and top on")
