"""How fast DeepCluster's files are decoded for it, against decoding alone, side by side in one run.

python benchmarks/deepcluster_decoding.py                          made-up JPEGs of 160 pixels
python benchmarks/deepcluster_decoding.py FOLDER --size 160        files of one's own

*alone* decodes and crops in as many processes as there are cores and does nothing with what it has, which is the limit.
*fed* hands the same crops to the training process, by 0, 1, 2 and 4 workers. The rounds alternate, and each number is
the median of the rounds' ratios. *waiting* is the share of an epoch of training (an AlexNet of an eighth) that is
spent waiting for crops.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch

from clustlib import DeepCluster
from clustlib.datasets.folders import ImageFolder
from clustlib.deepcluster.feeding import Feed
from clustlib.networks.crops import FolderImages, draw_uniforms
from clustlib.networks.processes import seeded
from clustlib.records import provenance

BATCH = 64


def made_up(folder: Path, n: int, side: int) -> Path:
    """JPEGs of smooth noise, whose files are about as large as photographs' of that size."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for i in range(n):
        coarse = Image.fromarray(rng.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8))
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{i:05d}.jpg", quality=88)
    return folder


def batches(n: int) -> list[np.ndarray]:
    """All images, in order, in batches."""
    return np.array_split(np.arange(n), -(-n // BATCH))


def decode(source: FolderImages, number: int, index: np.ndarray) -> int:
    """One batch, decoded and cropped."""
    return len(source.pixels(index, draw_uniforms(len(index), seeded(0, number)))[1])


def alone(source: FolderImages, pool: ProcessPoolExecutor) -> float:
    """Images a second of decoding alone."""
    clock = time.perf_counter()
    parts = batches(len(source))
    done = sum(pool.map(decode, [source] * len(parts), range(len(parts)), parts))
    return done / (time.perf_counter() - clock)


def fed(source: FolderImages, workers: int) -> float:
    """Images a second that reach the training process."""
    parts, clock = batches(len(source)), time.perf_counter()
    feed = Feed(
        source, parts, torch.device("cpu"), lambda i: draw_uniforms(len(parts[i]), seeded(0, i)), workers=workers
    )
    done = sum(len(kept) for _, kept in feed)
    return done / (time.perf_counter() - clock)


def waiting(folder: ImageFolder, size: int, workers: int) -> dict[str, float]:
    """Of an epoch of training: images a second, and the share of the time that is spent waiting for them."""
    model = DeepCluster(
        10,
        network_options={"width": 0.125},
        image_size=size,
        epochs=1,
        batch_size=BATCH,
        n_components=32,
        dropout=0.0,
        workers=workers,
        device="cpu",
        verbose=False,
    ).fit(folder)
    entry = model.history_[0]
    share = entry["seconds_waiting"] / entry["seconds_training"]
    return {"images per second": entry["images_per_second"], "waiting": share}


def measured(folder: Path, size: int, rounds: int, counts: list[int]) -> dict:
    """Everything, in one run."""
    images = ImageFolder(folder)
    source = FolderImages(images, size)
    speeds: dict[str, list[float]] = {name: [] for name in ["alone", *map(str, counts)]}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for _ in range(rounds + 1):
            speeds["alone"].append(alone(source, pool))
            for workers in counts:
                speeds[str(workers)].append(fed(source, workers))
    kept = {name: found[1:] for name, found in speeds.items()}  # the first round warms the files up
    against = {name: statistics.median(a / b for a, b in zip(kept["alone"], found)) for name, found in kept.items()}
    return {
        "machine": provenance.cpu(),
        "images": len(images),
        "pixels of a crop": size,
        "images per second": {name: statistics.median(found) for name, found in kept.items()},
        "decoding alone is so many times as fast": against,
        "training": {str(workers): waiting(images, size, workers) for workers in (0, max(counts))},
    }


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("folder", type=Path, nargs="?")
    options.add_argument("--size", type=int, default=140, help="pixels of the crops")
    options.add_argument("--images", type=int, default=1500, help="made up where no folder is given")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--workers", type=int, nargs="*", default=[0, 1, 2, 4])
    chosen = options.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.folder or made_up(Path(scratch), chosen.images, 160)
        print(json.dumps(measured(folder, chosen.size, chosen.rounds, chosen.workers), indent=1))


if __name__ == "__main__":
    main()
