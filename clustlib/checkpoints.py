"""The state of a long fit on disk: written whole after every epoch, resumed exactly, refused if it is another fit's."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from clustlib import _paths
from clustlib.errors import DataCorrupt, UsageError

_FORMAT = 1


def content_hash(*arrays: np.ndarray) -> str:
    """A hash of the arrays' shapes, dtypes and values: which data a checkpoint belongs to."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.shape}{array.dtype}".encode())
        total.update(np.ascontiguousarray(array).view(np.uint8).data)
    return total.hexdigest()


class Checkpoint:
    """One fit's file. ``path=None`` keeps nothing: every method does nothing.

    Parameters
    ----------
    path : the file; its folder is made when first needed.
    identity : what makes two fits the same: parameters, seed, :func:`content_hash` of the data; plain JSON values.
        How long to train need not be in it, so that a finished fit can go on.
    """

    def __init__(self, path: str | Path | None, identity: dict[str, Any]) -> None:
        self.path = None if path is None else Path(path)
        self._identity = json.dumps(identity, sort_keys=True)

    def save(self, state: dict[str, Any]) -> None:
        """Replace the file by ``state``: tensors, numbers, strings, and lists and dicts of them.

        The old state stays until the new one is on disk whole, so a kill at any moment loses one epoch at most.
        """
        if self.path is None:
            return
        import torch

        buffer = io.BytesIO()
        torch.save({"format": _FORMAT, "identity": self._identity, "state": state}, buffer)
        _paths.write_atomically(self.path, buffer.getvalue())

    def load(self, device: Any = "cpu") -> dict[str, Any] | None:
        """The last saved state with its tensors on ``device``; None where there is none.

        Raises
        ------
        DataCorrupt : the file is damaged or no checkpoint.
        UsageError : it belongs to a fit with other parameters or data; names what differs.
        """
        if self.path is None or not self.path.is_file():
            return None
        import torch

        try:
            found = torch.load(self.path, map_location=device, weights_only=True)
            identity, state = found["identity"], found["state"]
        except Exception as error:  # torch raises a dozen types on a damaged file
            raise DataCorrupt(
                f"{self.path} is damaged or no checkpoint ({type(error).__name__}); delete it to start again"
            ) from None
        if identity != self._identity:
            raise UsageError(
                f"{self.path} is the checkpoint of another fit ({self._differences(identity)}); "
                "delete it or choose another file"
            )
        return state

    def _differences(self, other: str) -> str:
        mine, theirs = json.loads(self._identity), json.loads(other)
        names = [name for name in sorted({*mine, *theirs}) if mine.get(name) != theirs.get(name)]
        return ", ".join(f"{name}: {theirs.get(name)!r} there, {mine.get(name)!r} here" for name in names)[:300]

    def remove(self) -> None:
        """Delete the file, if there is one."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


_LONGEST = 180  # characters of a name: a file's may have 255 bytes, and the fit's identity stands in the file itself


def checkpoint_of(fn: Callable, params: dict[str, Any]) -> Path:
    """The file of a fit by ``fn(**params)``, named after its parameters and sources: changed code begins anew."""
    from clustlib.records.runs import key_of, mark_of

    name = key_of(fn, params).replace("/", "-")[:_LONGEST]
    return _paths.build("checkpoints") / f"{name}.{mark_of(fn, params)}.pt"
