"""The workflow's graph on a real scheduler: a Slurm of one node, as README says it. Skipped where there is none.

python -m pytest tests/cluster -m slow      # as root, with Debian's slurm-wlm and munge: minutes
"""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from small_book import ROOT, calls, set_default, targets

sys.path.insert(0, str(Path(__file__).parent))
import loopback

from clustlib import results

WHY = loopback.missing() or (
    None if find_spec("snakemake_executor_plugin_slurm") else "pip install snakemake-executor-plugin-slurm"
)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(WHY is not None, reason=f"no cluster: {WHY}")]
# README's line, for a cluster of one node without accounting; the status is asked for more often than of a real one
LINE = "--executor slurm --jobs 20 --cores 2 --keep-going --resources gpu=4"
LINE += " --default-resources slurm_partition=gpu runtime=60"
HERE = "--slurm-no-account --slurm-status-command squeue --slurm-init-seconds-before-status-checks 5 --latency-wait 30"
AGAIN = "--nolock --ignore-incomplete"  # what a killed driver leaves: a lock, and outputs that it never saw finished
DRIVERS: list[subprocess.Popen] = []  # started, so that a test that fails leaves none
LONG = 600  # seconds of a notebook that is to be killed


@pytest.fixture
def slurm():
    with loopback.cluster() as environment:
        path = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
        python = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        yield {**environment, "PATH": path, "PYTHONPATH": python, "CLUSTLIB_RECOMPUTE": "missing"}
        for driver in DRIVERS:
            driver.kill()
            driver.wait()


def start(folder: Path, environment: dict[str, str], *wanted: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "snakemake", *f"{LINE} {HERE} {AGAIN}".split(), "--", *wanted]
    with open(folder / "driver.txt", "ab") as said:
        DRIVERS.append(
            subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said, start_new_session=True)
        )
    return DRIVERS[-1]


def finish(folder: Path, environment: dict[str, str], *wanted: str) -> int:
    return start(folder, environment, *wanted).wait(timeout=600)


def said(folder: Path) -> str:
    return (folder / "driver.txt").read_text(encoding="utf-8", errors="replace")[-4000:]


def jobs(environment: dict[str, str], states: str) -> list[str]:
    command = ["squeue", "-h", "-o", "%i", "-t", states]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, encoding="utf-8"
    ).stdout.split()


def kept(folder: Path) -> dict[str, str]:
    files = (folder / "_build").glob("*/results/*/*.json")
    return {f"{f.parts[-4]} {f.stem}": json.loads(f.read_text(encoding="utf-8"))["status"] for f in files}


def wait_until(true, seconds: float = 300) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.5)
    return bool(true())


def test_two_notebooks_one_of_which_fails(small_book, slurm):
    """Each is a job, one of them asks for the GPU; the one that fails keeps its error and stops no other."""
    set_default(small_book / "notebooks/jule/table-02.ipynb", "value = 0.5", "value = -1.0")
    wanted = [*targets("quick"), targets("paper")[0]]
    assert finish(small_book, slurm, *wanted) == 0, said(small_book)
    found = kept(small_book)
    assert found.pop("quick table-02") != results.OK
    assert found == dict.fromkeys(("quick table-01", "quick dashboard", "paper table-01"), results.OK)
    assert len(jobs(slurm, "all")) == 4 and not jobs(slurm, "running,pending")


def test_a_killed_job_and_a_killed_driver_go_on(small_book, slurm):
    """The job that is killed is made again by the next run; a driver that is killed leaves its job to the scheduler."""
    first, second = targets("quick")[:2]
    slow = small_book / "notebooks/jule/table-02.ipynb"
    set_default(slow, "seconds = 0", f"seconds = {LONG}")
    driver = start(small_book, slurm, first, second)
    assert wait_until(lambda: "quick table-02" in calls(small_book) and "quick table-01" in kept(small_book))
    assert wait_until(lambda: len(jobs(slurm, "running,completing")) == 1), said(small_book)
    running = jobs(slurm, "running")
    subprocess.run(["scancel", "--signal=KILL", "--full", *running], env=slurm, check=True)
    assert driver.wait(timeout=300) != 0, said(small_book)
    assert kept(small_book) == {"quick table-01": results.OK}

    driver = start(small_book, slurm, first, second)
    assert wait_until(lambda: calls(small_book).count("quick table-02") == 2), said(small_book)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    left = jobs(slurm, "running")
    assert len(left) == 1
    subprocess.run(["scancel", *left], env=slurm, check=True)
    assert wait_until(lambda: not jobs(slurm, "running,completing"))

    set_default(slow, f"seconds = {LONG}", "seconds = 0")
    assert finish(small_book, slurm, first, second) == 0, said(small_book)
    assert kept(small_book) == dict.fromkeys(("quick table-01", "quick table-02"), results.OK)
    assert calls(small_book).count("quick table-01") == 1  # what was done is not done again


def test_nothing_is_left(tmp_path):
    with loopback.cluster() as environment:
        folder = Path(environment["SLURM_CONF"]).parent
        subprocess.run(
            ["sbatch", "--wrap", "sleep 600"], env=environment, cwd=tmp_path, check=True, capture_output=True
        )
        assert wait_until(lambda: jobs(environment, "running"))
    assert not folder.exists()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert str(folder).encode() not in path.read_bytes()
        except OSError:
            continue
