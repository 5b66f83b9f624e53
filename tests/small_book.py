"""A book of three small notebooks for the tests that run it: how it is written, made and looked at."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARAMETERS = 'profile = "quick"\nrecompute = "stale"\nvalue = 0.5\nseconds = 0\n'
RUN = """
import time
from pathlib import Path
from clustlib import results
with open(Path("../..") / "calls.txt", "a") as file:
    file.write(f"{profile} NAME\\n")
time.sleep(seconds)
if value < 0:
    raise ValueError("value must not be negative")
if value > 99:
    raise ValueError("value must be below 100")
"""
FINISH = 'results.finish("PAPER", "NAME", profile=profile, metrics={"value": value})\n'


def write_notebook(folder: Path, paper: str, name: str, *cells: str) -> Path:
    """A notebook whose first cell is tagged parameters."""
    sources = cells or (PARAMETERS, RUN, FINISH)
    made = []
    for number, source in enumerate(sources):
        source = source.replace("NAME", name).replace("PAPER", paper)
        tags = {"tags": ["parameters"]} if number == 0 else {}
        made.append(
            {
                "cell_type": "code",
                "id": f"c{number}",
                "metadata": tags,
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
        )
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = folder / "notebooks" / paper / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"cells": made, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}), encoding="utf-8"
    )
    return path


def set_default(path: Path, text: str, new: str) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace(text, new), encoding="utf-8")


def run_cli(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "clustlib.reproduce", *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=300,
        encoding="utf-8",
    )


def write_entry(folder: Path, paper: str, key: str, more: str = "", notebook: str = "") -> Path:
    """The yml of a table, with further lines; it is shown by the notebook of its own name where no other is said."""
    path = folder / "book/published" / paper / f"{key}.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = f"title: a table\nkind: table\norder: 10\nsource: Table 1\nnotebook: {notebook or key}\n{more}\n"
    path.write_text(text, encoding="utf-8")
    return path


def lay_out(folder: Path) -> None:
    """Two notebooks and a dashboard, without HTML, in an empty book."""
    shutil.copy(ROOT / "Snakefile", folder)
    write_notebook(folder, "jule", "table-01")
    write_notebook(folder, "jule", "table-02")
    write_notebook(folder, "report", "dashboard")
    write_entry(folder, "jule", "table-01")
    (folder / "book/records/quick.json").write_text(
        json.dumps({k: {"value": [0.4, 0.6]} for k in ("jule/table-01", "jule/table-02", "report/dashboard")}),
        encoding="utf-8",
    )


def targets(*profiles: str) -> list[str]:
    names = ("jule/table-01", "jule/table-02", "report/dashboard")
    return [f"_build/{profile}/results/{name}.json" for profile in profiles for name in names]


def make(folder: Path, *profiles: str) -> subprocess.CompletedProcess:
    """The workflow without its HTML."""
    return run_cli(folder, "book", "--cores", "2", "--", *targets(*(profiles or ("quick",))))


def calls(folder: Path) -> list[str]:
    path = folder / "calls.txt"
    return sorted(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else []


def descendants(pid: int) -> list[int]:
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, encoding="utf-8"
    ).stdout.split()
    return [p for child in map(int, children) for p in (child, *descendants(child))]


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def command_line(pid: int) -> str:
    return subprocess.run(
        ["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, encoding="utf-8"
    ).stdout


def working_notebook(pid: int, folder: Path) -> bool:
    """Whether a kernel works in the book's notebooks."""
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd")).is_relative_to(folder)
    except OSError:
        return False
