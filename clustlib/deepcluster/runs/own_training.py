"""A network that ``python -m clustlib.deepcluster.train`` left, in place of those that the runs train themselves."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from clustlib.deepcluster.runs.training import SETTINGS
from clustlib.errors import DataMissing, UsageError

MODEL = "model.clustlib"


def file_of(weights: str) -> Path:
    """The model's file: ``weights`` itself, or ``model.clustlib`` in a folder of that name."""
    path = Path(weights)
    return path / MODEL if path.is_dir() else path


def network(weights: str, method: str, seed: int) -> tuple[Any, float, int]:
    """The network behind a row, 0 seconds, and the size of its crops.

    Parameters
    ----------
    weights : the folder that the training's command left (``--out``), or its ``model.clustlib``.
    method : of one that is trained with clusters, the network as it was trained; of a random one, the same network with
        the weights that ``seed`` draws.
    """
    from clustlib.deepcluster.estimator import DeepCluster

    model = DeepCluster.load(file_of(weights), device="cpu")
    found = model.network_
    if SETTINGS[method].training == "none":
        found = model.untrained(seed)
    return found.eval(), 0.0, model.image_size_


def check(weights: str | None, method: str) -> None:
    """Refuse what cannot be right before any work is done.

    Raises
    ------
    DataMissing : no such file. UsageError : a row that was trained with labels, which such a file cannot hold.
    """
    if weights is None:
        return
    if not file_of(weights).is_file():
        raise DataMissing(f"{file_of(weights)} is missing: python -m clustlib.deepcluster.train FOLDER --out {weights}")
    if SETTINGS[method].training == "labels":
        raise UsageError(f"{method} needs labels: {weights} was trained without")


def uses(weights: str | None) -> list[str]:
    """What makes two files of weights two runs, as the sources of a record have it."""
    return [f"weights {_checksum(file_of(weights))}"] if weights and file_of(weights).is_file() else []


@cache
def _checksum(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
