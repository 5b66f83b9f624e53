"""A folder of image files, read one by one: nothing but their names is held in memory."""

import hashlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clustlib.errors import DataMissing

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".webp")


class ImageFolder:
    """The image files below a folder, in the order of their names.

    Parameters
    ----------
    path : the folder; sub-folders are searched. Where all files lie in folders of one level, these are classes.

    Attributes
    ----------
    paths : list of Path
    labels : (N,) int64, the rank of each file's folder; None where files lie in the folder itself.
    unreadable : dict of index to reason; files that were found to be no images when they were read.

    Raises
    ------
    DataMissing : no such folder, or no image file in it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.paths = sorted(file for file in self.path.rglob("*") if file.suffix.lower() in SUFFIXES)
        if not self.paths:
            raise DataMissing(f"{self.path} holds no image files ({', '.join(SUFFIXES)})")
        classes = [file.relative_to(self.path).parts[:-1] for file in self.paths]
        nested = all(classes)
        self.labels = np.unique(["/".join(c) for c in classes], return_inverse=True)[1] if nested else None
        self.unreadable: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def checksum(self) -> str:
        """SHA-256 (hex) of the files' names and sizes: which folder a checkpoint belongs to."""
        total = hashlib.sha256()
        for file in self.paths:
            total.update(f"{file.relative_to(self.path).as_posix()}\0{file.stat().st_size}\n".encode())
        return total.hexdigest()

    def read(self, index: int) -> "Image.Image | None":
        """An image in RGB, whatever its file's mode (grey, CMYK, palette); None, and counted, where it is damaged."""
        from PIL import Image

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # odd EXIF blocks and the like do not concern the pixels
                with Image.open(self.paths[index]) as opened:
                    return opened.convert("RGB")
        except Exception as error:  # decoders raise a dozen types on a damaged file
            self.unreadable[int(index)] = f"{type(error).__name__}: {error}"
            return None
