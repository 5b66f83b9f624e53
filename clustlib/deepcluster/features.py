"""Features of all images: computed in batches, kept on disk where they would not fit, reduced by streamed PCA."""

import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clustlib.deepcluster.feeding import Feed
from clustlib.kernels.whitening import Moments, Whitening, whitening
from clustlib.networks.convnet import ConvNet
from clustlib.networks.crops import ArrayImages, FolderImages

BATCH = 256


class FeatureStore:
    """Batches of float32 rows, read back in order: in memory up to ``limit`` bytes, in a scratch file beyond.

    The file is written and read, not mapped, so that pages of it do not count as this process's memory.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held: list[np.ndarray] = []
        self._file: Any = None
        self._shapes: list[tuple[int, ...]] = []
        self._bytes = 0

    def append(self, rows: Tensor) -> None:
        """Keep a batch."""
        array = rows.detach().cpu().numpy().astype(np.float32, copy=False)
        self._shapes.append(array.shape)
        self._bytes += array.nbytes
        if self._file is None and self._bytes <= self.limit:
            self._held.append(array)
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
            for held in self._held:
                self._file.write(held.data)
            self._held.clear()
        self._file.write(np.ascontiguousarray(array).data)

    @property
    def spilled(self) -> bool:
        """Whether the rows are on disk."""
        return self._file is not None

    def batches(self) -> Iterator[Tensor]:
        """The batches, in order."""
        if self._file is None:
            yield from map(torch.from_numpy, self._held)
            return
        self._file.seek(0)
        for shape in self._shapes:
            buffer = bytearray(4 * int(np.prod(shape)))
            self._file.readinto(buffer)
            yield torch.from_numpy(np.frombuffer(buffer, np.float32).reshape(shape))

    def close(self) -> None:
        """Let go of memory and file."""
        self._held.clear()
        if self._file is not None:
            self._file.close()


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Products in bfloat16 where ``precision`` says so."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def embed(network: ConvNet, crops: Tensor, precision: str) -> Tensor:
    """f_theta of crops on the network's device, (n, n_features) float32."""
    with autocast(crops.device, precision):
        return network.embed(crops).float()


@torch.no_grad()
def extract(
    network: ConvNet,
    source: ArrayImages | FolderImages,
    index: np.ndarray,
    device: torch.device,
    limit: int,
    workers: int = 0,
    precision: str = "float32",
) -> tuple[FeatureStore, Moments, np.ndarray]:
    """f_theta of the central crops of the images ``index``, in evaluation mode; which of them could be read."""
    network.eval()
    store, moments = FeatureStore(limit), Moments(network.n_features, device)
    read = [np.zeros(0, np.int64)]
    batches = [index[first : first + BATCH] for first in range(0, len(index), BATCH)]
    for batch, (crops, kept) in zip(batches, Feed(source, batches, device, workers=workers)):
        read.append(batch[kept])
        if len(kept):
            features = embed(network, crops, precision)
            store.append(features)
            moments.update(features)
    return store, moments, np.concatenate(read)


def reduce(
    store: FeatureStore, moments: Moments, n_components: int, device: torch.device
) -> tuple[np.ndarray, Whitening]:
    """PCA, whitening and l2 norm (Section 3.4) of this process's rows, by the moments of all."""
    projection = whitening(moments, n_components)
    rows = [projection(batch.to(device)).cpu().numpy() for batch in store.batches()]
    store.close()
    width = projection.matrix.shape[1]
    return np.concatenate(rows) if rows else np.zeros((0, width), np.float32), projection
