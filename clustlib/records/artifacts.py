"""What a run leaves that is too big to commit (weights, embeddings): kept in the user's cache, made again if needed."""

import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from clustlib import _paths
from clustlib.records.runs import bind, fingerprint, identity_of, key_of
from clustlib.records.store import lock


def folder() -> Path:
    """``artifacts`` in the user's cache; move it with ``XDG_CACHE_HOME``."""
    import pooch

    return Path(pooch.os_cache("clustlib")) / "artifacts"


def _read(path: Path, wanted: str) -> dict[str, np.ndarray] | None:
    """The arrays of a file made by the same parameters and sources; None where there is no such file."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        return None
    except Exception:  # half a file, a flipped bit: an artifact can always be made again
        warnings.warn(f"{path} is damaged: made again", stacklevel=3)
        return None
    return arrays if str(arrays.pop("_made_by", "")) == wanted else None


def artifact(fn: Callable[..., dict[str, np.ndarray]], **params: Any) -> dict[str, np.ndarray]:
    """The arrays of ``fn(**params)``: read from the cache, or computed and kept there.

    ``fn`` is a module-level function that returns NumPy arrays by name. A file made by other
    sources (see :mod:`clustlib.sources`) or damaged is computed again. Two processes that want the
    same artifact compute it once. A full disk costs the file, not the result.
    """
    params = bind(fn, params)
    key = key_of(fn, params)
    path = folder() / f"{key}.npz"
    wanted = json.dumps({"params": identity_of(params), "sources": fingerprint(fn, params)}, sort_keys=True)
    with lock(path.with_suffix(".lock")):
        arrays = _read(path, wanted)
        if arrays is None:
            arrays = fn(**params)
            _keep(path, {**arrays, "_made_by": np.array(wanted)})
    return arrays


def _keep(path: Path, arrays: dict[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    try:
        _paths.write_atomically(path, buffer.getvalue())
    except OSError as error:
        warnings.warn(f"the run's result is not kept for next time: {error}", stacklevel=3)
