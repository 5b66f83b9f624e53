"""Train DeepCluster on a folder of images, on one GPU or many.

python -m clustlib.deepcluster.train imagenet/train --out run --epochs 500 --workers 8
torchrun --nproc-per-node 8 -m clustlib.deepcluster.train imagenet/train --out run --network vgg16 --workers 8

Run the same command again to go on where it stopped. ``run/model.clustlib`` is the fitted estimator, options and
whitening included (``DeepCluster.load``; the evaluations' notebooks take it as ``weights``), ``run/network.pt`` the
weights alone, ``run/clusters.csv`` the cluster of every file, ``run/history.json`` what was noted of every epoch,
written after each.
"""

import argparse
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from clustlib import _paths
from clustlib._validation import check_choice, check_integer, check_number
from clustlib.datasets.folders import ImageFolder
from clustlib.deepcluster.estimator import DeepCluster
from clustlib.errors import UsageError

LARGEST = 4096  # pixels of a crop's side
A_WEEK = 7 * 24 * 60  # minutes


def parser() -> argparse.ArgumentParser:
    """The command line; what it leaves out is the paper's."""
    options = argparse.ArgumentParser(prog="train_deepcluster", description=__doc__.splitlines()[0])
    add = options.add_argument
    add("folder", type=Path, help="image files at any depth; folders of one level are taken for classes")
    add("--out", type=Path, required=True, help="where the results and the checkpoint go")
    add("--clusters", type=int, help="10,000; of fewer images than that a tenth of their number")
    add("--epochs", type=int, default=500)
    add("--network", choices=("alexnet", "vgg16"), default="alexnet")
    add("--front", choices=("sobel", "rgb"), default="sobel")
    add("--sampler", choices=("uniform", "released"), default="uniform")
    add("--width", type=float, default=1.0, help="share of the published widths")
    add("--size", type=int, default=224, help="pixels of the crops")
    add("--batch", "--batch-size", type=int, default=256, help="images a step, of all processes together")
    add("--lr", type=float, default=0.05, help="step size of SGD")
    add("--dropout", type=float, default=0.5, help="before fc6 and fc7")
    add("--reassign", type=int, default=1, help="epochs from one clustering to the next")
    add("--pca", type=int, default=256, help="components that are clustered")
    add("--kmeans", type=int, default=20, help="iterations of k-means")
    add("--workers", type=int, default=4, help="processes that decode files, for each process that trains")
    add("--precision", choices=("float32", "bfloat16"), default="float32", help="of the network's products")
    add("--checkpoint", type=int, default=500, help="batches from one checkpoint to the next")
    add("--snapshots", type=int, default=0, help="keep the weights every so many epochs; 0: only the last")
    add("--minutes", type=float, default=30, help="how long one process waits for another")
    add("--seed", type=int, default=0)
    add("--device", default="auto")
    return options


def main(argv: list[str] | None = None) -> None:
    """Join the other processes where there are some, train, and write what came of it."""
    from clustlib.deepcluster.joining import joined, one_line

    chosen = parser().parse_args(argv)
    with one_line():
        check_integer("--snapshots", chosen.snapshots, 0)
        check_number("--minutes", chosen.minutes, most=A_WEEK)
        check_integer("--size", chosen.size, 1, LARGEST)
        check_choice("--device", chosen.device.partition(":")[0], ("auto", "cpu", "cuda"))
        if _paths.lies_in(chosen.out, chosen.folder):
            raise UsageError(f"the results cannot lie inside the images: {chosen.out}")
    with joined(chosen.device, chosen.minutes) as device:
        _train(chosen, device)


def _train(chosen: argparse.Namespace, device: str) -> None:
    import torch

    from clustlib.networks.processes import Processes

    torch.backends.cudnn.benchmark = True  # of a GPU: all batches have one shape, so the fastest way is looked for once
    _paths.check_place(chosen.out / "checkpoint.pt")
    images, is_first = ImageFolder(chosen.folder), Processes().rank == 0
    chosen.out.mkdir(parents=True, exist_ok=True)  # before any work is done
    model = DeepCluster(
        chosen.clusters,
        network=chosen.network,
        front=chosen.front,
        network_options={"width": chosen.width},
        image_size=chosen.size,
        epochs=chosen.epochs,
        batch_size=chosen.batch,
        learning_rate=chosen.lr,
        dropout=chosen.dropout,
        n_components=chosen.pca,
        reassign=chosen.reassign,
        kmeans_iterations=chosen.kmeans,
        sampler=chosen.sampler,
        workers=chosen.workers,
        precision=chosen.precision,
        random_state=chosen.seed,
        device=device,
        checkpoint=chosen.out / "checkpoint.pt",
        checkpoint_every=chosen.checkpoint,
    )
    model.fit(images, images.labels, _noting(model, chosen.out, chosen.snapshots) if is_first else None)
    if is_first:
        _write(model, chosen.out)


def _noting(model: DeepCluster, out: Path, snapshots: int) -> Callable[..., None]:
    """After each epoch: a line, the history so far, and now and then the weights."""

    def note(entry: dict[str, float], *_: Any) -> None:
        epoch, waiting = int(entry["epoch"]), entry["seconds_waiting"] / entry["seconds_training"]
        speed = f"{entry['images_per_second']:,.0f} images a second, {waiting:.0%} of the time waiting for them"
        print(f"epoch {epoch}: loss {entry['loss']:.3f}; {speed}", flush=True)
        _note(out, {"epochs": model.history_})
        if snapshots and (epoch + 1) % snapshots == 0:
            _save_weights(model, out / f"network-{epoch + 1:04d}.pt")

    return note


def _note(out: Path, content: dict[str, Any]) -> None:
    _paths.write_atomically(out / "history.json", json.dumps(content, indent=1).encode())


def _save_weights(model: DeepCluster, path: Path) -> None:
    import torch

    buffer = io.BytesIO()
    torch.save(model.network_.state_dict(), buffer)
    _paths.write_atomically(path, buffer.getvalue())


def _write(model: DeepCluster, out: Path) -> None:
    _save_weights(model, out / "network.pt")
    model.save(out / "model.clustlib")
    np.save(out / "clusters.npy", model.labels_)
    table = io.StringIO(newline="")
    csv.writer(table).writerows([("file", "cluster"), *model.clusters_by_file().items()])
    _paths.write_atomically(out / "clusters.csv", table.getvalue().encode("utf-8", "surrogateescape"))
    damaged = {str(index): reason for index, reason in model.unreadable_.items()}
    _note(out, {"epochs": model.history_, "last": model.final_, "unreadable": damaged})


if __name__ == "__main__":
    main()
