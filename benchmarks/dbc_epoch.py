"""Seconds an epoch of DBC's two stages on MNIST-sized images, beside the same network written the plain way.

    python benchmarks/dbc_epoch.py
    python benchmarks/dbc_epoch.py --images 20480 --rounds 5
    python benchmarks/dbc_epoch.py --quick                # a few seconds

The plain way is PyTorch's own layers, a DataLoader, and the loss written as Eq. (1) and (3) with autograd. Both train
the same network on the same images in batches of one size; rounds alternate and the best of each counts. Prints a
table and writes ``dbc-epoch.json`` to ``_build/bench`` (``--folder book/benchmarks`` for the page).
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from clustlib.kernels import boosted_kl, boosted_target, soft_assign
from clustlib.methods._minibatch import as_tensor, optimizer_of, shuffled
from clustlib.models import FCAE
from clustlib.timings import Bar, Timing

NOTE = (
    "One pass of training over images of 28 x 28 pixels in batches of 256; best of the rounds, the two sides in turn "
    "in one process. The convolutions alone are the six (stage I) or three (stage II) layers forward and backward."
)
BATCH, CLUSTERS, LEAST = 256, 10, 1.5


class PlainFCAE(nn.Module):
    """Table 2's network for MNIST in PyTorch's own layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16)
        self.code, self.bn3 = nn.Conv2d(16, 120, 4), nn.BatchNorm2d(120)
        self.up3, self.bn4 = nn.ConvTranspose2d(120, 16, 4), nn.BatchNorm2d(16)
        self.up2, self.bn5 = nn.ConvTranspose2d(16, 6, 5), nn.BatchNorm2d(6)
        self.up1 = nn.ConvTranspose2d(6, 1, 5)
        self.pool, self.unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x, first = self.pool(F.relu(self.bn1(self.conv1(x))))
        x, second = self.pool(F.relu(self.bn2(self.conv2(x))))
        return self.bn3(self.code(x)), first, second

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, first, second = self.encode(x)
        x = self.unpool(F.relu(self.bn4(self.up3(x))), second)
        return self.up1(self.unpool(F.relu(self.bn5(self.up2(x))), first))


def plain_stages(images: np.ndarray, target: torch.Tensor, centers: torch.Tensor) -> list[Callable[[], None]]:
    """One epoch of stage I and one of stage II, the plain way."""
    model, mu = PlainFCAE(), nn.Parameter(centers.clone())
    data = TensorDataset(torch.from_numpy(images).float() / 255, target)
    loader = DataLoader(data, BATCH, shuffle=True)
    first = torch.optim.Adam(model.parameters())
    second = torch.optim.Adam([*model.parameters(), mu])

    def stage_1() -> None:
        for x, _ in loader:
            loss = F.mse_loss(model(x), x)
            first.zero_grad()
            loss.backward()
            first.step()

    def stage_2() -> None:
        for x, r in loader:
            z = model.encode(x)[0].flatten(1)
            q = 1 / (1 + ((z[:, None] - mu) ** 2).sum(2))
            loss = (r * (r / (q / q.sum(1, keepdim=True))).log()).sum(1).mean()
            second.zero_grad()
            loss.backward()
            second.step()

    return [stage_1, stage_2]


def our_stages(images: np.ndarray, target: torch.Tensor, centers: torch.Tensor) -> list[Callable[[], None]]:
    """The same two with the project's kernels, as its estimators run them."""
    model, mu = FCAE((1, 28, 28), code="bn"), nn.Parameter(centers.clone())
    tensor, drawn = as_tensor(images, torch.device("cpu")), torch.Generator().manual_seed(0)
    first = optimizer_of("adam", model.parameters(), 1e-3, 0)
    second = optimizer_of("adam", [*model.encoder_parameters(), mu], 1e-3, 0)

    def stage_1() -> None:
        model.train()
        for _, x in shuffled(tensor, BATCH, drawn, "rms"):
            loss = F.mse_loss(model(x)[1], x)
            first.zero_grad(set_to_none=True)
            loss.backward()
            first.step()

    def stage_2() -> None:
        model.train()
        for index, x in shuffled(tensor, BATCH, drawn, "rms"):
            loss = boosted_kl(model.encode(x), mu, target[index]) / len(index)
            second.zero_grad(set_to_none=True)
            loss.backward()
            second.step()

    return [stage_1, stage_2]


def convolutions(steps: int) -> list[Callable[[], None]]:
    """The convolutions of both stages alone, forward and backward, on batches of noise."""
    layers: list[nn.Module] = [nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5), nn.Conv2d(16, 120, 4)]
    layers += [nn.ConvTranspose2d(120, 16, 4), nn.ConvTranspose2d(16, 6, 5), nn.ConvTranspose2d(6, 1, 5)]
    sizes = [(1, 28), (6, 12), (16, 4), (120, 1), (16, 8), (6, 24)]
    inputs = [torch.rand(BATCH, channels, side, side) for channels, side in sizes]

    def run(count: int) -> None:
        for _ in range(steps):
            for number, (layer, x) in enumerate(zip(layers[:count], inputs)):
                layer(x.detach().requires_grad_(number > 0)).sum().backward()

    return [lambda: run(6), lambda: run(3)]


def best(stages: list[Callable[[], None]], seconds: list[float]) -> None:
    """Run each stage once and keep its shortest time so far."""
    for number, stage in enumerate(stages):
        clock = time.perf_counter()
        stage()
        seconds[number] = min(seconds[number], time.perf_counter() - clock)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--images", type=int, default=10_240)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--folder", type=Path)
    options.add_argument("--quick", action="store_true", help="1,024 images, two rounds")
    chosen = options.parse_args()
    count, rounds = (1024, 2) if chosen.quick else (chosen.images, chosen.rounds)
    drawn = np.random.default_rng(0)
    images = (drawn.random((count, 1, 28, 28)) < 0.2).astype(np.uint8) * 255
    centers = torch.randn(CLUSTERS, 120, generator=torch.Generator().manual_seed(0))
    target = boosted_target(soft_assign(torch.randn(count, 120), centers))
    sides = {
        "plain PyTorch, DataLoader": plain_stages(images, target, centers),
        "clustlib": our_stages(images, target, centers),
        "the convolutions alone": convolutions(-(-count // BATCH)),
    }
    seconds = {name: [float("inf")] * 2 for name in sides}
    for stages in sides.values():
        best(stages, [float("inf")] * 2)  # compiled code is loaded and memory is had before the clock counts
    for _ in range(rounds):
        for name, stages in sides.items():
            best(stages, seconds[name])
    rows, plain = [], seconds["plain PyTorch, DataLoader"]
    for name, found in seconds.items():
        row = {"side": name, "images": count, "threads": torch.get_num_threads()}
        for stage, spent, slow in zip(("stage I", "stage II"), found, plain):
            row |= {f"{stage}, s": round(spent, 3), f"{stage}, times faster": round(slow / spent, 2)}
        rows.append(row)
        print(", ".join(f"{key}: {value}" for key, value in row.items()), flush=True)
    faster = [slow / ours for slow, ours in zip(plain, seconds["clustlib"])]
    works = zip(("an epoch of stage I", "an epoch of stage II"), faster)
    bars = [Bar(work, "speed-up", "times", LEAST, round(ratio, 2), at_least=True) for work, ratio in works]
    for bar in bars:
        print(f"{bar.work}: {bar.measured} times as fast as the plain way, at least {bar.limit}: {bar.held}")
    Timing("dbc-epoch", "An epoch of DBC", NOTE, rows, bars).save(chosen.folder)


if __name__ == "__main__":
    main()
