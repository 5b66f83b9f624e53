"""Retrieval on Oxford and Paris as they are published: pictures of any shape, queries with boxes, judged images."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clustlib import datasets
from clustlib.errors import DataMissing
from clustlib.kernels.whitening import Whitening, pca_whiten
from clustlib.transfer.retrieval import Query, mean_average_precision, read_ground_truth, region_vectors, rmac

SETS = {"oxford5k": "oxc1_", "paris6k": ""}  # what the query files put before an image's name


def precision(
    network: Any, dataset: str, whitened_on: str, resolution: int, levels: int, device: torch.device
) -> float:
    """Mean average precision of R-MAC descriptors of the last convolution (Section 5.3).

    Parameters
    ----------
    dataset, whitened_on : names of ``SETS``, each in ``jpg`` (images at any depth) and ``gt`` below its folder. The
        regions' PCA is learnt on the other set.
    resolution : pixels of the longer side; the shape is kept. A query is its box, cut out of the sized image.

    Raises
    ------
    DataMissing : a set is not on this machine, or has no ``gt``.
    """
    folder, gallery = _of(dataset)
    whitening = _learnt(network, _of(whitened_on)[1], resolution, levels, device)
    queries = read_ground_truth(folder / "gt", [path.stem for path in gallery.paths], SETS[dataset])
    described = [
        np.zeros(whitening.matrix.shape[1], np.float32) if maps is None else _described(maps, levels, whitening)
        for maps in _maps(network, gallery, resolution, device)
    ]
    searched = [_query(network, gallery, query, resolution, levels, whitening, device) for query in queries]
    return mean_average_precision(np.stack(described), np.stack(searched), queries)


def _of(dataset: str) -> tuple[Path, datasets.ImageFolder]:
    folder = datasets.folder(dataset)
    for part in ("jpg", "gt"):
        if not (folder / part).is_dir():
            raise DataMissing(f"{folder / part} is missing: {datasets.info(dataset).how}")
    return folder, datasets.ImageFolder(folder / "jpg")


def _learnt(network: Any, other: datasets.ImageFolder, resolution: int, levels: int, device: torch.device) -> Whitening:
    maps = (found for found in _maps(network, other, resolution, device) if found is not None)
    regions = [region_vectors(found, levels).flatten(0, 1).cpu() for found in maps]
    return pca_whiten(regions, regions[0].shape[1])


def _maps(network: Any, images: datasets.ImageFolder, resolution: int, device: torch.device) -> Iterator[Tensor | None]:
    """The last convolution's maps of each image, (1, C, h, w); None of one that cannot be read."""
    for i in range(len(images)):
        image = images.read(i)
        yield None if image is None else _sized_maps(network, image, resolution, device)


@torch.no_grad()
def _sized_maps(network: Any, image: Any, resolution: int, device: torch.device, box: Any = None) -> Tensor:
    scale = resolution / max(image.size)
    left, top, right, bottom = box or (0, 0, *image.size)
    size = tuple(max(1, round(side * scale)) for side in (right - left, bottom - top))
    sized = image.resize(size, 2, box=(left, top, right, bottom))  # PIL's BILINEAR
    pixels = torch.from_numpy(np.array(sized)).permute(2, 0, 1)[None].float() / 255
    return network.activations(pixels.to(device))[-1]


def _described(maps: Tensor, levels: int, whitening: Whitening) -> np.ndarray:
    return rmac(maps.cpu(), levels, whitening).numpy()[0]


def _query(
    network: Any,
    images: datasets.ImageFolder,
    query: Query,
    resolution: int,
    levels: int,
    whitening: Whitening,
    device: torch.device,
) -> np.ndarray:
    image = images.read(query.image)
    if image is None:
        raise DataMissing(f"{images.paths[query.image]}, the image of a query, cannot be read")
    box = query.box and _inside(query.box, image.size)
    maps = _sized_maps(network, image, resolution, device, box)
    return _described(maps, levels, whitening)


def _inside(box: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The published boxes reach over the border by a fraction of a pixel."""
    left, top, right, bottom = box
    return max(0.0, left), max(0.0, top), min(float(size[0]), right), min(float(size[1]), bottom)
