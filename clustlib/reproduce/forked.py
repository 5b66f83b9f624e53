"""Stands for a process that :mod:`clustlib.reproduce.forkserver` forks, where one serves; else becomes that process.

``python -I -S forked.py MODULE ARGUMENTS`` is ``python -m MODULE ARGUMENTS``. It hands on its arguments, environment,
folder and streams, and ends with the other's exit code; the other is ended where this one is. It is read anew each
time it runs, and is to start in no time: so it is short, and takes nothing from clustlib.
"""

import marshal
import os
import signal
import socket
import sys

SOCKET = "CLUSTLIB_FORKSERVER"  # the environment variable that names the socket
STARTED = b"+"
LENGTH = 8  # bytes


def command(line: list[str]) -> list[str]:
    """The command line ``[python, "-m", module, ...]`` as one that is forked, where somebody serves."""
    if SOCKET not in os.environ or line[1] != "-m":
        return line
    return [line[0], "-I", "-S", __file__, *line[2:]]


def _end_with_parent() -> None:
    """As :func:`clustlib.reproduce.processes.end_with_parent`."""
    import ctypes

    parent = os.getppid()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _connected(address: str) -> socket.socket:
    """A socket, by its name alone: one cannot connect to a path of more than 107 bytes."""
    here = os.open(".", os.O_RDONLY)
    os.chdir(os.path.dirname(address))
    asked = socket.socket(socket.AF_UNIX)
    try:
        asked.connect(os.path.basename(address))
        return asked
    finally:
        os.fchdir(here)
        os.close(here)


def ask(arguments: list[str]) -> int | None:
    """Have ``python -m ARGUMENTS`` forked; its exit code, or None where nobody forks it."""
    words = [os.fsencode(word) for word in arguments]
    content = marshal.dumps((words, dict(os.environb), os.getcwdb()))
    try:
        asked = _connected(os.environ[SOCKET])
        socket.send_fds(asked, [len(content).to_bytes(LENGTH, "little")], [0, 1, 2])
        asked.sendall(content)
        if asked.recv(1) != STARTED:
            return None
    except OSError:
        return None
    # Jupyter interrupts every kernel before it asks it to end, which is nothing to a kernel that has no work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return int.from_bytes(asked.recv(1) or b"\1", "little")
    except OSError:  # the server was killed, and all that it forked with it
        return 1


if __name__ == "__main__":
    _end_with_parent()
    code = ask(sys.argv[1:])
    if code is None:
        os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:]])
    sys.exit(code)
