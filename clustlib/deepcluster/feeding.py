"""Batches of crops for the network: cut from an array, or decoded from files by processes that run ahead."""

import math
import mmap
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from clustlib.networks.crops import ArrayImages, FolderImages, Uniforms

_AHEAD = 2  # batches that each process has ready


class Fed(NamedTuple):
    """``crops`` (n, C, size, size) in [0, 1] on the device, and ``kept`` (n,), their positions in the batch."""

    crops: Tensor
    kept: np.ndarray


class Feed:
    """The crops of some batches, in order, and the seconds that were spent waiting for them.

    Parameters
    ----------
    source : the images. indices : the images of each batch.
    uniforms : what decides the random crops of a batch, by its number; None: central crops.
    workers : processes that decode files ahead of their use, no more than there are cores for them; 0: this one does,
        when they are needed. An array needs none.
    """

    def __init__(
        self,
        source: ArrayImages | FolderImages,
        indices: Sequence[np.ndarray],
        device: torch.device,
        uniforms: Callable[[int], Uniforms] | None = None,
        workers: int = 0,
    ) -> None:
        self.source, self.indices, self.device, self.uniforms = source, indices, device, uniforms
        self.workers = min(workers, _cores()) if isinstance(source, FolderImages) else 0
        self.seconds_waiting = 0.0

    def __iter__(self) -> Iterator[Fed]:
        batches = self._decoded_ahead() if self.workers else map(self._cut, range(len(self.indices)))
        while True:
            clock = time.perf_counter()
            try:
                crops, kept = next(batches)
            except StopIteration:
                return
            finally:
                self.seconds_waiting += time.perf_counter() - clock
            yield Fed(crops.to(self.device, non_blocking=True), kept)

    def _cut(self, number: int) -> tuple[Tensor, np.ndarray]:
        index = self.indices[number]
        return self.source.random(index, self.uniforms(number)) if self.uniforms else self.source.central(index)

    def _decoded_ahead(self) -> Iterator[tuple[Tensor, np.ndarray]]:
        slots = self._slots()
        loader = torch.utils.data.DataLoader(
            _Batches(self.source, slots),
            batch_size=None,
            sampler=_Wanted(self.indices, self.uniforms),
            num_workers=self.workers,
            prefetch_factor=_AHEAD,
            pin_memory=self.device.type == "cuda",
            collate_fn=_as_it_is,
        )
        for number, (sent, kept, unreadable) in enumerate(loader):
            self.source.unreadable.update(unreadable)
            pixels = sent if slots is None else slots[number % len(slots), : len(kept)].permute(0, 3, 1, 2)
            # bytes travel, a quarter of floats
            yield pixels.to(self.device, non_blocking=True).float().div_(255), kept

    def _slots(self) -> Tensor | None:
        """Memory that the workers share with this process, (batches, n, size, size, 3) uint8, used again and again.

        For each batch that may be under way, and the one that is being read. To make and map memory for a batch and to
        hand it over takes a quarter of the time of decoding it. None where workers are not forked, and for a GPU,
        to which a copy may still be under way when a slot would be written to again.
        """
        if self.device.type == "cuda" or multiprocessing.get_start_method() != "fork":
            return None
        count = min(len(self.indices), self.workers * _AHEAD + 1)
        shape = (count, max(map(len, self.indices), default=0), self.source.size, self.source.size, 3)
        return torch.frombuffer(mmap.mmap(-1, max(1, math.prod(shape))), dtype=torch.uint8)[: math.prod(shape)].view(
            shape
        )


def _cores() -> int:
    """Cores that this process may use. More workers than that take turns, and get less done (a benchmark shows it)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Wanted:
    """What a worker is asked for, batch by batch: its number, the images and what decides their crops."""

    def __init__(self, indices: Sequence[np.ndarray], uniforms: Callable[[int], Uniforms] | None) -> None:
        self.indices, self.uniforms = indices, uniforms

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[tuple[int, np.ndarray, Uniforms | None]]:
        for number, index in enumerate(self.indices):
            yield number, index, self.uniforms(number) if self.uniforms else None


class _Batches(torch.utils.data.Dataset):
    """Decodes a batch in a worker, into its slot or else to be sent; what could not be read there is told."""

    def __init__(self, source: Any, slots: Tensor | None) -> None:
        self.source, self.slots = source, slots

    def __getitem__(self, wanted: tuple[int, np.ndarray, Uniforms | None]) -> tuple[Any, np.ndarray, dict[int, str]]:
        number, index, uniforms = wanted
        pixels, kept = self.source.pixels(index, uniforms)
        missing = {int(i): self.source.unreadable[int(i)] for i in np.delete(index, kept)}
        if self.slots is None:
            return pixels, kept, missing
        self.slots[number % len(self.slots), : len(kept)] = pixels.permute(0, 2, 3, 1)
        return None, kept, missing


def _as_it_is(batch: Any) -> Any:
    """Instead of torch's own conversion, which would make tensors of the positions."""
    return batch
