"""How fast DeepCluster's files are decoded for it, against decoding alone, side by side in one run.

python benchmarks/deepcluster_decoding.py                            Imagenette's images of 160 pixels, where they are
                                                                     at hand, else made-up ones; as many as it trains on
python benchmarks/deepcluster_decoding.py IMAGES --size 160          files of one's own
python benchmarks/deepcluster_decoding.py --quick                    1,500 images
python benchmarks/deepcluster_decoding.py --folder book/benchmarks   the committed file

*alone* decodes and crops in as many processes as there are cores and does nothing with what it has, which is the limit.
*fed* hands the same crops to the training process, by 0, 1, 2 and 4 workers, whose start is counted. The rounds
alternate, and each number is the median of the rounds' ratios. *waiting* is the share of an epoch of training (an
AlexNet of an eighth) that is spent waiting for crops, the workers' start included.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clustlib import DeepCluster, datasets
from clustlib.datasets import fetch
from clustlib.datasets.folders import ImageFolder
from clustlib.deepcluster.feeding import Feed
from clustlib.networks.crops import FolderImages, draw_uniforms
from clustlib.networks.processes import seeded
from clustlib.timings import Bar, Timing

BATCH = 64
EPOCH = 9_469  # images of Imagenette's training set
MOST_BEHIND, MOST_WAITING = 1.2, 0.1  # bars: alone is so many times as fast; the share of training spent waiting
NOTE = (
    "{images}, cut at random to {size} pixels. *alone* decodes in as many processes as there are cores and does "
    "nothing else: the limit. Workers hand the crops to the training process as floats; their start counts. "
    "*waiting* is the share of an epoch that training (an AlexNet of an eighth) waits for crops."
)
FULL_SIZE = (
    " The last row decodes two photographs that scikit-learn ships, again and again, to crops of 224; ImageNet's are "
    "somewhat smaller. By that rate, and by arithmetic alone, it says how many such cores keep up with the paper's 500 "
    "epochs in its 12 days, each of which reads 1,281,167 images once to cluster and once to train. For eight GPUs of "
    "R images a second each it is 8 R over the row's images a second and core."
)
EPOCHS, IMAGENET, DAYS = 500, 1_281_167, 12
NUMBER = 1_000  # of those photographs; ImageNet's have about 500 x 375 pixels


def made_up(folder: Path, n: int, side: int) -> str:
    """JPEGs of smooth noise, whose files are about as large as photographs' of that size."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for i in range(n):
        coarse = Image.fromarray(rng.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8))
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{i:05d}.jpg", quality=88)
    return "made-up images"


def imagenette(folder: Path, n: int) -> str | None:
    """The official images of 160 pixels, those of validation again and again; None where they are not at hand."""
    found = fetch.locate(datasets.info("imagenette-val"))
    if found is None:
        return None
    shutil.unpack_archive(found.paths[0], folder / "whole")
    files = sorted(path for path in (folder / "whole").rglob("val/**/*.JPEG"))
    for i in range(n):
        os.link(files[i % len(files)], folder / f"{i:05d}.jpg")
    shutil.rmtree(folder / "whole")
    return "Imagenette's images"


def batches(n: int) -> list[np.ndarray]:
    """All images, in order, in batches."""
    return np.array_split(np.arange(n), -(-n // BATCH))


_held: list[FolderImages] = []  # of a process that decodes alone: thousands of paths are not sent with each batch


def decode(number: int, index: np.ndarray) -> int:
    """One batch, decoded and cropped."""
    return len(_held[0].pixels(index, draw_uniforms(len(index), seeded(0, number)))[1])


def alone(n: int, pool: ProcessPoolExecutor) -> float:
    """Images a second of decoding alone, by processes that run already."""
    clock = time.perf_counter()
    parts = batches(n)
    done = sum(pool.map(decode, range(len(parts)), parts))
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


def measured(folder: Path, size: int, rounds: int, counts: list[int]) -> list[dict[str, Any]]:
    """Everything, in one run: a row for decoding alone and one for each number of workers."""
    images = ImageFolder(folder)
    source = FolderImages(images, size)
    speeds: dict[int | None, list[float]] = {count: [] for count in [None, *counts]}
    with ProcessPoolExecutor(os.cpu_count(), initializer=_held.append, initargs=(source,)) as pool:
        for _ in range(rounds + 1):
            for count, found in speeds.items():
                found.append(alone(len(source), pool) if count is None else fed(source, count))
    kept = {count: found[1:] for count, found in speeds.items()}  # the first round warms the files up
    rows: list[dict[str, Any]] = [{"decoding": f"alone, {os.cpu_count()} processes"}]
    for count, found in kept.items():
        behind = statistics.median(a / b for a, b in zip(kept[None], found))
        if count is not None:
            rows.append({"decoding": f"fed by {count} workers", "alone is so many times as fast": behind})
        rows[-1]["images a second"] = round(statistics.median(found))
    for row, count in zip(rows[1:], counts):
        if count in (0, max(counts)):
            trained = waiting(images, size, count)
            row |= {"trained, images a second": round(trained["images per second"]), "waiting": trained["waiting"]}
    return rows


def full_size(folder: Path, rounds: int) -> dict[str, Any]:
    """A row for decoding alone two photographs of somewhat more pixels than ImageNet's, again and again."""
    from sklearn.datasets import load_sample_images

    files = sorted(path for path in load_sample_images().filenames if path.endswith(".jpg"))
    for i in range(NUMBER):
        shutil.copy(files[i % len(files)], folder / f"{i:05d}.jpg")
    source, cores = FolderImages(ImageFolder(folder), 224), os.cpu_count() or 1
    with ProcessPoolExecutor(cores, initializer=_held.append, initargs=(source,)) as pool:
        speed = statistics.median([alone(len(source), pool) for _ in range(rounds + 1)][1:])
    needed = EPOCHS * 2 * IMAGENET / (DAYS * 24 * 3600)
    return {
        "decoding": f"alone, {cores} processes, photographs of 640 x 427 pixels",
        "images a second": round(speed),
        "cores for ImageNet": round(needed / speed * cores),
    }


def bars(rows: list[dict[str, Any]], work: str) -> list[Bar]:
    """What was measured beside each bar, with the most workers."""
    last = rows[-1]
    return [
        Bar(work, "time over decoding alone, 4 workers", "times", MOST_BEHIND, last["alone is so many times as fast"]),
        Bar(work, "share of training spent waiting, 4 workers", "of 1", MOST_WAITING, last["waiting"]),
    ]


def main() -> None:
    """Measure, print, and save where the numbers are those of the page."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("images", type=Path, nargs="?", help="a folder of image files")
    options.add_argument("--size", type=int, default=140, help="pixels of the crops")
    options.add_argument("--number", type=int, default=EPOCH, help="of images, where no folder is given")
    options.add_argument("--quick", action="store_true", help="1,500 images, one round")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--folder", type=Path, help="where the JSON goes; default _build/bench")
    given = options.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    number, rounds = (1_500, 1) if given.quick else (given.number, given.rounds)
    with tempfile.TemporaryDirectory() as scratch:
        work = "files of one's own" if given.images else imagenette(Path(scratch), number)
        work = work or made_up(Path(scratch), number, 160)
        folder = given.images or Path(scratch)
        number = len(ImageFolder(folder))
        rows = measured(folder, given.size, rounds, [0, 1, 2, 4])
    held = bars(rows, f"{number:,} of {work}")
    with tempfile.TemporaryDirectory() as scratch:
        rows.append(full_size(Path(scratch), rounds))
    for row in rows:
        print(", ".join(f"{k}: {v:.3g}" if isinstance(v, float) else f"{k}: {v}" for k, v in row.items()), flush=True)
    for bar in held:
        verdict = "held" if bar.held else "MISSED"
        print(f"{bar.work}, {bar.quantity}: {bar.measured:.3f} {bar.unit}, bar {bar.limit:g}: {verdict}")
    note = NOTE.format(size=given.size, images=f"{number:,} JPEGs, {work}") + FULL_SIZE
    print(Timing("deepcluster-decoding", "Decoding for DeepCluster", note, rows, held).save(given.folder))


if __name__ == "__main__":
    main()
