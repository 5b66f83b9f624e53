"""What a packed file would take unpacked, read from its headers: a small file may not ask for all the memory."""

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from clustlib.datasets.description import DatasetInfo
from clustlib.errors import DataCorrupt

_SLACK = 1 << 24  # bytes for labels, names of classes and headers


def check_room(info: DatasetInfo, path: Path, size: int) -> None:
    """Refuse an array larger than all images of the set in double precision.

    Raises
    ------
    DataCorrupt : names the file and what it asks for.
    """
    most = 8 * info.n_samples * math.prod(info.shape or (1,)) + _SLACK
    if size > most:
        raise DataCorrupt(f"{path} unpacks to {size:,} bytes; {info.name} has at most {most:,}")


def check_npz(info: DatasetInfo, path: Path) -> None:
    """Refuse an .npz file whose arrays together are too large, by their own headers; nothing is unpacked.

    Raises
    ------
    DataCorrupt : too large. ValueError, zipfile.BadZipFile : no .npz file.
    """
    with zipfile.ZipFile(path) as archive:
        total = 0
        for member in archive.infolist():
            with archive.open(member) as file:
                shape, dtype = _header(file)
            total += int(np.prod(shape, dtype=object)) * dtype.itemsize
        check_room(info, path, total)


def _header(file: Any) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype
