"""Where the fits of experiments that are under way are kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from clustlib import _paths
from clustlib.records.runs import key_of, mark_of

_LONGEST = 180  # characters of a name: a file's may have 255 bytes, and the fit's identity stands in the file itself


def checkpoint_of(fn: Callable, params: dict[str, Any]) -> Path:
    """The file of a fit by ``fn(**params)``, named after its parameters and sources: changed code begins anew."""
    name = key_of(fn, params).replace("/", "-")[:_LONGEST]
    return _paths.build("checkpoints") / f"{name}.{mark_of(fn, params)}.pt"
