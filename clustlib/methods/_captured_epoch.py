"""JULE's epoch on a GPU, a step the replay of a CUDA graph: its many small kernels cost less than their launches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from clustlib.kernels.padded_triplets import padded_triplet_loss

if TYPE_CHECKING:
    from clustlib.methods._triplet_training import TripletTraining

_WARM_UPS = 3  # steps before a capture, as PyTorch asks for: libraries choose their algorithms and workspaces


class CapturedEpoch:
    """Epochs of one :class:`TripletTraining`: where in the epoch it is, and what it draws, are tensors on the device.

    A graph is captured for each size of batch (the last one of an epoch may be smaller). What a step changes lives in
    the training's own tensors, so that a checkpoint needs nothing from here. Other than in the steps without graphs, a
    batch without triplets counts in the running statistics of batch normalisation. Beside the images it takes N B / 2
    random numbers, for batches of B.

    Parameters
    ----------
    training : with momentum, and with an optimiser that has taken a step already.
    n : images.
    """

    def __init__(self, training: TripletTraining, n: int) -> None:
        self.training = training
        device, size = training.device, training.descent.batch_size
        self.order = torch.zeros(n, dtype=torch.int64, device=device)
        self.clusters = torch.zeros(n, dtype=torch.int64, device=device)
        self.uniform = torch.zeros(-(-n // size), size * (size - 1) // 2, device=device)
        self.step = torch.zeros((), dtype=torch.int64, device=device)
        self.iteration = torch.zeros((), dtype=torch.float64, device=device)
        self.loss = torch.zeros((), device=device)
        self.with_triplets = torch.zeros((), dtype=torch.int64, device=device)
        state = training.optimiser.state
        self.parameters = [p for p in training.network.parameters() if p in state]
        self.momenta = [state[p]["momentum_buffer"] for p in self.parameters]
        for p in self.parameters:  # a restored training has none yet
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}

    def run(self, clusters: Tensor, order: Tensor, first: int) -> tuple[float, int]:
        """An epoch from step ``first`` on: the sum of the losses of batches with triplets, and how many these are."""
        training, size = self.training, self.training.descent.batch_size
        self.clusters.copy_(clusters)
        self.order.copy_(order)
        self.uniform.uniform_(generator=training.drawing)
        self.step.fill_(first)
        self.iteration.fill_(training.iteration)
        self.loss.zero_()
        self.with_triplets.zero_()
        for begin in range(first * size, len(order), size):
            self._graph(min(size, len(order) - begin)).replay()
            training.iteration += 1
        return float(self.loss), int(self.with_triplets)

    def _graph(self, size: int) -> torch.cuda.CUDAGraph:
        if size not in self.graphs:
            self.graphs[size] = self._capture(size)
        return self.graphs[size]

    def _capture(self, size: int) -> torch.cuda.CUDAGraph:
        """Record a step; whatever the warm-ups changed is put back."""
        changed = [*self.training.network.state_dict().values(), *self.momenta]
        changed += [self.step, self.iteration, self.loss, self.with_triplets]
        before = [tensor.clone() for tensor in changed]
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(_WARM_UPS):
                self.step.copy_(before[-4])
                self._step(size)
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step(size)
        for tensor, old in zip(changed, before):
            tensor.copy_(old)
        return graph

    def _step(self, size: int) -> None:
        training, loss = self.training, self.training.loss
        images = self.step * training.descent.batch_size + torch.arange(size, device=self.step.device)
        index = self.order[images]
        grads = [p.grad for p in self.parameters]
        torch._foreach_zero_(grads)
        if size > 1:
            uniform = self.uniform.index_select(0, self.step[None])[0, : size * (size - 1) // 2]
            features = training._forward(training.batch(index))
            found, n_triplets = padded_triplet_loss(
                features, self.clusters[index], uniform, loss.n_negatives, loss.gamma, loss.margin,
                gradient=loss.gradient,
            )  # fmt: skip
            found.backward()
            self.loss += found.detach()
            self.with_triplets += n_triplets > 0
        self._descend(grads)
        self.step += 1
        self.iteration += 1

    @torch.no_grad()
    def _descend(self, grads: list[Tensor]) -> None:
        """SGD as torch has it after its first step, with a learning rate that is a tensor."""
        descent = self.training.descent
        rate = (descent.rate * (1 + descent.decay * self.iteration) ** -descent.power).float()
        decayed = torch._foreach_add(grads, self.parameters, alpha=descent.weight_decay)
        torch._foreach_mul_(self.momenta, descent.momentum)
        torch._foreach_add_(self.momenta, decayed, alpha=1 - descent.dampening)
        torch._foreach_sub_(self.parameters, torch._foreach_mul(self.momenta, rate))
