"""DBC's network for MNIST the plain way: PyTorch's own layers, a DataLoader, the loss as Eq. (1) and (3) with autograd.

    python benchmarks/plain/dbc.py 10240     # then a line feed for every epoch of both stages; prints their seconds

The other side of ``benchmarks/dbc_epoch.py``, in a process of its own: it imports nothing of clustlib, whose settings
for memory would hold for it too.
"""

import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BATCH, CLUSTERS = 256, 10


class PlainFCAE(nn.Module):
    """Table 2's network for MNIST."""

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


def images_of(count: int) -> np.ndarray:
    """Noise of MNIST's size, (count, 1, 28, 28) uint8."""
    return (np.random.default_rng(0).random((count, 1, 28, 28)) < 0.2).astype(np.uint8) * 255


def stages(count: int) -> list[Callable[[], None]]:
    """One epoch of stage I and one of stage II."""
    images, drawn = torch.from_numpy(images_of(count)).float() / 255, torch.Generator().manual_seed(0)
    target = torch.rand(count, CLUSTERS, generator=drawn)
    loader = DataLoader(TensorDataset(images, target / target.sum(1, keepdim=True)), BATCH, shuffle=True)
    model, mu = PlainFCAE(), nn.Parameter(torch.randn(CLUSTERS, 120, generator=drawn))
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


def clocked(stages: list[Callable[[], None]]) -> Callable[[], list[float]]:
    """Runs each stage once and says how long it took."""

    def run() -> list[float]:
        seconds = []
        for stage in stages:
            clock = time.perf_counter()
            stage()
            seconds.append(time.perf_counter() - clock)
        return seconds

    return run


def main() -> None:
    run = clocked(stages(int(sys.argv[1])))
    for _ in sys.stdin:
        print(*run(), flush=True)


if __name__ == "__main__":
    main()
