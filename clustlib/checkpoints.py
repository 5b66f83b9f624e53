"""The state of a long fit on disk: written whole after every epoch, resumed exactly, refused if it is another fit's.

A file ends in its seal, the SHA-256 of all that stands before it, so that no changed byte goes unnoticed.
"""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from clustlib import _paths
from clustlib._arrays import shown
from clustlib.errors import DataCorrupt, UsageError

_FORMAT = 2  # 1 had no seal
_SEAL = b"\nsealed by clustlib, SHA-256 "
_SEALED = len(_SEAL) + 64 + 1
_WHERE = ("device", "checkpoint", "checkpoint_every", "cache", "feature_memory", "verbose")


def content_hash(*arrays: np.ndarray) -> str:
    """A hash of the arrays' shapes, dtypes and values: which data a checkpoint belongs to."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.shape}{array.dtype}".encode())
        total.update(np.ascontiguousarray(array).view(np.uint8).data)
    return total.hexdigest()


def identity(model: Any, without: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """What makes two fits of an estimator the same: its parameters as plain values, and ``more``.

    Where it runs and what it keeps is never part of it. ``without`` names the parameters that say how long to train,
    so that a finished fit can go on, and those for which ``more`` has something better.
    """
    left_out = {*_WHERE, *without}
    parameters = {name: value for name, value in model.get_params(deep=False).items() if name not in left_out}
    return {name: plain(value) for name, value in {**parameters, **more}.items()}


def plain(value: Any) -> Any:
    """``value`` as JSON has it: NumPy's scalars as Python's, tuples as lists, a random generator as a hash."""
    if isinstance(value, np.random.RandomState):
        _, keys, *position = value.get_state()
        return content_hash(np.asarray(keys), np.array(position))
    if isinstance(value, (np.generic, np.ndarray)):
        return plain(value.tolist())
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def seal(content: io.BytesIO) -> bytes:
    """The buffer's bytes and their seal behind them."""
    digest = hashlib.sha256(content.getbuffer()).hexdigest()
    content.seek(0, io.SEEK_END)
    content.write(_SEAL + digest.encode() + b"\n")
    return content.getvalue()


def unsealed(path: Path, otherwise: str = "delete it to start again") -> io.BytesIO:
    """The content of a sealed file, its seal compared. ``otherwise`` is what to do about a damaged one.

    Raises
    ------
    DataCorrupt : a changed or missing byte, or a file that was never sealed.
    """
    whole = memoryview(path.read_bytes())
    content, end = whole[:-_SEALED], bytes(whole[-_SEALED:])
    if not end.startswith(_SEAL):
        raise DataCorrupt(f"{path} is damaged or no checkpoint (it has no seal); {otherwise}")
    if end[len(_SEAL) :] != hashlib.sha256(content).hexdigest().encode() + b"\n":
        raise DataCorrupt(f"{path} is damaged or no checkpoint (its seal is not that of its content); {otherwise}")
    return io.BytesIO(content)


def _unboxed(state: Any) -> Any:
    """``state`` with Python's numbers for NumPy's scalars, which a file that runs no code cannot hold."""
    if type(state) is dict:
        return {name: _unboxed(value) for name, value in state.items()}
    if type(state) in (list, tuple):
        return type(state)(map(_unboxed, state))
    return state.item() if isinstance(state, np.generic) else state


class Checkpoint:
    """One fit's file. ``path=None`` keeps nothing: every method does nothing.

    Parameters
    ----------
    path : the file; its folder is made when first needed.
    identity : what makes two fits the same: parameters, seed, :func:`content_hash` of the data, as :func:`identity`
        gives them.
    """

    def __init__(self, path: str | Path | None, identity: dict[str, Any]) -> None:
        self.path = None if path is None else Path(path)
        if self.path is not None:
            self.path = _paths.real_file(self.path, "checkpoint")
        self._identity = json.dumps(plain(identity), sort_keys=True)

    def save(self, state: dict[str, Any]) -> None:
        """Replace the file by ``state``: tensors, numbers, strings, and lists and dicts of them.

        The old state stays until the new one is on disk whole, so a kill at any moment loses one epoch at most.
        """
        if self.path is None:
            return
        import torch

        buffer = io.BytesIO()
        torch.save({"format": _FORMAT, "identity": self._identity, "state": _unboxed(state)}, buffer)
        _paths.write_atomically(self.path, seal(buffer))

    def load(self, device: Any = "cpu", most: int | None = None) -> dict[str, Any] | None:
        """The last saved state with its tensors on ``device``; None where there is none.

        ``most`` is how many entries its ``history`` may have: a pass over the data cannot be taken back.

        Raises
        ------
        DataCorrupt : the file is damaged or no checkpoint.
        UsageError : it belongs to a fit with other parameters or data, and it is said what differs; or to a longer one.
        """
        if self.path is None or not self.path.is_file():
            return None
        import torch

        try:
            saved = torch.load(unsealed(self.path), map_location=device, weights_only=True)
            identity, state = saved["identity"], saved["state"]
        except DataCorrupt:
            raise
        except Exception as error:  # torch raises a dozen types on a damaged file
            raise DataCorrupt(
                f"{self.path} is damaged or no checkpoint ({type(error).__name__}); delete it to start again"
            ) from None
        if identity != self._identity and json.loads(identity) != json.loads(self._identity):  # 2.0 is 2
            raise UsageError(
                f"{self.path} is the checkpoint of another fit ({self._differences(identity)}); "
                "delete it or choose another file"
            )
        if most is not None and len(state["history"]) > most:
            more = len(state["history"]) - most
            raise UsageError(f"{self.path} has passes that cannot be taken back: {more} more than are asked for")
        return state

    def _differences(self, other: str) -> str:
        mine, theirs = json.loads(self._identity), json.loads(other)
        names = [name for name in sorted({*mine, *theirs}) if mine.get(name) != theirs.get(name)]
        pairs = [(name, shown(theirs.get(name))[:24], shown(mine.get(name))[:24]) for name in names]
        return ", ".join(f"{name}: {there} there, {here} here" for name, there, here in pairs)[:90]

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
