"""Seconds an epoch of DBC's two stages on MNIST-sized images, beside the same network written the plain way.

    python benchmarks/dbc_epoch.py
    python benchmarks/dbc_epoch.py --images 20480 --rounds 21
    python benchmarks/dbc_epoch.py --quick                # a few seconds

The plain way is ``plain/dbc.py``, in a process of its own. Both train the same network on the same images in batches
of one size, in turn; how many times faster is the median over the rounds. Prints a table and writes
``dbc-epoch.json`` to ``_build/bench`` (``--folder book/benchmarks`` for the page).
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from plain.dbc import BATCH, CLUSTERS, clocked, images_of
from torch import nn
from torch.nn import functional as F

from clustlib.dbc.minibatch import as_tensor, optimizer_of, shuffled
from clustlib.dbc.network import FCAE
from clustlib.kernels import boosted_kl, boosted_target, soft_assign
from clustlib.timings import Bar, Timing

NOTE = (
    "One pass of training over images of 28 x 28 pixels in batches of 256, the two sides in turn, each in a process of "
    "its own: seconds of the best round, and the median, smallest and largest over the rounds of how many times faster "
    "than the plain way in the same round. The convolutions alone are the six (stage I) or three (stage II) layers "
    "forward and backward."
)
LEAST = 1.5
PLAIN, OURS = "plain PyTorch, DataLoader", "clustlib"
STAGES = ("stage I", "stage II")


def plain_side(count: int) -> Callable[[], list[float]]:
    """Starts ``plain/dbc.py``; what comes back runs an epoch of both stages there and says how long each took."""
    script = Path(__file__).with_name("plain") / "dbc.py"
    child = subprocess.Popen(
        [sys.executable, script, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert child.stdin is not None and child.stdout is not None
    asked, told = child.stdin, child.stdout

    def run() -> list[float]:
        print(file=asked, flush=True)
        line = told.readline()
        if not line:
            raise RuntimeError(f"{script} stopped; its message is above")
        return [float(seconds) for seconds in line.split()]

    return run


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


def row(name: str, count: int, seconds: list[list[float]], plain: list[list[float]]) -> dict[str, Any]:
    """A side's shortest epochs, and the median over the rounds of how many times faster than the plain side's."""
    line: dict[str, Any] = {"side": name, "images": count, "threads": torch.get_num_threads()}
    for stage, spent, slow in zip(STAGES, zip(*seconds), zip(*plain)):
        ratios = np.divide(slow, spent)
        line[f"{stage}, s"] = round(min(spent), 3)
        line[f"{stage}, times faster"] = round(float(np.median(ratios)), 2)
        line[f"{stage}, from"], line[f"{stage}, to"] = (round(float(end), 2) for end in (ratios.min(), ratios.max()))
    return line


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--images", type=int, default=10_240)
    options.add_argument("--rounds", type=int, default=11)
    options.add_argument("--folder", type=Path)
    options.add_argument("--quick", action="store_true", help="1,024 images, two rounds")
    chosen = options.parse_args()
    count, rounds = (1024, 2) if chosen.quick else (chosen.images, chosen.rounds)
    images = images_of(count)
    centers = torch.randn(CLUSTERS, 120, generator=torch.Generator().manual_seed(0))
    target = boosted_target(soft_assign(torch.randn(count, 120), centers))
    sides = {
        PLAIN: plain_side(count),
        OURS: clocked(our_stages(images, target, centers)),
        "the convolutions alone": clocked(convolutions(-(-count // BATCH))),
    }
    seconds: dict[str, list[list[float]]] = {name: [] for name in sides}
    for run in sides.values():
        run()  # compiled code is loaded and memory is had before the clock counts
    for _ in range(rounds):
        for name, run in sides.items():
            seconds[name].append(run())
    rows = {name: row(name, count, found, seconds[PLAIN]) for name, found in seconds.items()}
    for line in rows.values():
        print(", ".join(f"{key}: {value}" for key, value in line.items()), flush=True)
    bars = [
        Bar(f"an epoch of {stage}", "speed-up", "times", LEAST, rows[OURS][f"{stage}, times faster"], at_least=True)
        for stage in STAGES
    ]
    for bar in bars:
        print(f"{bar.work}: {bar.measured} times as fast as the plain way, at least {bar.limit}: {bar.held}")
    Timing("dbc-epoch", "An epoch of DBC", NOTE, [*rows.values()], bars).save(chosen.folder)


if __name__ == "__main__":
    main()
