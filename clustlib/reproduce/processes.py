"""A command ends as a whole: with every process that it started, whoever ends it and how.

Kernels are sessions of their own (Jupyter starts them so), hence a process group does not hold them: what holds is
the tree of descendants. A process that adopts orphans keeps it whole where a parent in the middle dies.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from types import FrameType

from clustlib.errors import INTERRUPTED

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
PATIENCE = 4  # seconds for an interrupted process to end by itself
LONGEST = 10  # seconds of trying; a process that waits for a dead disk cannot be killed
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h


class Ended(KeyboardInterrupt):
    """This process was told to end; ``code`` is its exit code, 128 and the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


def end_on_signals() -> None:
    """Raise :class:`Ended` on the first SIGINT, SIGTERM or SIGHUP; what follows it must not disturb the clearing up.

    An exception that is raised anywhere can be swallowed (in a destructor, a callback), and code that is not Python's
    can keep it waiting; so a thread of its own ends what is still there after some seconds.
    """
    owner, (heard, told) = os.getpid(), os.pipe()
    threading.Thread(target=_insist, args=(heard,), daemon=True).start()  # now: a signal may come as another starts

    def end(number: int, frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        if os.getpid() == owner:  # a forked child has no such thread, and must not wake its parent's
            os.write(told, bytes([number]))
        logging.disable()  # of a kernel that dies with this process nbclient has much to say
        raise Ended(number)

    for each in SIGNALS:
        if each == signal.SIGINT or signal.getsignal(each) == signal.SIG_DFL:  # nohup has SIGHUP ignored: so it stays
            signal.signal(each, end)


def _insist(heard: int) -> None:
    """End this process, and what it started, some seconds after it was told to."""
    (number,) = os.read(heard, 1)
    time.sleep(PATIENCE)
    end_descendants()
    say_interrupted()
    os._exit(128 + number)


@cache
def say_interrupted() -> None:
    """Print the one line of an interrupted command, once."""
    print(INTERRUPTED, file=sys.stderr, flush=True)


def _prctl(option: int, value: int) -> None:
    """Linux's switch for a property of this process; other systems have none, and do without."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that :func:`end_descendants` finds it."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent() -> None:
    """Have the system kill this process when its parent ends, even in the middle of compiled code."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def end_descendants() -> None:
    """Kill every process below this one, until none is left.

    Parents go first, so that they can start nothing more; what they had started is found in the next round.
    """
    import psutil

    deadline = time.monotonic() + LONGEST
    while (below := psutil.Process().children(recursive=True)) and time.monotonic() < deadline:
        for process in below:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(below, timeout=1)


def when_closed(descriptor: int, call: Callable[[], object]) -> None:
    """Call ``call`` in a thread when the other end of a pipe is closed, as the system does when its owner dies."""

    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(descriptor, 1):
                pass
        call()

    threading.Thread(target=wait, daemon=True).start()


def when_gone(pid: int, call: Callable[[], object]) -> None:
    """Call ``call`` in a thread when the process ``pid`` has ended (Linux; elsewhere never)."""
    if not hasattr(os, "pidfd_open"):
        return
    import select

    def wait() -> None:
        with contextlib.suppress(ProcessLookupError):
            watched = os.pidfd_open(pid)
            select.select([watched], [], [])
        call()

    threading.Thread(target=wait, daemon=True).start()


@contextlib.contextmanager
def whole() -> Iterator[None]:
    """What the block starts does not outlive it, however it is left."""
    adopt_orphans()
    try:
        yield
    finally:
        end_descendants()


def _end() -> None:
    end_descendants()
    os._exit(1)


def supervise(lock: str, command: list[str]) -> int:
    """Run ``command`` and end it, with all that it started, when standard input closes. Returns its exit code.

    Whoever starts this holds the other end of that pipe; it closes however that process ends. The lock file is held
    as long as anything is left, so that two commands never meet.
    """
    from filelock import FileLock

    end_on_signals()
    with FileLock(lock), whole():
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        when_closed(0, _end)
        return process.wait()


def supervised(lock: os.PathLike | str, command: list[str]) -> list[str]:
    """The command line that runs ``command`` under :func:`supervise`; start it with a pipe as its standard input."""
    return [sys.executable, "-m", "clustlib.reproduce.processes", str(lock), *command]


if __name__ == "__main__":
    sys.exit(supervise(sys.argv[1], sys.argv[2:]))
