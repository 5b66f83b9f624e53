"""Arrays in files, whose space is claimed before they are mapped: a full disk is an error here, not a crash later.

A page of a mapped file that finds no room on the disk when it is first written to ends the process with a SIGBUS.
"""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np

_CHUNK = 1 << 24  # bytes


def mapped_array(path: str | Path, dtype: Any, shape: tuple[int, ...]) -> np.memmap:
    """A new .npy file of zeros, mapped for reading and writing.

    Raises
    ------
    OSError : there is no room for it; no file is left.
    """
    path = Path(path)
    header = np.lib.format.header_data_from_array_1_0(np.empty(0, dtype)) | {"shape": tuple(map(int, shape))}
    try:
        with open(path, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            _claim(file, int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise OSError(error.errno, f"could not write {path}: {error.strerror}") from None
    return np.lib.format.open_memmap(path, "r+")


def _claim(file: Any, size: int) -> None:
    """Make room for ``size`` bytes after what was written; where the system cannot claim them, write zeros."""
    file.flush()
    start = file.tell()
    if size == 0:
        return
    try:
        os.posix_fallocate(file.fileno(), start, size)
    except AttributeError:  # not a POSIX system
        _write_zeros(file, size)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        _write_zeros(file, size)
    file.flush()
    os.fsync(file.fileno())


def _write_zeros(file: Any, size: int) -> None:
    for done in range(0, size, _CHUNK):
        file.write(bytes(min(_CHUNK, size - done)))
