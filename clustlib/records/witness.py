"""Witnesses: small fixed runs that show whether two revisions of the code compute the same bits.

A witness is a function of ``tests/witnesses`` that takes nothing and returns NumPy arrays. It is run with the
clustlib of any checkout, in a process of its own, on one thread. Two revisions agree where all bits do, on one
machine. By default clustlib's compiled loops run as plain Python, which takes no compilation and no cached code.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np
import pooch

from clustlib import _paths
from clustlib.errors import UsageError
from clustlib.records import provenance

_WORKER = Path(__file__).with_name("_witness_worker.py")
_IMPORTED = re.compile(rb"^ *from witnesses\.(\w+) import", re.MULTILINE)
TIMEOUT = 300.0  # seconds of a processor that one witness may take
_KEPT = 30 * 86400.0  # seconds
# MKL rounds by where in memory an array lies, unless it is told not to
_SAME_BITS = {"MKL_CBWR": "COMPATIBLE"}
_SINGLE = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Outcome:
    """What one run of a witness gave: its arrays, or the line of its error; ``lines`` are those it executed."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    error: str | None = None
    seconds: float = 0.0
    lines: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """A witness, the tree whose code it runs, and how. ``mutant``: a module's name and the text it has instead."""

    tree: Path
    witnesses: Path
    name: str
    mutant: tuple[str, str] | None = None
    trace: bool = False
    jit: bool = False
    timeout: float = TIMEOUT
    package: str = "clustlib"


class Runner:
    """Runs jobs in child processes; a context manager.

    Parameters
    ----------
    folder : where outcomes, noticed faults and compiled code are kept; by default ``witness`` in the user's cache, so
        that a copy of the checkout begins with what is known of the same code. What nobody has read for a month goes.
    at_once : jobs side by side. gpu : whether they see one; by default they run as on a machine without.
    """

    def __init__(self, folder: Path | None = None, at_once: int = 2, gpu: bool = False) -> None:
        self.folder = folder or Path(pooch.os_cache("clustlib")) / "witness"
        self.at_once, self.gpu = at_once, gpu
        self._pending: dict[int, threading.Event] = {}
        self._late: dict[int, bool] = {}
        self._count, self._lock = 0, threading.Lock()

    def __enter__(self) -> Self:
        environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "TQDM_DISABLE": "1"}
        environment |= dict.fromkeys(_SINGLE, "1") | _SAME_BITS
        if not self.gpu:
            environment["CUDA_VISIBLE_DEVICES"] = ""
        for name in ("PYTHONPATH", "CLUSTLIB_DATA", "NUMBA_DISABLE_JIT"):  # code and data are a job's own
            environment.pop(name, None)
        _forget(self.folder)
        self._scratch = tempfile.TemporaryDirectory()
        self._server = subprocess.Popen(
            [sys.executable, "-P", str(_WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        self._pool = ThreadPoolExecutor(self.at_once)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()
        self._listener.join()
        self._scratch.cleanup()

    def _listen(self) -> None:
        assert self._server.stdout is not None
        for line in self._server.stdout:
            answer = json.loads(line)
            self._late[answer["id"]] = answer["late"]
            self._pending.pop(answer["id"]).set()
        for event in list(self._pending.values()):  # the server is gone
            event.set()

    def submit(self, job: Job) -> "Future[Outcome]":
        """Have a job run; its outcome comes with the future."""
        return self._pool.submit(self.run, job)

    def run(self, job: Job) -> Outcome:
        """Run one job and wait for it; a baseline that has been made before is read."""
        kept = None if job.mutant else self._file(job)
        if kept is not None and kept.is_file():
            kept.touch()
            return _outcome(kept.read_bytes())
        content, late = self._run(job)
        if content is None:
            return Outcome(error="ran too long" if late else "its process died")
        outcome = _outcome(content)
        if kept is not None and outcome.error is None:
            _paths.write_atomically(kept, content)
        return outcome

    def _file(self, job: Job) -> Path:
        """Where a baseline is kept: by all that it depends on."""
        made_of = [content_of(job.tree / job.package), _witness_content(job.witnesses, job.name)]
        text = "\n".join([*made_of, _machine(), _WORKER.read_text(encoding="utf-8")])
        key = hashlib.sha256(f"{text}\n{job.trace}{self.gpu}".encode()).hexdigest()[:20]
        return self.folder / ("compiled" if job.jit else "plain") / f"{job.name}-{key}.npz"

    def _mark_of_noticed(self, job: Job, usual: Outcome) -> Path:
        """Where it is written that a fault was noticed: by the module with the fault in it, and by what is usual.

        What else there is of the tree has no part in it: code that leaves a witness's bits as they are.
        """
        assert job.mutant
        digest = hashlib.sha256("\n".join([*job.mutant, _witness_content(job.witnesses, job.name)]).encode())
        for name, array in usual.arrays.items():
            digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
        digest.update(f"{_machine()}{_WORKER.read_text(encoding='utf-8')}{self.gpu}".encode())
        return self.folder / "noticed" / f"{job.name}-{digest.hexdigest()[:20]}"

    def noticed(self, job: Job, usual: Outcome) -> bool:
        """Whether it is known that a witness notices a fault."""
        kept = self._mark_of_noticed(job, usual)
        if known := kept.is_file():
            kept.touch()
        return known

    def notice(self, job: Job, usual: Outcome) -> bool:
        """Keep that a witness has noticed a fault; True."""
        _paths.write_atomically(self._mark_of_noticed(job, usual), b"")
        return True

    def _run(self, job: Job) -> tuple[bytes | None, bool]:
        """What a child process wrote of its outcome, and whether it was stopped for being late."""
        with self._lock:
            self._count += 1
            number = self._count
        done = self._pending[number] = threading.Event()
        out = Path(self._scratch.name) / f"{number}.npz"
        message = {
            "id": number, "tree": str(job.tree), "package": job.package, "witnesses": str(job.witnesses),
            "content": content_of(job.tree / job.package),
            "name": job.name, "mutant": job.mutant, "trace": job.trace, "jit": job.jit, "timeout": job.timeout,
            "out": str(out), "compiled": str(self.folder / "numba"),
        }  # fmt: skip
        assert self._server.stdin is not None
        with self._lock:
            self._server.stdin.write(json.dumps(message).encode() + b"\n")
            self._server.stdin.flush()
        done.wait()
        if not out.is_file():
            return None, bool(self._late.get(number))
        content = out.read_bytes()
        out.unlink()
        return content, False


def _forget(folder: Path) -> None:
    """Remove outcomes and noticed faults that nobody has read for a month."""
    for kept in (path for kind in ("plain", "compiled", "noticed") for path in (folder / kind).glob("*")):
        with contextlib.suppress(OSError):
            if time.time() - kept.stat().st_mtime > _KEPT:
                kept.unlink()


def _outcome(content: bytes) -> Outcome:
    """An outcome as a child process wrote it."""
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        said = json.loads(str(file["said"]))
        said["arrays"] = {name: file[f"array {i}"] for i, name in enumerate(said["arrays"])}
    if said.get("traceback"):
        print(said["traceback"], file=sys.stderr)
    said.pop("traceback", None)
    return Outcome(**said)


@cache
def _machine() -> str:
    return json.dumps([provenance.versions(), provenance.cpu()])


def content_of(folder: Path) -> str:
    """A hash of the Python files under a folder."""
    return _hash_of(folder, tuple(sorted((str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in _python(folder))))


def _python(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*.py") if path.is_file())


@cache
def _hash_of(folder: Path, files: tuple[tuple[str, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, *_ in files:
        digest.update(Path(path).relative_to(folder).as_posix().encode() + b"\0" + Path(path).read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def _catalogue(witnesses: Path, content: str) -> dict[str, str]:
    """The module within the folder that each witness is defined in, by the witness's name."""
    done = subprocess.run(
        [sys.executable, "-P", str(_WORKER), str(witnesses)], capture_output=True, text=True, encoding="utf-8"
    )
    if done.returncode:
        raise UsageError(f"the witnesses of {witnesses} cannot be listed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def names(witnesses: Path) -> list[str]:
    """The names of the witnesses in a folder, sorted."""
    return sorted(_catalogue(witnesses, content_of(witnesses)))


def _witness_content(witnesses: Path, name: str) -> str:
    """A hash of the files that a witness is made of: its own, and those of the folder that these import."""
    content = content_of(witnesses)
    pending, files = [_catalogue(witnesses, content).get(name, "")], {}
    while pending:
        path = witnesses / f"{pending.pop().removeprefix('witnesses.')}.py"
        if path not in files and path.is_file():
            files[path] = path.read_bytes()
            pending += [found.decode() for found in _IMPORTED.findall(files[path])]
    return hashlib.sha256(b"\0".join(files[path] for path in sorted(files)) or content.encode()).hexdigest()


def outputs(
    tree: Path,
    wanted: Iterable[str],
    *,
    witnesses: Path | None = None,
    mutant: tuple[str, str] | None = None,
    trace: bool = False,
    jit: bool = False,
    runner: Runner | None = None,
) -> dict[str, Outcome]:
    """What the witnesses named give with the code of ``tree`` (a checkout), by name.

    ``witnesses`` is the folder they are in, by default the tree's own. Several trees are compared by one folder.
    """
    if runner is None:
        with Runner() as opened:
            return outputs(tree, wanted, witnesses=witnesses, mutant=mutant, trace=trace, jit=jit, runner=opened)
    folder = witnesses or tree / "tests" / "witnesses"
    jobs = {name: runner.submit(Job(tree, folder, name, mutant, trace, jit)) for name in wanted}
    return {name: job.result() for name, job in jobs.items()}


def compare(a: Outcome, b: Outcome) -> str | None:
    """The first difference between two outcomes, bit for bit, in a few words; None where there is none."""
    if a.error or b.error:
        return None if a.error == b.error else f"{a.error or 'ran'} -> {b.error or 'ran'}"
    for name in a.arrays:
        if name not in b.arrays:
            return f"{name} is gone"
        if difference := _first_difference(a.arrays[name], b.arrays[name]):
            return name + difference
    return next((f"{name} is new" for name in b.arrays if name not in a.arrays), None)


def _first_difference(a: np.ndarray, b: np.ndarray) -> str | None:
    if a.dtype != b.dtype or a.shape != b.shape:
        return f": {a.dtype} {a.shape} -> {b.dtype} {b.shape}"
    if a.tobytes() == b.tobytes():
        return None
    same = np.ascontiguousarray(a).ravel().view(np.uint8) == np.ascontiguousarray(b).ravel().view(np.uint8)
    same = same.reshape(a.size, -1).all(axis=1)
    if a.dtype.kind in "fc":
        same |= np.isnan(a.ravel()) & np.isnan(b.ravel())
    if same.all():
        return None
    at = tuple(int(i) for i in np.unravel_index(int(np.argmin(same)), a.shape))
    return f"{list(at) if at else ''} {a[at]!s} -> {b[at]!s}"
