"""A folder of images as an :class:`~clustlib.datasets.ImageSet`."""

from pathlib import Path
from typing import Any

import numpy as np

from clustlib._validation import check_choice, check_integer
from clustlib.datasets.imageset import ImageSet
from clustlib.datasets.listing import list_images
from clustlib.errors import DataMissing
from clustlib.images.features import look, pixels_maker
from clustlib.images.store import Store

LARGEST_SIZE = 4096  # pixels a side: an image has 50 MB then


def load_folder(
    folder: str | Path,
    size: int = 64,
    *,
    labels: str | None = None,
    cache: str | Path | None = None,
    verbose: bool = True,
) -> ImageSet:
    """The images below a folder, each cut to its middle square and resized.

    Parameters
    ----------
    size : pixels a side.
    labels : "folders" takes the folder that each image lies in as its label; None gives none.
    cache : the database that keeps what was decoded; None is that of the user.
    verbose : show progress.

    Returns
    -------
    ImageSet : (N, C, size, size) uint8 with ``files``; one channel if all images are grey. ``labels`` may be None.

    Raises
    ------
    DataMissing : no such folder, or no image in it that can be read. UsageError : a parameter that cannot be right.
    """
    check_integer("size", size, 1, LARGEST_SIZE)
    check_choice("labels", labels, (None, "folders"))
    listing = list_images(folder)
    with Store(cache) as store:
        seen = look(listing, pixels_maker(size), store, verbose=verbose)
    if not seen.files:
        raise DataMissing(f"there are no images in {folder} that can be read")
    classes, names = None, None
    if labels:
        unique, classes = np.unique(folder_labels(seen.files), return_inverse=True)
        names = tuple(unique.tolist())
    name = Path(folder).resolve().name
    return ImageSet(shaped(seen.vectors, size), classes, name, names, files=tuple(seen.files))


def images_of(folder: str | Path, shape: tuple[int, ...] | None = None, side: int = 64) -> np.ndarray:
    """The images of a folder, (N, C, side, side) uint8, in grey if all of it is grey; or of the ``shape`` named."""
    channels, size = (None, side) if shape is None else (shape[0], shape[1])
    read = load_folder(folder, size)
    return read.images if channels in (None, read.shape[0]) else _in_channels(read.images, shape)


def _in_channels(images: np.ndarray, shape: Any) -> np.ndarray:
    rows = np.broadcast_to(images, (len(images), 3, *images.shape[2:])).transpose(0, 2, 3, 1)
    return shaped(rows.reshape(len(images), -1), shape[1], shape[0])


def folder_labels(files: list[str]) -> list[str]:
    """The folder of each file, "." for the top one."""
    return [file.rpartition("/")[0] or "." for file in files]


def shaped(vectors: np.ndarray, size: int, channels: int | None = None) -> np.ndarray:
    """Kept pixels (n, size * size * 3) as (n, C, size, size) uint8; C is 1 if all are grey, or as it is named."""
    images = vectors.reshape(len(vectors), size, size, 3)
    if channels is None:
        grey = all(_grey(images[i : i + 1024]) for i in range(0, len(images), 1024))
        channels = 1 if grey else 3
    if channels == 1 and not _grey(images):
        images = np.rint(images @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)[..., None]
    return np.ascontiguousarray(images[..., :channels].transpose(0, 3, 1, 2))


def _grey(images: np.ndarray) -> bool:
    return bool((images[..., 0] == images[..., 1]).all() and (images[..., 0] == images[..., 2]).all())
