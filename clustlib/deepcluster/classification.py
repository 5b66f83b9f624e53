"""Eq. (1): one pass of SGD over images and their labels, on one process or several, resumable at any batch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from clustlib.deepcluster.sharded import set_share, share_batch_norm
from clustlib.errors import UsageError
from clustlib.kernels.sampling import Draws
from clustlib.networks.convnet import ConvNet
from clustlib.networks.crops import ArrayImages, FolderImages, draw_uniforms
from clustlib.networks.processes import Processes, seed_torch, seeded

_CROPS, _DROPOUT, _HEAD = 1, 2, 3  # what a stream of random numbers is for


class Classification:
    """A network and its optimisers.

    The body's SGD keeps its momentum from epoch to epoch; the head's has none and is new with each head, as released.
    Every random number belongs to (seed, epoch, batch), so that a pass can go on at any batch, and several processes
    draw what one would.

    Parameters
    ----------
    network : trained in place. source : images. device : where the network is.
    learning_rate, momentum, weight_decay, batch_size : of SGD; the batch is that of all processes together.
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
    ) -> None:
        self.network, self.source, self.processes, self.device = network, source, processes, device
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.batch_size, self.seed = batch_size, seed
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
        self, epoch: int, draws: Draws, losses: list[float], after_batch: Callable[[list[float]], None] | None = None
    ) -> list[float]:
        """One pass over ``draws``; goes on after as many batches as there are ``losses``, and returns all of them."""
        self.network.train()
        wrapped = self.processes.wrap(self.network)
        for batch in range(len(losses), n_batches(len(draws.images), self.batch_size, self.processes.world)):
            chosen = slice(batch * self.batch_size, (batch + 1) * self.batch_size)
            losses.append(self._step(wrapped, draws.images[chosen], draws.targets[chosen], (self.seed, epoch, batch)))
            if after_batch:
                after_batch(losses)
        return losses

    def _step(self, wrapped: Any, images: np.ndarray, targets: np.ndarray, key: tuple[int, int, int]) -> float:
        part = self.processes.part(len(images))
        uniforms = draw_uniforms(len(images), seeded(*key, _CROPS)).rows(part)
        crops, kept = self.source.random(images[part], uniforms)
        if len(kept) == 0:
            raise UsageError("none of the images of a batch could be read")
        seed_torch(*key, _DROPOUT)
        set_share(self.network, part.start or 0, len(images))
        outputs = wrapped(crops.to(self.device))
        wanted = torch.from_numpy(targets[part][kept]).to(self.device)
        # gradients are averaged over processes, the loss over the whole batch
        loss = F.cross_entropy(outputs, wanted, reduction="sum") / len(images)
        self.body.zero_grad()
        self.head.zero_grad()
        (loss * self.processes.world).backward()
        self.body.step()
        self.head.step()
        value = float(self.processes.total(loss.detach()))
        if not np.isfinite(value):
            raise UsageError(f"the loss is {value}: training has diverged; try a smaller learning_rate")
        return value

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


def n_batches(n_images: int, batch_size: int, world: int = 1) -> int:
    """Batches of a pass. A last one with fewer than two images a process is left out: batch norm needs two."""
    whole, rest = divmod(n_images, batch_size)
    return max(1, whole + (rest >= 2 * world))
