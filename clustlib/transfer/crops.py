"""The crops of the transfer protocols: one at random for training, ten for testing."""

import numpy as np
import torch
from torch import Tensor

from clustlib.networks.crops import ArrayImages, Box, FolderImages, central_box, resample


def shifted_crops(source: ArrayImages, index: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Crops of the central crop's size at a random place, flipped at random: (n, C, size, size) in [0, 1]."""
    height, width = source.images.shape[2:]
    side = central_box(height, width)[2]
    top, left = rng.integers(0, height - side + 1, len(index)), rng.integers(0, width - side + 1, len(index))
    boxes = np.stack([top, left, np.full(len(index), side), np.full(len(index), side)], axis=1)
    return resample(source.images[index], boxes, rng.random(len(index)) < 0.5, source.size)


def ten_crops(source: ArrayImages, index: np.ndarray) -> Tensor:
    """The four corners and the centre, each also flipped: (n, 10, C, size, size) in [0, 1]."""
    height, width = source.images.shape[2:]
    top, left, side, _ = central_box(height, width)
    places = [(0, 0), (0, width - side), (height - side, 0), (height - side, width - side), (top, left)]
    images = source.images[index]
    crops = [
        resample(images, np.tile([*place, side, side], (len(index), 1)), np.full(len(index), flip), source.size)
        for flip in (False, True)
        for place in places
    ]
    return torch.stack(crops, dim=1)


def shifted(
    source: ArrayImages | FolderImages, index: np.ndarray, rng: np.random.Generator
) -> tuple[Tensor, np.ndarray]:
    """:func:`shifted_crops` of images in memory or in files, and the positions of those that could be read."""
    if isinstance(source, ArrayImages):
        return shifted_crops(source, index, rng), np.arange(len(index))
    drawn, flips = rng.random((len(index), 2)), rng.random(len(index)) < 0.5

    def box(position: int, height: int, width: int) -> list[Box]:
        side = central_box(height, width)[2]
        top, left = (drawn[position] * (height - side + 1, width - side + 1)).astype(int).tolist()
        return [Box(top, left, side, side, bool(flips[position]))]

    crops, readable = source.cut(index, box)
    return crops.flatten(0, 1).float() / 255, readable


def ten(source: ArrayImages | FolderImages, index: np.ndarray) -> tuple[Tensor, np.ndarray]:
    """:func:`ten_crops` of images in memory or in files, and the positions of those that could be read."""
    if isinstance(source, ArrayImages):
        return ten_crops(source, index), np.arange(len(index))

    def boxes(_: int, height: int, width: int) -> list[Box]:
        top, left, side = central_box(height, width)[:3]
        low, right = height - side, width - side
        places = [(0, 0), (0, right), (low, 0), (low, right), (top, left)]
        return [Box(*place, side, side, flip) for flip in (False, True) for place in places]

    crops, readable = source.cut(index, boxes)
    return crops.float() / 255, readable
