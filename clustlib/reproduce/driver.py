"""Run the workflow with Snakemake: progress while it works, a verdict at the end."""

import contextlib
import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from clustlib import _paths, results
from clustlib.errors import OneLine
from clustlib.reproduce import home, processes
from clustlib.reproduce.graph import TOTAL

HEARTBEAT = 20  # seconds of silence after which the running notebooks are named


class Busy(OneLine, RuntimeError):
    """Another make is at work in this checkout."""


@contextlib.contextmanager
def _only_one() -> Iterator[None]:
    """Hold the checkout; the lock belongs to the process, so a killed run leaves none behind."""
    path = _paths.build() / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout:
        raise Busy(f"another make is at work in {_paths.root()}") from None


class Progress:
    """Turns what Snakemake and its jobs print into a line per notebook: how many of how many, elapsed."""

    def __init__(self) -> None:
        self.start = self.spoke = time.monotonic()
        self.total = self.done = 0
        self.running: dict[str, float] = {}
        self.lock = threading.Lock()

    def say(self, text: str) -> None:
        """Print one line with the count and the time elapsed."""
        self.spoke = time.monotonic()
        minutes, seconds = divmod(int(self.spoke - self.start), 60)
        print(f"[{self.done:>3}/{self.total or '?'}  {minutes}:{seconds:02d}] {text}", flush=True)

    def read(self, line: str) -> None:
        """Take one line of output."""
        with self.lock:
            if line.startswith(TOTAL):
                self.total = int(line.removeprefix(TOTAL))
            elif line.startswith("> "):
                self.running[line[2:]] = time.monotonic()
            elif line.startswith(("< ", "! ")):
                name = " ".join(line[2:].split()[:2])
                self.running.pop(name, None)
                self.done += 1
                self.say(line[2:])

    def beat(self) -> None:
        """Name what is running after a silence."""
        with self.lock:
            now = time.monotonic()
            if self.running and now - self.spoke >= HEARTBEAT:
                self.say("still running: " + ", ".join(f"{n} ({now - t:.0f} s)" for n, t in self.running.items()))


def _command(cores: int, extra: list[str]) -> list[str]:
    """Snakemake's command line.

    Every job writes its outputs whole and last (see ``workflow.forget_outdated``), so what a killed
    run left behind is finished work: Snakemake need not do it again.
    """
    command = [sys.executable, "-m", "clustlib.reproduce.graph", "--snakefile", "Snakefile"]
    # copies of sources go to a temporary folder, not to a cache at home, which may be read-only
    command += ["--shared-fs-usage", "input-output", "persistence", "software-deployment", "sources"]
    command += ["--rerun-triggers", "mtime", "params", "input", "--resources", f"gpu={_gpus()}"]
    # all jobs are alike: weighing each against the others, anew after each, took a third of a core
    command += ["--scheduler", "greedy", "--scheduler-subsample", str(max(8, 2 * cores))]
    return [*command, "--cores", str(cores), "--keep-going", "--ignore-incomplete", "--nolock", "--nocolor", *extra]


def _environment(recompute: str) -> dict[str, str]:
    """What the jobs find: this Python first, UTF-8 whatever the locale, and places to write where home is not one."""
    found = {**os.environ, "CLUSTLIB_RECOMPUTE": recompute, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
    found["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**found, **home.stand_in()}


def _follow(lines: Iterable[str], log: Path) -> None:
    """Report the progress that ``lines`` tell of; all that they say goes to ``log``."""
    progress, stop = Progress(), threading.Event()

    def heartbeat() -> None:
        while not stop.wait(1):
            progress.beat()

    threading.Thread(target=heartbeat, daemon=True).start()
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(log, "w", encoding="utf-8", buffering=1) as file:
            for line in lines:
                file.write(line)
                progress.read(line.rstrip())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(log)) from None
    finally:
        stop.set()


def _snakemake(recompute: str, cores: int, extra: list[str], log: Path) -> int:
    """Run the graph; it ends with this process, and with it every job and kernel."""
    command = processes.supervised(_paths.build() / "lock.jobs", _command(cores, extra))
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    pipes |= {"encoding": "utf-8", "errors": "backslashreplace"}
    with processes.whole():
        process = subprocess.Popen(  # in a session of its own: a Ctrl-C is for this process to pass on
            command, cwd=_paths.root(), env=_environment(recompute), start_new_session=True, **pipes
        )
        assert process.stdout is not None
        threading.Thread(target=_last_words, args=(process,), daemon=True).start()
        _follow(process.stdout, log)
        return process.wait()


def _last_words(process: subprocess.Popen) -> None:
    """Where the supervisor itself was killed, end what still holds the pipe that is being read."""
    process.wait()
    processes.end_descendants()


def _gpus() -> int:
    """How many notebooks may use a GPU at once: one per GPU; on a machine without one they use the CPU."""
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, check=True, encoding="utf-8"
        ).stdout
        return max(1, listed.count("GPU "))
    except (OSError, subprocess.CalledProcessError):
        return 1


def _table(profile: str) -> list[str]:
    return [f"  {f'{result.paper}/{result.key}':<28} {results.outcome(result)}" for result in results.read(profile)]


def _verdict(exit_code: int, log: Path) -> int:
    """Print what was reproduced and what was not; 0 only where nothing failed."""
    failed = [f"{r.paper}/{r.key}" for p in ("quick", "paper") for r in results.read(p) if r.status != results.OK]
    outside = results.outside()
    page = _paths.build() / "html" / "index.html"
    print("\nPaper profile, from the committed records:", *_table("paper"), sep="\n")
    print("\nQuick profile, computed here:", *_table("quick"), sep="\n")
    if outside:
        print("\nOutside the regression bands:", *(f"  {line}" for line in outside), sep="\n")
    if exit_code:
        tail = [line for line in log.read_text(encoding="utf-8").splitlines() if line.strip()][-15:]
        print(f"\nThe workflow stopped with exit code {exit_code}; the end of {log}:", *tail, sep="\n  ")
    if failed:
        print(f"\nFailed: {', '.join(sorted(set(failed)))}")
    if page.is_file():
        print(f"\nThe book: {page}")
    return 1 if exit_code or failed or outside else 0


def make_book(recompute: str, cores: int, extra: list[str]) -> int:
    """Run the whole workflow and report. Returns the exit code."""
    log = _paths.build() / "log" / "workflow.log"
    with _only_one():
        exit_code = _snakemake(recompute, cores, extra, log)
    if exit_code:
        _refuse_a_full_disk(log)
    return _verdict(exit_code, log)


def _refuse_a_full_disk(log: Path) -> None:
    """Raise the OSError that a job or Snakemake met where nothing can be written: it says all there is to say."""
    text = log.read_text(encoding="utf-8")
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        if os.strerror(number) in text:
            raise OSError(number, os.strerror(number), str(_paths.root()))
