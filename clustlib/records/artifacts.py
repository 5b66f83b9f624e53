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
from clustlib.records.freshness import mark_of
from clustlib.records.runs import bind, identity_of, key_of
from clustlib.records.store import lock

_GPU = '"made on a GPU": true'


def folder() -> Path:
    """``artifacts`` in the user's cache; move it with ``XDG_CACHE_HOME``."""
    import pooch

    return Path(pooch.os_cache("clustlib")) / "artifacts"


def _made_by(fn: Callable, params: dict[str, Any], gpu: bool) -> str:
    """What a file must say of itself to stand for ``fn(**params)``: parameters, sources and, if it was one, the GPU."""
    described = {"params": identity_of(params), "sources": mark_of(fn, params, gpu)}
    return json.dumps(described | {"made on a GPU": True} if gpu else described, sort_keys=True)


def _read(path: Path, made_by: Callable[[bool], str]) -> dict[str, np.ndarray] | None:
    """The arrays of a file made by the same parameters and sources; None where there is no such file."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        return None
    except Exception:  # half a file, a flipped bit: an artifact can always be made again
        warnings.warn(f"{path} is damaged: made again", stacklevel=3)
        return None
    told = str(arrays.pop("_made_by", ""))
    return arrays if told == made_by(_GPU in told) else None


def artifact(fn: Callable[..., dict[str, np.ndarray]], **params: Any) -> dict[str, np.ndarray]:
    """The arrays of ``fn(**params)``: read from the cache, or computed and kept there.

    ``fn`` is a module-level function that returns NumPy arrays by name. A file made by other
    sources (see :mod:`clustlib.sources`) or damaged is computed again. Two processes that want the
    same artifact compute it once. A full disk costs the file, not the result.
    """
    params = bind(fn, params)
    key = key_of(fn, params)
    path = folder() / f"{key}.npz"
    made_by = partial(_made_by, fn, params)
    with lock(path.with_suffix(".lock")):
        arrays = _read(path, made_by)
        if arrays is None:
            arrays = fn(**params)
            gpu = provenance.on_gpu(provenance.environment())
            _keep(path, {**arrays, "_made_by": np.array(made_by(gpu))})
    return arrays


def _keep(path: Path, arrays: dict[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    try:
        _paths.write_atomically(path, buffer.getvalue())
    except OSError as error:
        warnings.warn(f"the run's result is not kept for next time: {error}", stacklevel=3)
