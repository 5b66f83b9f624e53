"""Runs that are interrupted, terminated or killed: nothing stays alive, nothing false is kept, the next goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_book import calls, descendants, make, set_default, targets, working_notebook, write_notebook

from clustlib import results

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
LONG = 40  # seconds of a notebook that is to be interrupted


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "clustlib.reproduce", *arguments]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )


def wait_until(true, seconds: float = 120) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.1)
    return bool(true())


def at_work(folder: Path) -> list[str]:
    """The command lines of the processes that work in the book, this one apart."""
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    found = [pid for pid in pids if pid != os.getpid() and working_notebook(pid, folder)]
    return [Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8") for pid in found if Path(f"/proc/{pid}").exists()]


def end(process: subprocess.Popen, folder: Path, number: signal.Signals) -> None:
    """Send the signal to the one process; after five seconds nothing may be left of its family."""
    process.send_signal(number)
    code = process.wait(timeout=60)
    assert wait_until(lambda: not at_work(folder), 5), at_work(folder)
    if number != signal.SIGKILL:
        assert code == 128 + number
        assert process.stderr.read() == "interrupted; run the same command again to go on from here\n"
    process.stderr.close()


def kept(folder: Path) -> dict[str, str]:
    """The status of every result."""
    files = (folder / "_build/quick/results").glob("*/*.json")
    return {file.stem: json.loads(file.read_text(encoding="utf-8"))["status"] for file in files}


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["graph", "notebooks"])
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_book_that_ends_early_leaves_nothing_and_goes_on(small_book, number, moment):
    for name in ("table-01", "table-02"):
        set_default(small_book / f"notebooks/jule/{name}.ipynb", "seconds = 0", f"seconds = {LONG}")
    driver = start(small_book, "book", "--cores", "2", "--", *targets("quick"))
    begun = {
        "graph": lambda: len(descendants(driver.pid)) > 1,
        "notebooks": lambda: len(calls(small_book)) == 2,
    }
    assert wait_until(begun[moment])
    end(driver, small_book, number)
    assert kept(small_book) == {}
    for name in ("table-01", "table-02"):
        set_default(small_book / f"notebooks/jule/{name}.ipynb", f"seconds = {LONG}", "seconds = 0")
    done = make(small_book)
    assert done.returncode == 0, done.stdout + done.stderr
    assert kept(small_book) == dict.fromkeys(("table-01", "table-02", "dashboard"), results.OK)
    assert not list((small_book / "_build").rglob(".*.ipynb"))


@pytest.mark.slow
def test_a_book_ends_with_the_make_that_asked_for_it(small_book):
    set_default(small_book / "notebooks/jule/table-01.ipynb", "seconds = 0", f"seconds = {LONG}")
    script = f"{sys.executable} -m clustlib.reproduce book --parent $$ --cores 1 -- {targets('quick')[0]} & wait"
    make_alike = subprocess.Popen(["sh", "-c", script], cwd=small_book, stderr=subprocess.DEVNULL)
    assert wait_until(lambda: calls(small_book))
    make_alike.kill()
    make_alike.wait()
    assert wait_until(lambda: not at_work(small_book), 5), at_work(small_book)


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_an_interrupted_notebook_has_no_result_and_no_kernel(book, number):
    path = write_notebook(book, "jule", "table-03")
    set_default(path, "seconds = 0", f"seconds = {LONG}")
    run = start(book, "run", "jule/table-03")
    assert wait_until(lambda: calls(book))
    end(run, book, number)
    assert kept(book) == {}


def test_what_is_interrupted_as_plain_python_has_no_result(book):
    set_default(write_notebook(book, "jule", "table-03"), "seconds = 0", f"seconds = {LONG}")
    run = start(book, "run", "jule/table-03", "--plain")
    assert wait_until(lambda: calls(book))
    end(run, book, signal.SIGINT)
    assert kept(book) == {}


SWALLOWED = """
import os, signal, subprocess, sys, time
from clustlib.reproduce import processes

class Swallows:
    def __del__(self):
        os.kill(os.getpid(), signal.{number})
        time.sleep(1)

processes.PATIENCE = 0.5
processes.end_on_signals()
print(subprocess.Popen(["sleep", "60"]).pid, flush=True)
Swallows()
while True:
    time.sleep(1)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_an_interrupt_that_a_destructor_swallows_ends_the_process_all_the_same(number):
    deaf = subprocess.run(
        [sys.executable, "-c", SWALLOWED.format(number=number.name)],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # as nohup's and a shell's background jobs
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )
    assert deaf.returncode == 128 + number
    assert "Exception ignored in" in deaf.stderr
    assert deaf.stderr.endswith("\ninterrupted; run the same command again to go on from here\n")
    assert not Path(f"/proc/{int(deaf.stdout)}").exists()


def test_a_forked_child_that_is_told_to_end_leaves_its_parent_be():
    script = """
import os, signal, time
from clustlib.reproduce import processes
processes.PATIENCE = 0.2
processes.end_on_signals()
heard, told = os.pipe()
child = os.fork()
if not child:
    os.write(told, b"here")  # before that Python drops what it is told
    time.sleep(60)
os.read(heard, 4)
os.kill(child, signal.SIGTERM)
os.waitpid(child, 0)
time.sleep(1)
print("here")
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, encoding="utf-8", timeout=60)
    assert (told.returncode, told.stdout) == (0, "here\n")
