"""A folder of image files, read one by one: nothing but their names is held in memory."""

import copy
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clustlib.datasets.listing import SUFFIXES, list_images
from clustlib.datasets.pictures import Unreadable, content_of, picture
from clustlib.errors import DataMissing

if TYPE_CHECKING:
    from PIL import Image


class ImageFolder:
    """The image files below a folder, in the order of their names.

    Parameters
    ----------
    path : the folder; sub-folders are searched. Where all files lie in folders of one level, these are classes.
    upright : turn each image as its EXIF orientation says.

    Attributes
    ----------
    paths : list of Path
    labels : (N,) int64, the rank of each file's folder; None where files lie in the folder itself.
    class_names : tuple of str, the folders in the order of their ranks; empty where there are no labels.
    skipped : dict of name to reason; what was not taken for an image file (hidden, a dangling link, a pipe, ...).
    unreadable : dict of index to reason; files that were found to be no images when they were read.

    Raises
    ------
    DataMissing : no such folder, or no image file in it.
    """

    def __init__(self, path: str | Path, upright: bool = True) -> None:
        self.path, self.upright = Path(path), upright
        listing = list_images(self.path)
        self.paths = [Path(listing.path(file)) for file in listing.files]
        self.skipped = listing.skipped
        if not self.paths:
            raise DataMissing(f"{self.path} holds no image files ({', '.join(SUFFIXES)})")
        classes = [file.rpartition("/")[0] for file in listing.files]
        self.labels = np.unique(classes, return_inverse=True)[1] if all(classes) else None
        self.class_names = tuple(sorted(set(classes))) if all(classes) else ()
        self.unreadable: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def files(self) -> list[str]:
        """The names below the folder, with forward slashes, in the order of :attr:`paths`."""
        return [file.relative_to(self.path).as_posix() for file in self.paths]

    def only(self, index: np.ndarray) -> "ImageFolder":
        """The same folder with these of its files alone."""
        fewer = copy.copy(self)
        fewer.paths = [self.paths[i] for i in index]
        fewer.labels = None if self.labels is None else self.labels[index]
        fewer.unreadable = {}
        return fewer

    @property
    def checksum(self) -> str:
        """SHA-256 (hex) of the files' names and sizes: which data set this is, on any machine."""
        return self._digest("st_size")

    @property
    def state(self) -> str:
        """SHA-256 (hex) of the names, sizes and times of change: which content a checkpoint belongs to."""
        return self._digest("st_size", "st_mtime_ns")

    def _digest(self, *fields: str) -> str:
        total = hashlib.sha256()
        for file in self.paths:
            said = "gone"
            with suppress(OSError):
                status = file.stat()
                said = " ".join(str(getattr(status, field)) for field in fields)
            total.update(os.fsencode(file.relative_to(self.path).as_posix()) + f"\0{said}\n".encode())
        return total.hexdigest()

    def read(self, index: int) -> "Image.Image | None":
        """An image in RGB and upright, whatever its file's mode; None, and counted, where it cannot be read."""
        try:
            return picture(content_of(self.paths[index]), upright=self.upright)
        except Unreadable as error:
            self.unreadable[int(index)] = str(error)
            return None
