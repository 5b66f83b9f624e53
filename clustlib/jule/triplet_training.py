"""JULE's backward pass: epochs of SGD on the weighted triplet loss, with the clusters as labels (section 3.5.2).

On a GPU a step is the replay of a CUDA graph: its many small kernels cost less than their launches.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clustlib._device import on_gpu
from clustlib._validation import check_trained
from clustlib.errors import UsageError
from clustlib.jule.network import JuleNet
from clustlib.kernels import sample_triplets, weighted_triplet_loss
from clustlib.kernels.padded_triplets import padded_triplet_loss
from clustlib.kernels.triplets import unmended_distances

_EXTRACT = 500  # images a batch when only features are wanted
PRECISIONS = ("float32", "bfloat16")
STATISTICS = ("running", "batch")


def inv_rate(rate: float, iteration: Any) -> Any:
    """The "inv" policy of Caffe as section 4.1.2 sets it: ``rate (1 + 1e-4 t)^-0.75`` at iteration t, from 0."""
    return rate * (1 + 1e-4 * iteration) ** -0.75


@dataclass(frozen=True)
class TripletLoss:
    """The loss and how its triplets are drawn; see :mod:`clustlib.kernels.triplets`."""

    gamma: float
    margin: float | None
    n_negatives: int
    negatives: str
    gradient: str


@dataclass(frozen=True)
class Descent:
    """SGD as in section 4.1.2, its rate by :func:`inv_rate`."""

    rate: float
    momentum: float
    dampening: float
    weight_decay: float
    batch_size: int
    precision: str

    def rate_at(self, iteration: int) -> float:
        """Learning rate at ``iteration``, from 0."""
        return inv_rate(self.rate, iteration)


class TripletTraining:
    """A network, its optimiser and its random numbers, on one device, with the images beside them.

    Parameters
    ----------
    images : (N, C, H, W) uint8, divided by 255 batch by batch, or float32, taken as it is
    """

    def __init__(
        self, images: np.ndarray, network: JuleNet, loss: TripletLoss, descent: Descent, seed: int, device: torch.device
    ) -> None:
        if descent.precision not in PRECISIONS:
            raise UsageError(f"precision must be one of {', '.join(PRECISIONS)}; got {descent.precision!r}")
        self.images = torch.from_numpy(images if images.flags.writeable else images.copy()).to(device)
        self.network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss, self.descent = loss, descent
        self.device = device
        self.shuffling = torch.Generator().manual_seed(seed)
        self.drawing = torch.Generator(device).manual_seed(seed)
        self.iteration = 0
        self.triplet_seconds = 0.0
        self.captured: CapturedEpoch | None = None
        self.optimiser = torch.optim.SGD(
            self.network.parameters(),
            descent.rate,
            momentum=descent.momentum,
            dampening=descent.dampening,
            weight_decay=descent.weight_decay,
            fused=True,
        )

    def batch(self, index: torch.Tensor | slice) -> torch.Tensor:
        """Images as the network reads them: floating, (B, C, H, W), channels last."""
        images = self.images[index]
        if images.dtype == torch.uint8:
            images = images.float().div_(255)
        return images.contiguous(memory_format=torch.channels_last)

    def epoch(self, labels: np.ndarray) -> float:
        """One pass over the images in random order; the mean loss of the batches that had triplets (else 0)."""
        self.network.train()
        clusters = torch.from_numpy(np.asarray(labels, np.int64)).to(self.device)
        order = torch.randperm(len(clusters), generator=self.shuffling).to(self.device)
        if on_gpu(self.device) and self.loss.negatives == "spread" and self.descent.momentum > 0:
            return self._captured_epoch(clusters, order)
        losses = [self._step(index, clusters[index]) for index in order.split(self.descent.batch_size)]
        known = torch.stack([loss for loss in losses if loss is not None] or [torch.zeros(())])
        return float(known.mean())

    def _captured_epoch(self, clusters: torch.Tensor, order: torch.Tensor) -> float:
        """:meth:`epoch` by replays of CUDA graphs; what begins the momentum is a step without."""
        losses, first = [], 0
        batches = order.split(self.descent.batch_size)
        while not self.optimiser.state and first < len(batches):
            losses.append(self._step(batches[first], clusters[batches[first]]))
            first += 1
        begun = [float(loss) for loss in losses if loss is not None]
        if first == len(batches):
            return sum(begun) / max(len(begun), 1)
        if self.captured is None:
            self.captured = CapturedEpoch(self, len(order))
        total, n = self.captured.run(clusters, order, first)
        return (total + sum(begun)) / max(n + len(begun), 1)

    def _step(self, index: torch.Tensor, labels: torch.Tensor) -> torch.Tensor | None:
        """One step of SGD; the batch's loss, or None where the batch has no triplets.

        Without triplets the gradient is zero: the weights still decay and coast on their momentum.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = self.descent.rate_at(self.iteration)
        self.iteration += 1
        started = time.perf_counter()
        triplets = None
        if self.loss.negatives != "nearest":
            triplets = sample_triplets(
                labels, self.loss.n_negatives, negatives=self.loss.negatives, generator=self.drawing
            )
        self.triplet_seconds += time.perf_counter() - started
        loss = None
        self.optimiser.zero_grad(set_to_none=False)
        if (triplets is None or len(triplets)) and len(index) > 1:
            loss = self._backward(index, labels, triplets)
        self.optimiser.step()
        return loss

    def _backward(self, index: torch.Tensor, labels: torch.Tensor, triplets: Any) -> torch.Tensor | None:
        features = self._forward(self.batch(index))
        if triplets is None:
            started = time.perf_counter()
            distances = unmended_distances(features.detach(), features.detach())
            triplets = sample_triplets(labels, self.loss.n_negatives, negatives="nearest", distances=distances)
            self.triplet_seconds += time.perf_counter() - started
        if len(triplets) == 0:
            return None
        loss = weighted_triplet_loss(features, triplets, self.loss.gamma, self.loss.margin, gradient=self.loss.gradient)
        loss.backward()
        return loss.detach()

    def _forward(self, batch: torch.Tensor, layer: str = "top") -> torch.Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.descent.precision == "bfloat16"):
            return self.network(batch, layer).float()

    @torch.no_grad()
    def features(self, layer: str = "top", statistics: str = "running") -> np.ndarray:
        """Features (N, D) float32 of every image.

        ``statistics="batch"`` normalises by batch, in the order of the images, as JULE.torch does within its loop:
        an image's features then depend on its neighbours in the file.
        """
        if statistics not in STATISTICS:
            raise UsageError(f"statistics must be one of {', '.join(STATISTICS)}; got {statistics!r}")
        self.network.train(statistics == "batch")
        size = self.descent.batch_size if statistics == "batch" else _EXTRACT
        parts = [self._forward(self.batch(slice(i, i + size)), layer) for i in range(0, len(self.images), size)]
        features = torch.cat(parts).cpu().numpy()
        check_trained([features])
        return features

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on, for a checkpoint."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "shuffling": self.shuffling.get_state(),
            "drawing": self.drawing.get_state(),
            "iteration": self.iteration,
            "triplet_seconds": self.triplet_seconds,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.shuffling.set_state(state["shuffling"].cpu())
        self.drawing.set_state(state["drawing"].cpu())
        self.iteration = state["iteration"]
        self.triplet_seconds = state["triplet_seconds"]
        self.captured = None  # it holds the tensors that the optimiser had before


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
        rate = inv_rate(descent.rate, self.iteration).float()
        decayed = torch._foreach_add(grads, self.parameters, alpha=descent.weight_decay)
        torch._foreach_mul_(self.momenta, descent.momentum)
        torch._foreach_add_(self.momenta, decayed, alpha=1 - descent.dampening)
        torch._foreach_sub_(self.parameters, torch._foreach_mul(self.momenta, rate))
