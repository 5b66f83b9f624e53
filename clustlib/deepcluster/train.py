"""Train DeepCluster on a folder of images, on one GPU or many.

python -m clustlib.deepcluster.train imagenet/train --out run --epochs 500
torchrun --nproc-per-node 8 -m clustlib.deepcluster.train imagenet/train --out run --network vgg16

Run the same command again to go on where it stopped. ``run/network.pt`` are the weights, ``run/clusters.npy`` the
clusters, ``run/history.json`` what was noted of every epoch.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np

from clustlib import _paths
from clustlib.datasets.folders import ImageFolder
from clustlib.deepcluster.estimator import DeepCluster


def parser() -> argparse.ArgumentParser:
    """The command line; what it leaves out is the paper's."""
    options = argparse.ArgumentParser(prog="train_deepcluster", description=__doc__.splitlines()[0])
    options.add_argument(
        "folder", type=Path, help="image files at any depth; folders of one level are taken for classes"
    )
    options.add_argument("--out", type=Path, required=True, help="where the results and the checkpoint go")
    options.add_argument("--clusters", type=int, default=10_000)
    options.add_argument("--epochs", type=int, default=500)
    options.add_argument("--network", choices=("alexnet", "vgg16"), default="alexnet")
    options.add_argument("--front", choices=("sobel", "rgb"), default="sobel")
    options.add_argument("--sampler", choices=("uniform", "released"), default="uniform")
    options.add_argument("--width", type=float, default=1.0, help="share of the published widths")
    options.add_argument("--size", type=int, default=224, help="pixels of the crops")
    options.add_argument("--batch-size", type=int, default=256, help="of all processes together")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--device", default="auto")
    return options


def main(argv: list[str] | None = None) -> None:
    """Join the other processes where there are some, train, and write what came of it."""
    import torch

    chosen = parser().parse_args(argv)
    many = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if many:
        gpu = torch.cuda.is_available() and chosen.device != "cpu"
        torch.distributed.init_process_group("nccl" if gpu else "gloo")
        if gpu:
            chosen.device = f"cuda:{os.environ['LOCAL_RANK']}"
            torch.cuda.set_device(chosen.device)
    images = ImageFolder(chosen.folder)
    model = DeepCluster(
        chosen.clusters,
        network=chosen.network,
        front=chosen.front,
        network_options={"width": chosen.width},
        image_size=chosen.size,
        epochs=chosen.epochs,
        batch_size=chosen.batch_size,
        sampler=chosen.sampler,
        random_state=chosen.seed,
        device=chosen.device,
        checkpoint=chosen.out / "checkpoint.pt",
    ).fit(images, images.labels)
    if not many or torch.distributed.get_rank() == 0:
        _write(model, chosen.out)
    if many:
        torch.distributed.destroy_process_group()


def _write(model: DeepCluster, out: Path) -> None:
    import torch

    torch.save(model.network_.state_dict(), out / "network.pt")
    np.save(out / "clusters.npy", model.labels_)
    damaged = {str(index): reason for index, reason in model.unreadable_.items()}
    content = {"epochs": model.history_, "last": model.final_, "unreadable": damaged}
    _paths.write_atomically(out / "history.json", json.dumps(content, indent=1).encode())


if __name__ == "__main__":
    main()
