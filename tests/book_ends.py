"""A small book ended at random moments, many times: what is left of it, and whether the next run is right.

``python tests/book_ends.py INT --trials 20`` (or TERM, KILL) writes one line a trial and the counts, and ends with 1
where anything was wrong: a process left after five seconds, a result called ok whose notebook had not come to its end,
a next run that fails or finds other numbers. Every second trial signals the whole process group, as Ctrl-C does.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from small_book import PARAMETERS, RUN, lay_out, run_cli, targets, working_notebook, write_notebook

ENDS = """
with open(Path("../..") / "ends.txt", "a") as file:
    file.write("NAME\\n")
"""
FINISH = 'results.finish("PAPER", "NAME", profile=profile, metrics={"value": value})\n'
NAMES = ("table-01", "table-02")
TARGETS = targets("quick")[: len(NAMES)]


def new_book(folder: Path) -> None:
    """Two notebooks of a second each, which say when they are about to finish, and the dashboard."""
    (folder / "book/records").mkdir(parents=True)
    lay_out(folder)
    for name in NAMES:
        write_notebook(folder, "jule", name, PARAMETERS.replace("seconds = 0", "seconds = 1"), RUN, ENDS, FINISH)
    (folder / "_config.yml").write_text("title: a book\n", encoding="utf-8")


def at_work(folder: Path) -> list[int]:
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [pid for pid in pids if pid != os.getpid() and working_notebook(pid, folder)]


def kept(folder: Path) -> dict[str, dict]:
    """What was kept of every notebook: the status and the numbers of its result."""
    found = {}
    for file in (folder / "_build/quick/results").glob("*/*.json"):
        result = json.loads(file.read_text(encoding="utf-8"))
        found[file.stem] = {name: result.get(name) for name in ("status", "regression")}
    return found


def make(folder: Path) -> subprocess.CompletedProcess:
    return run_cli(folder, "book", "--cores", "2", "--", *TARGETS)


def started(folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "clustlib.reproduce", "book", "--cores", "2", "--", *TARGETS]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, start_new_session=True, text=True, encoding="utf-8", **quiet)


def faults_of(folder: Path, number: signal.Signals, seconds: float, *, group: bool, whole: dict) -> list[str]:
    """End a new book after so many seconds, look at what is left, and run it again."""
    driver = started(folder)
    time.sleep(seconds)
    early = driver.poll() is None
    if early:
        os.killpg(driver.pid, number) if group else driver.send_signal(number)
    code = driver.wait(timeout=60)
    deadline = time.monotonic() + 5
    while at_work(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    faults = [f"process {pid} is left" for pid in at_work(folder)]
    said = driver.stderr.read() if driver.stderr and not faults else ""
    if early and number != signal.SIGKILL and code not in (0, 128 + number):
        faults.append(f"exit code {code}: {said[-200:]!r}")
    if early and code == 128 + number and said != "interrupted; run the same command again to go on from here\n":
        faults.append(f"said {said[-300:]!r}")
    ends = folder / "ends.txt"
    ended = ends.read_text(encoding="utf-8").split() if ends.is_file() else []
    for name, result in kept(folder).items():
        if result["status"] == "ok" and name in NAMES and name not in ended:
            faults.append(f"{name} is called ok and has not ended")
    again = make(folder)
    if again.returncode or kept(folder) != whole:
        faults.append(f"the next run: {again.returncode}, {kept(folder)}, {again.stderr[-200:]!r}")
    left = [str(path) for path in (folder / "_build").rglob(".*") if path.is_file() and ".snakemake" not in str(path)]
    return faults + [f"{path} is left" for path in left if path.endswith((".tmp", ".ipynb"))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("signal", choices=["INT", "TERM", "KILL"])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is born deaf to it
    number, moments = signal.Signals[f"SIG{options.signal}"], random.Random(options.seed)
    place = Path(tempfile.mkdtemp(prefix="book-ends-"))
    new_book(place / "whole")
    clock = time.monotonic()
    assert make(place / "whole").returncode == 0
    length, whole, wrong = time.monotonic() - clock, kept(place / "whole"), 0
    for trial in range(options.trials):
        folder = place / f"{trial:02}"
        new_book(folder)
        seconds = moments.uniform(0, length)
        faults = faults_of(folder, number, seconds, group=trial % 2 == 1, whole=whole)
        wrong += bool(faults)
        print(
            f"{options.signal} {trial:2} after {seconds:5.1f} of {length:.1f} s: {'; '.join(faults) or 'right'}",
            flush=True,
        )
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{options.signal}: {options.trials - wrong} of {options.trials} right")
    shutil.rmtree(place, ignore_errors=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
