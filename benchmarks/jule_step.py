"""A training step of JULE and the construction of its triplets, beside the share that it may take.

    python benchmarks/jule_step.py
    python benchmarks/jule_step.py --steps 50 --precision bfloat16
    python benchmarks/jule_step.py --quick                # a few seconds

Times do not depend on what the images show, so they are noise of the sizes of USPS and MNIST, in batches of 100; only
how many clusters a batch holds matters: the first period has about a fifth as many clusters as images, the last
ten. Prints a table and writes ``jule-step.json`` to ``_build/bench`` (``--folder book/benchmarks`` for the page).
"""

import argparse
import random
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from clustlib.jule.network import JuleNet
from clustlib.jule.triplet_training import Descent, TripletLoss, TripletTraining
from clustlib.kernels import sample_triplets
from clustlib.timings import Bar, Timing

NOTE = (
    "One step of SGD on a batch of 100 images: triplets, forward, loss, backward, update. Medians over the steps, on "
    "one thread, in seconds of the processor, which other work on the machine lengthens less than those of the clock. "
    "Triplets are drawn by compiled loops on the CPU and by vectorised sampling on a GPU, without rejection; the plain "
    "way is the released code's plan, nested loops that draw negatives until they differ, in Python. It is quicker "
    "where a batch has hardly a pair."
)
BATCH, NEGATIVES, SHARE = 100, 20, 5.0  # the share is in per cent of a step
SIZES = {"USPS, 16 x 16": (1, 16, 16), "MNIST, 28 x 28": (1, 28, 28)}
IMAGES = 5000
CLUSTERS = {"first period": IMAGES // 5, "middle": 100, "last period": 10}


def training_of(shape: tuple[int, int, int], precision: str) -> TripletTraining:
    """A network for noise of a shape, with the paper's loss and descent."""
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, *shape)).astype(np.uint8)
    network = JuleNet(*shape, generator=torch.Generator().manual_seed(0))
    loss = TripletLoss(2.0, 0.2, NEGATIVES, "random", "exact")
    descent = Descent(0.01, 0.9, 0.0, 5e-5, BATCH, precision)
    return TripletTraining(images, network, loss, descent, 0, torch.device("cpu"))


def time_steps(training: TripletTraining, labels: torch.Tensor, steps: int) -> tuple[float, float]:
    """Median milliseconds of a step, and of the construction of triplets alone, over batches that have a triplet."""
    training.network.train()
    whole, part = [], []
    drawing = torch.Generator().manual_seed(0)
    for index in torch.randperm(IMAGES).split(BATCH)[:steps]:
        own = labels[index]
        started = time.process_time()
        training._step(index, own)
        middle = time.process_time()
        triplets = sample_triplets(own, NEGATIVES, generator=drawing)
        ended = time.process_time()
        if len(triplets):  # without, there is nothing to learn and the step is hardly any work
            part.append(ended - middle)
            whole.append(middle - started)
    return 1000 * float(np.median(whole)), 1000 * float(np.median(part))


def plain_triplets(labels: list[int]) -> list[tuple[int, int, int]]:
    """The triplets of a batch by loops and rejection."""
    members = defaultdict(list)
    for i, label in enumerate(labels):
        members[label].append(i)
    wanted = min(NEGATIVES, len(members) - 1)
    found = []
    for cluster, own in members.items():
        for m, anchor in enumerate(own):
            for positive in own[m + 1 :]:
                drawn: set[int] = set()
                while len(drawn) < wanted:
                    other = random.randrange(len(labels))
                    if labels[other] != cluster:
                        drawn.add(other)
                found += [(anchor, positive, negative) for negative in drawn]
    return found


def time_plain(labels: torch.Tensor, steps: int) -> float:
    """Median milliseconds of a batch's triplets by loops."""
    seconds = []
    for index in torch.randperm(IMAGES).split(BATCH)[:steps]:
        batch = labels[index].tolist()
        started = time.process_time()
        plain_triplets(batch)
        seconds.append(time.process_time() - started)
    return 1000 * float(np.median(seconds))


def measure(name: str, stage: str, training: TripletTraining, steps: int) -> dict:
    """A row: one size of image at one stage of a fit."""
    drawn = torch.Generator().manual_seed(0)
    labels = torch.randint(CLUSTERS[stage], (IMAGES,), generator=drawn)
    time_steps(training, labels, 3)  # kernels are chosen and memory is had before the clock counts
    best = time_steps(training, labels, steps)
    plain = time_plain(labels, steps)
    triplets = np.mean([len(sample_triplets(labels[i], NEGATIVES)) for i in torch.randperm(IMAGES).split(BATCH)])
    return {
        "images": name,
        "stage": stage,
        "clusters": CLUSTERS[stage],
        "triplets a batch": round(float(triplets)),
        "precision": training.descent.precision,
        "threads": torch.get_num_threads(),
        "step (ms)": round(best[0], 2),
        "triplets (ms)": round(best[1], 3),
        "share (%)": round(100 * best[1] / best[0], 2),
        "loops (ms)": round(plain, 2),
        "loops / ours": round(plain / best[1], 1),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--steps", type=int, default=30, help="batches, at most 50")
    options.add_argument("--precision", nargs="+", default=["float32", "bfloat16"])
    options.add_argument("--folder", type=Path, help="where the JSON goes; default _build/bench")
    options.add_argument("--quick", action="store_true", help="USPS in float32 only, ten batches")
    given = options.parse_args()
    sizes = dict(list(SIZES.items())[:1]) if given.quick else SIZES
    precisions = ["float32"] if given.quick else given.precision
    torch.set_num_threads(1)  # processor time adds up over threads
    steps = 10 if given.quick else given.steps
    rows = []
    for name, shape in sizes.items():
        for precision in precisions:
            training = training_of(shape, precision)
            for stage in CLUSTERS:
                rows.append(measure(name, stage, training, steps))
                print(", ".join(f"{key}: {value}" for key, value in rows[-1].items()), flush=True)
    bars = [
        Bar(f"{row['images']}, {row['stage']}, {row['precision']}", "triplets of a step", "%", SHARE, row["share (%)"])
        for row in rows
    ]
    for bar in bars:
        print(f"{bar.work}: {bar.measured} % of a step, at most {bar.limit:g} %: {'held' if bar.held else 'MISSED'}")
    print(Timing("jule-step", "A training step of JULE", NOTE, rows, bars).save(given.folder))


if __name__ == "__main__":
    main()
