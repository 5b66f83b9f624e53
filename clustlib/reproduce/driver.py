"""Run the workflow with Snakemake: progress while it works, a verdict at the end."""

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from clustlib import _paths, results
from clustlib.errors import OneLine
from clustlib.published import VERDICTS, summary

HEARTBEAT = 20  # seconds of silence after which the running notebooks are named


class Busy(OneLine, RuntimeError):
    """Another make is at work in this checkout."""


@contextlib.contextmanager
def _only_one() -> Iterator[None]:
    """Hold the checkout; the lock belongs to the process, so a killed run leaves none behind."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    path = _paths.build() / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"another make is at work in {_paths.root()}") from None
        yield


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
            if re.match(r"(html|(quick|paper) \S+)\s+1$", line):  # a row of Snakemake's table of jobs
                self.total += 1
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


def _snakemake(recompute: str, cores: int, extra: list[str], log: Path) -> int:
    """Run the graph; everything that it prints goes to ``log``.

    Every job writes its outputs whole and last (see ``workflow.forget_outdated``), so what a killed
    run left behind is finished work: Snakemake need not do it again.
    """
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(_paths.root() / "Snakefile")]
    command += ["--rerun-triggers", "mtime", "params", "input", "--resources", f"gpu={_gpus()}"]
    # all jobs are alike: weighing each against the others, anew after each, took a third of a core
    command += ["--scheduler", "greedy", "--scheduler-subsample", str(max(8, 2 * cores))]
    command += ["--cores", str(cores), "--keep-going", "--ignore-incomplete", "--nolock", "--nocolor", *extra]
    environment = {**os.environ, "CLUSTLIB_RECOMPUTE": recompute, "PYTHONUNBUFFERED": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    progress = Progress()
    stop = threading.Event()

    def heartbeat() -> None:
        while not stop.wait(1):
            progress.beat()

    threading.Thread(target=heartbeat, daemon=True).start()
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command,
            cwd=_paths.root(),
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            progress.read(line.rstrip())
        stop.set()
        return process.wait()


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
    lines = []
    for result in results.read(profile):
        name = f"{result.paper}/{result.key}"
        if result.status != "ok":
            lines.append(f"  {name:<28} FAILED: {result.status}")
        elif len(result.comparison):
            counts = summary(result.comparison)
            lines.append(f"  {name:<28} " + ", ".join(f"{counts[v]} {v}" for v in VERDICTS if counts[v]))
        else:
            lines.append(f"  {name:<28} ok")
    return lines


def _verdict(exit_code: int, log: Path) -> int:
    """Print what was reproduced and what was not; 0 only where nothing failed."""
    failed = [f"{r.paper}/{r.key}" for p in ("quick", "paper") for r in results.read(p) if r.status != "ok"]
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
    return _verdict(exit_code, log)
