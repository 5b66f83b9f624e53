"""Central crops for clustering, random crops with flips for training (Section 3.4), of arrays and of image files."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from clustlib._images import check_images
from clustlib.checkpoints import content_hash
from clustlib.datasets.folders import ImageFolder
from clustlib.errors import UsageError

CENTRAL = 224 / 256  # a crop of 224 from images whose short side is 256
AREA, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
_TRIES = 10


class Uniforms(NamedTuple):
    """What decides the crops of a batch, whatever the images' sizes: ``boxes`` (n, tries, 4), ``flips`` (n,) bool."""

    boxes: np.ndarray
    flips: np.ndarray

    def rows(self, part: slice) -> "Uniforms":
        return Uniforms(self.boxes[part], self.flips[part])


class Box(NamedTuple):
    """Of an image, in pixels, and whether it is mirrored."""

    top: int
    left: int
    height: int
    width: int
    flip: bool = False


def draw_uniforms(n: int, rng: np.random.Generator) -> Uniforms:
    """The random numbers behind ``n`` crops."""
    return Uniforms(rng.random((n, _TRIES, 4)), rng.random(n) < 0.5)


def random_boxes(uniforms: np.ndarray, heights: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """(top, left, height, width) in pixels, (n, 4) int64: of random area and aspect ratio, inside the image.

    The first of ten tries that fits is taken; where none does, the largest central box of an allowed ratio.
    """
    area = heights[:, None] * widths[:, None] * (AREA[0] + (AREA[1] - AREA[0]) * uniforms[..., 0])
    ratio = np.exp(np.log(RATIO[0]) + (np.log(RATIO[1]) - np.log(RATIO[0])) * uniforms[..., 1])
    wide, high = np.rint(np.sqrt(area * ratio)).astype(np.int64), np.rint(np.sqrt(area / ratio)).astype(np.int64)
    fits = (wide >= 1) & (high >= 1) & (wide <= widths[:, None]) & (high <= heights[:, None])
    top = (uniforms[..., 2] * (heights[:, None] - high + 1)).astype(np.int64)
    left = (uniforms[..., 3] * (widths[:, None] - wide + 1)).astype(np.int64)
    tried = np.stack([top, left, high, wide], axis=-1)
    first = np.take_along_axis(tried, fits.argmax(1)[:, None, None], axis=1)[:, 0]
    for i in np.flatnonzero(~fits.any(1)):
        first[i] = _largest_box(int(heights[i]), int(widths[i]))
    return first


def _largest_box(height: int, width: int) -> tuple[int, int, int, int]:
    wide = max(1, min(width, round(height * RATIO[1])))
    high = max(1, min(height, round(width / RATIO[0])))
    return (height - high) // 2, (width - wide) // 2, high, wide


def central_box(height: int, width: int) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the central square; its side is 224/256 of the short side."""
    side = max(1, round(min(height, width) * CENTRAL))
    return (height - side) // 2, (width - side) // 2, side, side


def resample(images: Tensor, boxes: np.ndarray, flips: np.ndarray, size: int) -> Tensor:
    """Cut ``boxes`` (n, 4) out of (n, C, H, W) images and bring them to ``size``, bilinear; float in [0, 1]."""
    images = images.float() / 255 if images.dtype == torch.uint8 else images
    height, width = images.shape[2:]
    top, left, high, wide = (torch.from_numpy(boxes[:, i].astype(np.float32)) for i in range(4))
    sign = torch.from_numpy(np.where(flips, -1, 1).astype(np.float32))
    theta = torch.zeros(len(images), 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = sign * wide / width, (2 * left + wide) / width - 1
    theta[:, 1, 1], theta[:, 1, 2] = high / height, (2 * top + high) / height - 1
    grid = F.affine_grid(theta, [len(images), images.shape[1], size, size], align_corners=False)
    return F.grid_sample(images, grid.to(images.device), padding_mode="border", align_corners=False)


class ArrayImages:
    """Images held in memory, (N, 1 or 3, H, W): uint8, or floats in [0, 1]."""

    def __init__(self, images: Any, size: int | None) -> None:
        self.images = _as_tensor(_checked(images))
        self.size = size or central_box(*self.images.shape[2:])[2]
        self.unreadable: dict[int, str] = {}
        self.files: list[str] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def checksum(self) -> str:
        return content_hash(self.images.numpy())

    def central(self, index: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """The central crops, (n, C, size, size) in [0, 1], and the positions in ``index`` that could be read."""
        top, left, high, wide = central_box(*self.images.shape[2:])
        crops = self.images[index][:, :, top : top + high, left : left + wide]
        if high != self.size:
            whole = np.broadcast_to([0, 0, high, wide], (len(index), 4))
            return resample(crops, whole, np.zeros(len(index), bool), self.size), np.arange(len(index))
        return crops.float() / 255 if crops.dtype == torch.uint8 else crops, np.arange(len(index))

    def random(self, index: np.ndarray, uniforms: Uniforms) -> tuple[Tensor, np.ndarray]:
        """Random crops with flips, as :meth:`central`."""
        height, width = (np.full(len(index), n) for n in self.images.shape[2:])
        boxes = random_boxes(uniforms.boxes, height, width)
        return resample(self.images[index], boxes, uniforms.flips, self.size), np.arange(len(index))


class FolderImages:
    """Image files, each decoded when it is needed; a damaged one is left out of its batch and counted."""

    def __init__(self, folder: ImageFolder, size: int | None) -> None:
        self.folder = folder
        self.size = size or 224
        self.unreadable = folder.unreadable

    def __len__(self) -> int:
        return len(self.folder)

    def checksum(self) -> str:
        return self.folder.state

    @property
    def files(self) -> list[str]:
        """The files' names below the folder."""
        return self.folder.files

    def central(self, index: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """As :meth:`ArrayImages.central`."""
        return self._read(index, None)

    def random(self, index: np.ndarray, uniforms: Uniforms) -> tuple[Tensor, np.ndarray]:
        """As :meth:`ArrayImages.random`."""
        return self._read(index, uniforms)

    def _read(self, index: np.ndarray, uniforms: Uniforms | None) -> tuple[Tensor, np.ndarray]:
        pixels, kept = self.pixels(index, uniforms)
        return pixels.float() / 255, kept

    def pixels(self, index: np.ndarray, uniforms: Uniforms | None) -> tuple[Tensor, np.ndarray]:
        """The crops as they were decoded, (n, 3, size, size) uint8, central without ``uniforms``; and the positions."""

        def box(position: int, height: int, width: int) -> list[Box]:
            if uniforms is None:
                return [Box(*central_box(height, width))]
            one = uniforms.boxes[position : position + 1]
            drawn = random_boxes(one, np.array([height]), np.array([width]))[0].tolist()
            return [Box(*drawn)._replace(flip=bool(uniforms.flips[position]))]

        crops, kept = self.cut(index, box)
        return crops.flatten(0, 1), kept

    def cut(self, index: np.ndarray, boxes: Callable[[int, int, int], list["Box"]]) -> tuple[Tensor, np.ndarray]:
        """Crops of each image, (n, crops, 3, size, size) uint8, and the positions of the images that could be read.

        ``boxes`` gives the same number for every image, from its position in ``index``, its height and its width.
        """
        from PIL import Image

        crops, kept = [], []
        for position, i in enumerate(index):
            image = self.folder.read(i)
            if image is None:
                continue
            found = []
            for top, left, high, wide, flip in boxes(position, image.height, image.width):
                box = (left, top, left + wide, top + high)
                crop = np.asarray(image.resize((self.size, self.size), Image.Resampling.BILINEAR, box=box))
                found.append(crop[:, ::-1] if flip else crop)
            crops.append(found)
            kept.append(position)
        stacked = np.array(crops) if crops else np.zeros((0, 1, self.size, self.size, 3), np.uint8)
        return torch.from_numpy(stacked).permute(0, 1, 4, 2, 3), np.array(kept, dtype=np.int64)


def image_source(images: Any, size: int | None) -> ArrayImages | FolderImages:
    """Images as the training reads them: an :class:`ImageFolder` or its path, an ``ImageSet``, or an array."""
    images = ImageFolder(images) if isinstance(images, (str, Path)) else images
    return FolderImages(images, size) if isinstance(images, ImageFolder) else ArrayImages(images, size)


def _as_tensor(images: np.ndarray) -> Tensor:
    """Without a copy, whether or not the array may be written to; nothing here writes to it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(images))


def _checked(images: Any) -> np.ndarray:
    """(N, 1 or 3, H, W) uint8, or float32 in [0, 1]. Raises :class:`UsageError` on anything else."""
    images = check_images(images)
    if images.shape[1] not in (1, 3):
        raise UsageError(f"images must have shape (N, 1 or 3, H, W), got {images.shape}")
    return images
