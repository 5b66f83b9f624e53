"""A network that ``python -m clustlib.deepcluster.train`` left, in place of those that the runs train themselves."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from clustlib._arrays import shown
from clustlib.deepcluster.runs.training import SETTINGS
from clustlib.errors import DataMissing, UsageError
from clustlib.published.tables import choose

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

    model, setting = DeepCluster.load(file_of(weights), device="cpu"), SETTINGS[method]
    if (model.network, model.front) != (setting.network, setting.front):
        theirs, ours = f"{model.network} on {model.front}", f"{setting.network} on {setting.front}"
        raise UsageError(f"{weights} is {theirs}, and {method} is {ours}")
    trained = model.untrained(seed) if setting.training == "none" else model.network_
    return trained.eval(), 0.0, model.image_size_


def by_method(
    weights: str | Mapping[str, str] | None, methods: Sequence[str]
) -> Iterator[tuple[Sequence[str], str | None]]:
    """Which methods are run with which weights; those that none are given for are left out.

    Raises
    ------
    UsageError : what names no folder, a method that does not exist, one training for rows that differ in how they were
        trained.
    """
    for method in methods:
        choose("method", method, SETTINGS)
    if weights is None:
        yield methods, None
        return
    _check_names(weights)
    clustered = [method for method in methods if SETTINGS[method].training == "clusters"]
    if isinstance(weights, str):
        if len(clustered) > 1:
            raise UsageError(f"weights must name a training for each of {', '.join(clustered)}: {{method: folder}}")
        yield methods, weights
        return
    for method in methods:
        if theirs := weights.get(method, weights.get(method.replace("Random", "DeepCluster"))):
            yield [method], theirs


def _check_names(weights: Any) -> None:
    by_name = weights if isinstance(weights, Mapping) else {}
    for each in by_name.values() if isinstance(weights, Mapping) else [weights]:
        if not isinstance(each, str):
            raise UsageError(f"weights takes a folder, or {{method: folder}}; got {shown(each)}")
    for name in by_name:
        choose("method of weights", name, SETTINGS)


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
