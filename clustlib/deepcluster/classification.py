"""Eq. (1): one pass of SGD over images and their labels, on one process or several, resumable at any batch."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from clustlib.deepcluster.features import autocast
from clustlib.deepcluster.feeding import Feed
from clustlib.deepcluster.sharded import set_share, share_batch_norm
from clustlib.errors import UsageError
from clustlib.kernels.sampling import Draws
from clustlib.networks.convnet import ConvNet
from clustlib.networks.crops import ArrayImages, FolderImages, Uniforms, draw_uniforms
from clustlib.networks.processes import Processes, seed_torch, seeded

CHECKED_EVERY = 50  # batches after which the losses are looked at
_CROPS, _DROPOUT, _HEAD = 1, 2, 3  # what a stream of random numbers is for
_NOTHING_READ = "none of the images of a batch could be read"


class Classification:
    """A network and its optimisers.

    The body's SGD keeps its momentum from epoch to epoch; the head's has none and is new with each head, as released.
    Every random number belongs to (seed, epoch, batch), so that a pass can go on at any batch, and several processes
    draw what one would.

    Parameters
    ----------
    network : trained in place. source : images. device : where the network is.
    learning_rate, momentum, weight_decay, batch_size : of SGD; the batch is that of all processes together.
    precision : "float32", or "bfloat16" for the products of the network; weights and sums stay float32.
    workers : processes that decode files, see :class:`clustlib.deepcluster.feeding.Feed`.

    ``seconds_waiting`` is what the last pass has spent waiting for its crops.
    """

    def __init__(
        self,
        network: ConvNet,
        source: ArrayImages | FolderImages,
        processes: Processes,
        device: torch.device,
        *,
        learning_rate: float,
        momentum: float,
        weight_decay: float,
        batch_size: int,
        seed: int,
        workers: int = 0,
        precision: str = "float32",
    ) -> None:
        self.network, self.source, self.processes, self.device = network, source, processes, device
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.batch_size, self.seed, self.workers = batch_size, seed, workers
        self.precision = precision
        self.seconds_waiting = 0.0
        if processes.shared:
            share_batch_norm(network)
        self.body = torch.optim.SGD(network.body(), learning_rate, momentum, weight_decay=weight_decay)
        self.head = self._head_optimiser()

    def _head_optimiser(self) -> torch.optim.SGD:
        return torch.optim.SGD(self.network.head.parameters(), self.learning_rate, weight_decay=self.weight_decay)

    def new_head(self, n_outputs: int, epoch: int) -> None:
        """A new last layer and a new optimiser for it."""
        seed_torch(self.seed, epoch, _HEAD)
        self.network.new_head(n_outputs)
        self.head = self._head_optimiser()

    def epoch(
        self,
        epoch: int,
        draws: Draws,
        losses: list[float],
        after: Callable[[list[float]], None] | None = None,
        every: int = CHECKED_EVERY,
    ) -> list[float]:
        """One pass over ``draws``; goes on after as many batches as there are ``losses``, and returns all of them.

        ``after`` is called with the losses so far whenever ``every`` more batches are done. Losses stay on the device
        until then, or for ``CHECKED_EVERY`` batches: a number that is asked for stops the device.

        Raises
        ------
        UsageError : the loss is no number; a batch of which no image could be read. On several processes all raise it.
        """
        self.network.train()
        wrapped = self.processes.wrap(self.network)
        batches = self._batches(draws)[len(losses) :]
        feed = Feed(
            self.source,
            [batch.images[batch.part] for batch in batches],
            self.device,
            lambda i: batches[i].uniforms(self.seed, epoch),
            self.workers,
        )
        noted: list[Tensor] = []
        for batch, (crops, positions) in zip(batches, feed):
            noted.append(self._step(wrapped, batch, crops, positions, epoch))
            due = (batch.number + 1) % every == 0
            if due or len(noted) == CHECKED_EVERY or batch is batches[-1]:
                losses += self._checked(noted)
                noted.clear()
            self.seconds_waiting = feed.seconds_waiting
            if due and after:
                after(losses)
        set_share(self.network, None)
        return losses

    def _batches(self, draws: Draws) -> list["_Batch"]:
        batches = []
        for number in range(n_batches(len(draws.images), self.batch_size, self.processes.world)):
            rows = slice(number * self.batch_size, (number + 1) * self.batch_size)
            images = draws.images[rows]
            batches.append(_Batch(number, images, draws.targets[rows], self.processes.part(len(images))))
        return batches

    def _step(self, wrapped: Any, batch: "_Batch", crops: Tensor, kept: np.ndarray, epoch: int) -> Tensor:
        """One step of SGD; this process's part of the loss, and of the number of images that could be read."""
        if len(kept) == 0 and not self.processes.shared:  # of several, another may have some: told by the sum
            raise UsageError(_NOTHING_READ)
        n_images = len(batch.images)
        seed_torch(self.seed, epoch, batch.number, _DROPOUT)
        positions = torch.from_numpy(kept + (batch.part.start or 0))
        set_share(self.network, (positions.to(self.device, non_blocking=True), n_images))
        with autocast(self.device, self.precision):
            outputs = wrapped(crops).float()
        wanted = torch.from_numpy(batch.targets[batch.part][kept]).to(self.device, non_blocking=True)
        # gradients are averaged over processes, the loss over the whole batch
        loss = F.cross_entropy(outputs, wanted, reduction="sum") / n_images
        self.body.zero_grad()
        self.head.zero_grad()
        (loss * self.processes.world).backward()
        self.body.step()
        self.head.step()
        return torch.stack([loss.detach(), torch.full_like(loss, len(kept))])

    def _checked(self, noted: list[Tensor]) -> list[float]:
        """The losses of some batches, of all processes together."""
        values, read = self.processes.total(torch.stack(noted)).T.tolist()
        if min(read) == 0:
            raise UsageError(_NOTHING_READ)
        wrong = next((value for value in values if not np.isfinite(value)), None)
        if wrong is not None:
            raise UsageError(f"the loss is {wrong}: training has diverged; try a smaller learning_rate")
        return values

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: weights, batch norm, momentum."""
        return {
            "network": self.network.state_dict(),
            "n_outputs": self.network.head.out_features,
            "body": self.body.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`."""
        self.network.new_head(state["n_outputs"])
        self.network.load_state_dict(state["network"])
        self.body.load_state_dict(state["body"])
        self.head = self._head_optimiser()


class _Batch(NamedTuple):
    """The images (n,) and targets (n,) of a batch of all processes, and this process's part of it."""

    number: int
    images: np.ndarray
    targets: np.ndarray
    part: slice

    def uniforms(self, seed: int, epoch: int) -> Uniforms:
        """What decides this process's crops."""
        return draw_uniforms(len(self.images), seeded(seed, epoch, self.number, _CROPS)).rows(self.part)


def n_batches(n_images: int, batch_size: int, world: int = 1) -> int:
    """Batches of a pass. A last one with fewer than two images a process is left out: batch norm needs two."""
    whole, rest = divmod(n_images, batch_size)
    return max(1, whole + (rest >= 2 * world))
