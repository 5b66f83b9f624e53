"""Records on disk: written atomically, read back only whole and unedited."""

import contextlib
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from clustlib import _paths
from clustlib.errors import RecordCorrupt

ARRAYS_LIMIT = 300_000  # bytes of a committed .npz


@dataclass(frozen=True)
class Record:
    """One run: its parameters, metrics, cost and provenance. ``arrays`` are read when first asked for."""

    key: str
    params: dict[str, Any]
    metrics: dict[str, float]
    seconds: float
    provenance: dict[str, Any]
    sources: str
    folder: Path
    arrays_sha256: str | None = None

    @property
    def run_seconds(self) -> float:
        """What the run cost: its own seconds, or those of the training behind it, which may have been made before."""
        behind = (self.metrics.get(name, 0.0) for name in ("fit_seconds", "training_seconds"))
        return max(self.seconds, *behind)

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """The run's small arrays by name. Raises :class:`RecordCorrupt` if the file was changed."""
        if self.arrays_sha256 is None:
            return {}
        path = self.folder / f"{self.key}.npz"
        content = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(content).hexdigest() != self.arrays_sha256:
            raise RecordCorrupt(
                f"{path} is missing, half-written or edited; delete {self.key}.json to compute it again"
            )
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}

    def content(self) -> dict[str, Any]:
        """What must be the same when the same run is made again on the same machine: no times, no memory."""
        return {"key": self.key, "params": self.params, "metrics": self.metrics, "arrays": self.arrays_sha256}


def _seal(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _pack(arrays: dict[str, np.ndarray]) -> bytes:
    """The arrays as a compressed ``.npz`` whose bytes depend on nothing but their content."""
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(arrays):
            array = io.BytesIO()
            np.lib.format.write_array(array, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), array.getvalue(), zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()


@dataclass(frozen=True)
class Store:
    """A folder of records. ``profile`` is ``"quick"`` or ``"paper"``."""

    folder: Path
    profile: str

    def path(self, key: str) -> Path:
        """The JSON file of a key."""
        return self.folder / f"{key}.json"

    def read(self, key: str) -> Record | None:
        """The record of ``key``, or None where there is none. Raises :class:`RecordCorrupt`."""
        path = self.path(key)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            seal = content.pop("sha256")
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise RecordCorrupt(f"{path} is half-written or no record; delete it to compute the run again") from None
        if seal != _seal(content):
            raise RecordCorrupt(f"{path} was edited after it was written; delete it to compute the run again")
        if content.get("key") != key:
            raise RecordCorrupt(f"{path} is a copy of the record {content.get('key')}; delete it to compute the run")
        return Record(folder=self.folder, **content)

    def write(
        self,
        key: str,
        params: dict[str, Any],
        metrics: dict[str, float],
        arrays: dict[str, np.ndarray],
        *,
        seconds: float,
        provenance: dict[str, Any],
        sources: str,
    ) -> Record:
        """Save a run, arrays first, so that a JSON file never names arrays that are not there."""
        packed = _pack(arrays) if arrays else b""
        if len(packed) > ARRAYS_LIMIT and self.profile == "paper":
            raise ValueError(
                f"the arrays of {key} take {len(packed)} bytes, over the {ARRAYS_LIMIT} of a committed record"
            )
        arrays_sha256 = hashlib.sha256(packed).hexdigest() if packed else None
        record = Record(key, params, metrics, seconds, provenance, sources, self.folder, arrays_sha256)
        content = {name: getattr(record, name) for name in Record.__dataclass_fields__ if name != "folder"}
        content = json.loads(json.dumps(content))  # what a reader will see, and seal
        if packed:
            _paths.write_atomically(self.folder / f"{key}.npz", packed)
        sealed = json.dumps({**content, "sha256": _seal(content)}, indent=1, sort_keys=True, ensure_ascii=False)
        _paths.write_atomically(self.path(key), sealed.encode() + b"\n")
        return Record(folder=self.folder, **content)

    def all_keys(self) -> list[str]:
        """The keys of every record, sorted."""
        keys = (path.relative_to(self.folder).with_suffix("").as_posix() for path in self.folder.glob("*/*/*.json"))
        return sorted(keys)

    def lock(self, key: str) -> contextlib.AbstractContextManager[None]:
        """Hold ``key`` so that two notebooks that share a run do not compute it twice at once."""
        return lock(_paths.build("locks") / self.profile / f"{key.replace('/', '_')}.lock")


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``, waiting for it. It belongs to the process: a killed one lets go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path).acquire(poll_interval=0.1):
        yield


def is_held(path: Path) -> bool:
    """Whether some process holds the lock file ``path``."""
    if not path.is_file():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def digest(profile: str, keys: Iterable[str]) -> str:
    """A short hash of the records behind ``keys``, absent ones included: changes when any of them does."""
    store = open_store(profile)
    total = hashlib.sha256()
    for key in sorted(keys):
        path = store.path(key)
        total.update(key.encode() + (path.read_bytes() if path.is_file() else b""))
    return total.hexdigest()[:16]


def open_store(profile: str) -> Store:
    """The store of a profile: ``book/records`` for "paper", ``_build/quick/records`` for "quick"."""
    from clustlib.errors import UsageError

    if profile == "paper":
        return Store(_paths.book("records"), profile)
    if profile == "quick":
        return Store(_paths.build("quick") / "records", profile)
    raise UsageError(f'profile must be "quick" or "paper", got {profile!r}')
