"""Processes that are forked of one that has imported everything: as ever, but sooner."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_book import calls, kill, lay_out, make

from clustlib.reproduce import forked, forkserver

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux alone has it")
PRINTS = (
    "import os, sys; print(sys.argv[1:], os.getcwd(), os.environ['ASKED'], sys.stdin.read(), 'torch' in sys.modules)\n"
)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server that has started; its own path is too long to connect to."""
    folder = tmp_path_factory.mktemp("forkserver") / ("long" * 30)
    with forkserver.serving(folder) as start:
        start()
        yield folder


def ask(folder: Path, code: str, *arguments: str, **options) -> subprocess.Popen:
    (folder / "asked.py").write_text(code, encoding="utf-8")
    command = forked.command([sys.executable, "-m", "asked", *arguments])
    assert command[1] == "-I"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    return subprocess.Popen(command, cwd=folder, env={**os.environ, "ASKED": "yes"}, **pipes, **options)


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
    return False


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 20
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive(pid)


def wait_until_told(asker: int) -> None:
    """Until it knows that its process was forked, from when on it ignores SIGINT; before, it would start one itself."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        status = Path(f"/proc/{asker}/status").read_text(encoding="utf-8")
        if int(status.partition("SigIgn:")[2].split()[0], 16) & 1 << (signal.SIGINT - 1):
            return
        time.sleep(0.02)
    raise AssertionError("nobody told it")


def test_a_forked_process_has_the_arguments_folder_environment_and_streams_of_its_asker(served, tmp_path):
    said, errors = ask(tmp_path, PRINTS, "a b", "ä").communicate("read")
    assert said == f"['a b', 'ä'] {tmp_path} yes read True\n", errors


@pytest.mark.parametrize(
    "code, expected",
    [("", 0), ("raise SystemExit(3)", 3), ("raise SystemExit('no')", 1), ("1 / 0", 1), ("import os; os.abort()", 134)],
)
def test_the_exit_code_is_the_forked_process_s(served, tmp_path, code, expected):
    process = ask(tmp_path, code)
    _, errors = process.communicate()
    assert process.returncode == expected
    assert ("ZeroDivisionError" in errors) == ("1 / 0" in code)


def test_what_a_process_registered_for_its_end_is_done(served, tmp_path):
    code = "import atexit, threading, time\natexit.register(print, 'end')\n"
    code += "threading.Thread(target=lambda: (time.sleep(0.3), print('thread'))).start()"
    assert ask(tmp_path, code).communicate()[0] == "thread\nend\n"


def test_a_forked_process_ends_with_its_asker_also_in_compiled_code(served, tmp_path):
    asker = ask(tmp_path, "import os, re; print(os.getpid(), flush=True); re.match('(a+)+$', 'a' * 60 + 'b')")
    pid = int(asker.stdout.readline())
    asker.kill()
    assert gone(pid)


def test_processes_draw_numbers_of_their_own(served, tmp_path):
    code = "import numpy, random; print(numpy.random.rand(), random.random())"
    first, second = (ask(tmp_path, code).communicate()[0].split() for _ in range(2))
    assert first[0] != second[0] and first[1] != second[1]


def test_where_the_server_has_been_killed_processes_start_as_ever_and_its_own_have_ended(tmp_path, monkeypatch):
    monkeypatch.delenv(forked.SOCKET, raising=False)
    with forkserver.serving(tmp_path / "socket") as start:
        start()
        asker = ask(tmp_path, "import os, time; print(os.getpid(), os.getppid(), flush=True); time.sleep(60)")
        pid, server = map(int, asker.stdout.readline().split())
        wait_until_told(asker.pid)
        kill(server)
        assert gone(pid) and asker.wait(timeout=20) == 1
        assert ask(tmp_path, PRINTS).communicate("read")[0] == f"[] {tmp_path} yes read False\n"
    assert not list((tmp_path / "socket").iterdir())


def test_a_server_ends_with_whoever_started_it(tmp_path):
    code = "import os, subprocess, sys, time\nfrom pathlib import Path\n"
    code += "from clustlib.reproduce import forked, forkserver\n"
    code += "with forkserver.serving(Path(sys.argv[1])) as start:\n    start()\n"
    code += "    subprocess.run(forked.command([sys.executable, '-m', 'asked']))\n    time.sleep(60)"
    (tmp_path / "asked.py").write_text("import os; print(os.getppid(), flush=True)", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != forked.SOCKET}
    command = [sys.executable, "-c", code, str(tmp_path)]
    starter = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, encoding="utf-8", env=environment)
    server = int(starter.stdout.readline())
    assert alive(server)
    starter.kill()
    assert gone(server)


def test_a_book_is_made_by_forked_jobs_and_kernels(served, tmp_path):
    (tmp_path / "book/records").mkdir(parents=True)
    (tmp_path / "_config.yml").write_text("title: a book\n", encoding="utf-8")
    lay_out(tmp_path)
    notebook = tmp_path / "notebooks/jule/table-01.ipynb"
    forked_here = "import sys\\nassert 'torch' in sys.modules and 'debugpy.server' not in sys.modules\\n"
    notebook.write_text(
        notebook.read_text(encoding="utf-8").replace("import time", f"{forked_here}import time", 1), encoding="utf-8"
    )
    assert (done := make(tmp_path)).returncode == 0, done.stdout + done.stderr
    assert calls(tmp_path) == ["quick dashboard", "quick table-01", "quick table-02"]
