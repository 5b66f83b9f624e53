"""What a training step of JULE is made of: its convolutions and linear layer alone, and what else was tried.

    python benchmarks/jule_parts.py
    python benchmarks/jule_parts.py --quick               # a few steps: whether it runs

Run it with nothing else on the machine. Batches of 100 images of noise, as in ``jule_step.py``. Prints a table and
writes ``jule-parts.json`` to ``_build/bench`` (``--folder book/benchmarks`` for the page).
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from jule_step import BATCH, IMAGES, SIZES, training_of
from torch import Tensor, nn
from torch.nn import functional as F

from clustlib.jule.network import Block
from clustlib.jule.triplet_training import TripletTraining
from clustlib.kernels.pooled_norm import pooled_norm
from clustlib.timings import Bar, Timing

NOTE = (
    "Milliseconds of the processor for a step of SGD on 100 images, float32, one thread, 100 clusters: medians over "
    "the rounds, in which the variants take turns. *Convolutions and linear layer alone* are those layers, forward and "
    "backward, on the same maps and without anything between them: what a step takes where all else costs nothing. "
    "*One fused pass* has batch normalisation, ReLU and pooling as the network of DBC does them, which wants the "
    "images' default order in memory. *Compiled* is `torch.compile` of the network."
)
WANTED = 1.25  # times as fast as the step was, which the project has set itself


def layers(training: TripletTraining) -> Callable[[], None]:
    """A call that runs the convolutions and the linear layer alone, each on the maps that reach it, there and back."""
    met: list[tuple[nn.Module, Tensor]] = []
    found = [layer for layer in training.network.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    hooks = [layer.register_forward_pre_hook(lambda layer, given: met.append((layer, given[0]))) for layer in found]
    with torch.no_grad():
        training._forward(training.batch(torch.arange(BATCH)))
    for hook in hooks:
        hook.remove()
    # the first layer has no gradient to hand further down
    inputs = [(layer, x.clone().requires_grad_(n > 0)) for n, (layer, x) in enumerate(met)]
    upstream = [torch.ones_like(layer(x)) for layer, x in inputs]

    def run() -> None:
        for (layer, x), gradient in zip(inputs, upstream):
            layer.zero_grad(set_to_none=True)
            x.grad = None
            layer(x).backward(gradient)

    return run


def _fused(block: Block, x: Tensor) -> Tensor:
    """The forward pass of a block through DBC's kernel."""
    x = block.convolution(x)
    return pooled_norm(x, block.norm)[0] if block.pool else F.relu(block.norm(x))


def steps(training: TripletTraining) -> Callable[[], None]:
    """A call that takes one step on the next batch."""
    drawn = torch.Generator().manual_seed(0)
    labels = torch.randint(100, (IMAGES,), generator=drawn)
    training.network.train()

    def run() -> None:
        index = torch.randint(IMAGES, (BATCH,), generator=drawn)
        training._step(index, labels[index])

    return run


def variants(shape: tuple[int, int, int]) -> dict[str, Callable[[], None]]:
    """What takes turns, by name."""
    fused, compiled = steps(training_of(shape, "float32")), training_of(shape, "float32")
    compiled.network.forward = torch.compile(compiled.network.forward)  # type: ignore[method-assign]

    def by_fused_blocks() -> None:
        with mock.patch.object(Block, "forward", _fused):
            fused()

    return {
        "a step": steps(training_of(shape, "float32")),
        "convolutions and linear layer alone": layers(training_of(shape, "float32")),
        "one fused pass": by_fused_blocks,
        "compiled": steps(compiled),
    }


def measure(name: str, shape: tuple[int, int, int], rounds: int, calls: int) -> list[dict[str, Any]]:
    """Rows of one size of image."""
    todo = variants(shape)
    spent: dict[str, list[float]] = {variant: [] for variant in todo}
    for run in todo.values():
        run()  # kernels are chosen and compiled before the clock counts
    for _ in range(rounds):
        for variant, run in todo.items():
            started = time.process_time()
            for _ in range(calls):
                run()
            spent[variant].append(1000 * (time.process_time() - started) / calls)
    whole = float(np.median(spent["a step"]))
    middle = {variant: float(np.median(found)) for variant, found in spent.items()}
    return [
        {"images": name, "variant": variant, "ms": round(ms, 2), "times as fast": round(whole / ms, 2)}
        for variant, ms in middle.items()
    ]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=11)
    options.add_argument("--quick", action="store_true", help="two rounds of one step")
    options.add_argument("--folder", type=Path, help="where the JSON goes; default _build/bench")
    given = options.parse_args()
    torch.set_num_threads(1)
    rounds, calls = (2, 1) if given.quick else (given.rounds, 10)
    rows = [row for name, shape in SIZES.items() for row in measure(name, shape, rounds, calls)]
    for row in rows:
        print(", ".join(f"{key}: {value}" for key, value in row.items()))
    tried = [row for row in rows if row["variant"] in ("one fused pass", "compiled")]
    bars = [
        Bar(f"a step of JULE, {row['images']}, {row['variant']}", "speed", "times", WANTED, row["times as fast"], True)
        for row in tried
    ]
    print(Timing("jule-parts", "What a step of JULE is made of", NOTE, rows, bars).save(given.folder))


if __name__ == "__main__":
    main()
