"""Data sets: images as they came, with where they are from and how they differ from the papers'.

``load(name)`` looks in ``$CLUSTLIB_DATA``, then in the user cache, then downloads from the set's home with a
pinned checksum. ``python -m clustlib.datasets`` prints what is here and how to get the rest.
"""

import tarfile
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path

from clustlib.datasets import fetch
from clustlib.datasets.description import DataFile, DatasetInfo, Layout
from clustlib.datasets.folders import ImageFolder
from clustlib.datasets.imageset import ImageSet
from clustlib.datasets.registry import info, names
from clustlib.errors import DataCorrupt, OneLine, UsageError

__all__ = [
    "DataFile",
    "DatasetInfo",
    "ImageFolder",
    "ImageSet",
    "Layout",
    "available",
    "folder",
    "info",
    "load",
    "names",
]

_UNREADABLE = (OSError, ValueError, KeyError, IndexError, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError)


def load(name: str) -> ImageSet:
    """A registered set, ready to use.

    Its files' checksums are verified on the first load; the verdict is kept, so that later loads are quick.
    A set that is not on this machine is downloaded, unless the user has to supply it.

    Raises
    ------
    UsageError
        An unknown name (the message lists close ones), or a set that notebooks read image by image.
    DataMissing
        Not on this machine and not to be downloaded; says what to fetch from where and into which folder.
    DataCorrupt
        A file is not what it must be; names it and both checksums.
    """
    known = info(name)
    if known.streamed:
        where = folder(name)
        raise UsageError(f"{name} is too large for one array: the notebooks that need it read it from {where}")
    located = fetch.locate(known)
    if located is None:
        if known.supplied:
            raise fetch.missing(known)
        located = fetch.download(known)
    for path, file in zip(located.paths, located.layout.files):
        fetch.verify(path, file)
    return _read(known, located, located.state)


def folder(name: str) -> Path:
    """Where a set lies that is read image by image (ImageNet and its like).

    Raises
    ------
    DataMissing
        Not on this machine. UsageError: a set that ``load`` returns as a whole, or an unknown name.
    """
    known = info(name)
    if not known.streamed:
        raise UsageError(f"{name} is loaded as a whole: use load({name!r})")
    located = fetch.locate(known)
    if located is None:
        raise fetch.missing(known, "It is read image by image by the notebooks that need it.")
    return located.paths[0]


def available() -> list[str]:
    """The names of the sets that are on this machine, judged by their files' names and sizes."""
    return [name for name in names() if fetch.is_present(info(name))]


@lru_cache(maxsize=2)  # a run loads its set and asks for its checksum: one reading serves both
def _read(known: DatasetInfo, found: fetch.Found, state: tuple) -> ImageSet:
    """Read and check a set; ``state`` makes a changed file a new question."""
    from clustlib.datasets.readers import READERS

    where = " + ".join(map(str, found.paths)) or known.source
    try:
        images = READERS[found.layout.reader](known, found.paths)
    except OneLine as error:
        raise error if isinstance(error, DataCorrupt) else DataCorrupt(f"{where}: {error}") from error
    except _UNREADABLE as error:
        why = " ".join(str(error).split())  # tarfile's messages have several lines
        sums = "".join(f"; sha256 of {path.name} is {fetch.digest(path)}" for path in found.paths if path.is_file())
        raise DataCorrupt(f"{where} cannot be read as {known.title}: {why}{sums}") from error
    _check(known, images, where)
    return images


def _check(known: DatasetInfo, images: ImageSet, where: str) -> None:
    """Compare what was read with what is registered: shape, classes and, unless drawn at random, the count."""
    expected = (known.n_samples if known.exact else len(images), known.shape, known.n_classes)
    got = (len(images), images.shape, images.n_classes)
    if got != expected:
        raise DataCorrupt(f"{where} holds {_described(*got)}; {known.name} is {_described(*expected)}")
    if known.content not in (None, images.checksum):
        raise DataCorrupt(f"{where}: checksum of its images expected {known.content}, found {images.checksum}")


def _described(n: int, shape: tuple[int, int, int] | None, classes: int | None) -> str:
    return f"{n:,} images of {'x'.join(map(str, shape or ()))} in {classes} classes"
