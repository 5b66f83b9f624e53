"""One process or several (torchrun): who holds which rows, sums over all, rows gathered from all."""

from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn


class Processes:
    """The processes of ``torch.distributed``, or this one alone where it is not initialised."""

    def __init__(self) -> None:
        self.shared = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
        self.rank = dist.get_rank() if self.shared else 0
        self.world = dist.get_world_size() if self.shared else 1

    def part(self, n: int) -> slice:
        """This process's rows of ``n``: contiguous, sizes differ by one at most."""
        bounds = [n * r // self.world for r in (self.rank, self.rank + 1)]
        return slice(*bounds)

    def total(self, values: Tensor) -> Tensor:
        """The sum over processes, on each of them."""
        if self.shared:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """The rows of all processes in their order, on each of them."""
        if not self.shared:
            return rows
        parts: list[Any] = [None] * self.world
        dist.all_gather_object(parts, rows)
        return np.concatenate(parts)

    def together(self, found: dict[int, str]) -> dict[int, str]:
        """What any of the processes has found, by ascending number, on each of them."""
        parts: list[Any] = [found] * self.world
        if self.shared:
            dist.all_gather_object(parts, found)
        return dict(sorted({number: said for part in parts for number, said in part.items()}.items()))

    def wrap(self, network: nn.Module) -> nn.Module:
        """``network`` with gradients averaged over processes."""
        if not self.shared:
            return network
        device = next(network.parameters()).device
        ids = [device.index or 0] if device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(network, device_ids=ids, broadcast_buffers=False)

    def barrier(self) -> None:
        """Wait for all."""
        if self.shared:
            dist.barrier()


def seeded(*key: int) -> np.random.Generator:
    """The random numbers that belong to a seed, an epoch, a batch: the same whatever came before."""
    return np.random.default_rng(list(key))


def seed_torch(*key: int) -> None:
    """Set torch's generators to those of a seed, an epoch, a batch."""
    torch.manual_seed(int(np.random.SeedSequence(list(key)).generate_state(1, np.uint64)[0] >> 1))
