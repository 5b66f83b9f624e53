"""Where a measurement came from: machine, versions, commit, memory."""

import contextlib
import hashlib
import os
import platform
import re
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from clustlib import _paths

_PACKAGES = (
    *("numpy", "scipy", "scikit-learn", "torch", "torchvision", "triton", "numba"),
    *("faiss-cpu", "faiss-gpu", "openvino", "clustpy"),
)


@cache
def versions() -> dict[str, str]:
    """Python's version and those of the installed packages that can change a number."""
    installed = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return installed


@cache
def lock() -> str:
    """The first 16 digits of the SHA-256 of the file under ``locks/`` whose versions are installed here; else empty."""
    try:
        files = sorted((_paths.root() / "locks").glob("*.txt"))
    except FileNotFoundError:  # no checkout here
        return ""
    for file in files:
        text = file.read_text(encoding="utf-8")
        pins = re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.M)
        if pins and all(_installed(name) == version for name, version in pins):
            return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
    return ""


def _installed(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


@cache
def cpu() -> str:
    """The processor's name and the number of cores this process may use."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name}, {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores"


@cache
def commit() -> str:
    """The checkout's commit, with ``+`` where tracked files differ from it; empty outside git.

    ``CLUSTLIB_COMMIT`` says it for a copy of a checkout, as on a GPU node without its history.
    """
    if given := os.environ.get("CLUSTLIB_COMMIT"):
        return given

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(_paths.root()), *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def device() -> str:
    """The GPU's name where torch has one in use, else the processor."""
    torch = sys.modules.get("torch")  # never import torch just to ask
    if torch is not None and torch.cuda.is_available() and torch.cuda.max_memory_allocated() > 0:
        return str(torch.cuda.get_device_name())
    return cpu()


def threads() -> int:
    """How many threads a computation may use here: torch's own number, else what ``OMP_NUM_THREADS`` says."""
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and int(given) else os.cpu_count() or 1


def on_gpu(made: dict[str, Any]) -> bool:
    """Whether a measurement with this :func:`environment` was made on a GPU."""
    return made["device"] != made["cpu"]


def reset_peak_memory() -> None:
    """Forget the peak so far, where the system lets us (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb() -> float:
    """Peak resident memory of this process since :func:`reset_peak_memory`, in MB."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024, 1)
    except (OSError, StopIteration):
        import resource

        scale = 1 if sys.platform == "darwin" else 1024
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 2**20, 1)


def environment() -> dict[str, object]:
    """What every record says of the machine and the code that made it."""
    return {
        "device": device(),
        "cpu": cpu(),
        "threads": threads(),
        "platform": platform.platform(),
        "versions": versions(),
        "lock": lock(),
        "commit": commit(),
    }
