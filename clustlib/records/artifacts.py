"""What a run leaves that is too big to commit (weights, embeddings): kept in the user's cache, made again if needed."""

import io
import json
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from clustlib import _paths
from clustlib.records import provenance
from clustlib.records.freshness import function_at, mark_of, place_of
from clustlib.records.ledger import ledger
from clustlib.records.runs import asking, bind, identity_of, key_of
from clustlib.records.store import lock


def folder() -> Path:
    """``artifacts`` in the user's cache; move it with ``XDG_CACHE_HOME``."""
    import pooch

    return Path(pooch.os_cache("clustlib")) / "artifacts"


def _made_by(fn: Callable, params: dict[str, Any], gpu: bool) -> str:
    """What a file says of itself: parameters, sources, the GPU if it was one, and the run that asked for it."""
    described: dict[str, Any] = {"params": identity_of(params), "sources": mark_of(fn, params, gpu)}
    described |= {"made on a GPU": True} if gpu else {}
    asker = asking.get()
    if asker is not None:
        run, of = asker
        described["asked by"] = {"function": place_of(run), "params": of, "sources": mark_of(run, of, gpu)}
    return json.dumps(described, sort_keys=True)


def _stands(told: str, fn: Callable, params: dict[str, Any]) -> bool:
    """Whether what a file says of itself makes it the result of ``fn(**params)`` by today's code.

    A file's function is part of the run that asked for it: where the ledger carries that run across a change, the file
    is as good as one that is made today.
    """
    try:
        said = json.loads(told)
        if said["params"] != json.loads(json.dumps(identity_of(params))):
            return False
        gpu = bool(said.get("made on a GPU"))
        asker = said.get("asked by")
        return said["sources"] == mark_of(fn, params, gpu) or (asker is not None and _carried(asker, gpu))
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _carried(asker: dict[str, Any], gpu: bool) -> bool:
    try:
        run = function_at(asker["function"])
    except LookupError:
        return False
    return ledger().chain(asker["sources"], mark_of(run, asker["params"], gpu)) is not None


def _read(path: Path, stands: Callable[[str], bool]) -> dict[str, np.ndarray] | None:
    """The arrays of a file made by the same parameters and code; None where there is no such file."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        return None
    except Exception:  # half a file, a flipped bit: an artifact can always be made again
        warnings.warn(f"{path} is damaged: made again", stacklevel=3)
        return None
    told = str(arrays.pop("_made_by", ""))
    return arrays if stands(told) else None


def artifact(fn: Callable[..., dict[str, np.ndarray]], **params: Any) -> dict[str, np.ndarray]:
    """The arrays of ``fn(**params)``: read from the cache, or computed and kept there.

    ``fn`` is a module-level function that returns NumPy arrays by name. A file made by other code, unless the ledger
    says that it computes the same, or damaged is computed again. Two processes that want the same artifact compute it
    once. A full disk costs the file, not the result.
    """
    params = bind(fn, params)
    key = key_of(fn, params)
    path = folder() / f"{key}.npz"
    with lock(path.with_suffix(".lock")):
        arrays = _read(path, partial(_stands, fn=fn, params=params))
        if arrays is None:
            arrays = fn(**params)
            gpu = provenance.on_gpu(provenance.environment())
            _keep(path, {**arrays, "_made_by": np.array(_made_by(fn, params, gpu))})
    return arrays


def _keep(path: Path, arrays: dict[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    try:
        _paths.write_atomically(path, buffer.getvalue())
    except OSError as error:
        warnings.warn(f"the run's result is not kept for next time: {error}", stacklevel=3)
