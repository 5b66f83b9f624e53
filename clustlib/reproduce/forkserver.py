"""A process that has imported what notebooks use, and of which their processes are forked: they need not import it.

A notebook's job and its kernel take some two seconds to import what draws a figure or trains a network, and most
notebooks of the paper profile do nothing else that takes time. :func:`serving` holds a server for a block;
:mod:`clustlib.reproduce.forked` asks it. Where none serves, processes start as ever.
"""

import atexit
import contextlib
import gc
import importlib
import marshal
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from clustlib import _process
from clustlib.reproduce import forked, processes

_IMPORTED: tuple[str, ...] = ("papermill", "ipykernel.kernelapp", "clustlib.report", "seaborn")
_IMPORTED += ("scipy.stats", "sklearn.cluster", "torch", "numba")
_PATIENCE = 10  # seconds for a request to arrive whole
# the kernels' own, which OpenMP, matplotlib and tqdm read when they are loaded
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
_ENVIRONMENT |= {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}


class _Request(NamedTuple):
    streams: list[int]
    arguments: list[bytes]
    environment: dict[bytes, bytes]
    folder: bytes


class _Child(NamedTuple):
    """A forked process, and who asked for it."""

    pid: int
    ended: int  # readable when it has
    asker: socket.socket


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Callable[[], None]]:
    """A socket in ``folder`` for the block, and what starts the server behind it; it ends with the block.

    Where the system has no such thing, and where others serve already, starting does nothing.
    """
    path = folder / "forkserver"
    try:
        address = None if forked.SOCKET in os.environ else _bound(path)
    except (OSError, AttributeError):
        address = None
    if address is None:
        yield lambda: None
        return
    servers: list[subprocess.Popen] = []

    def start() -> None:
        command = [sys.executable, "-m", "clustlib.reproduce.forkserver", str(os.getpid())]
        with address:  # of which the server alone is to hear: where it has ended, nobody waits for it
            address.listen(socket.SOMAXCONN)
            servers.append(subprocess.Popen(command, stdin=address.fileno(), env={**os.environ, **_ENVIRONMENT}))

    os.environ[forked.SOCKET] = str(path.resolve())
    try:
        with address:
            yield start
    finally:
        del os.environ[forked.SOCKET]
        path.unlink(missing_ok=True)
        for server in servers:
            server.kill()
            server.wait()


def _bound(path: Path) -> socket.socket:
    """Others of this machine may not connect. Raises AttributeError where the system is not Linux."""
    _ = os.pidfd_open
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    found, here, mask = socket.socket(socket.AF_UNIX), Path.cwd(), os.umask(0o077)
    try:
        os.chdir(path.parent)
        found.bind(path.name)
        return found
    finally:
        os.umask(mask)
        os.chdir(here)


def _received(asker: socket.socket) -> _Request:
    asker.settimeout(_PATIENCE)
    head, streams, *_ = socket.recv_fds(asker, forked.LENGTH, 3)
    content = b""
    while len(content) < int.from_bytes(head, "little"):
        part = asker.recv(1 << 16)
        if not part:
            raise EOFError
        content += part
    return _Request(streams, *marshal.loads(content))


def _serve(listening: socket.socket, parent: int) -> _Request | None:
    """Fork whatever is asked for; returns the request in a forked process, None where the parent has ended."""
    with selectors.DefaultSelector() as watched:
        for file in (listening, parent):
            watched.register(file, selectors.EVENT_READ)
        while True:
            for key, _ in watched.select():
                if key.fileobj == parent:
                    return None
                if key.fileobj is listening:
                    request = _accept(listening, watched)
                    if request:
                        return request
                elif watched.get_map().get(key.fileobj) == key:  # its end may have been told of a moment ago
                    _attend(key, watched)


def _accept(listening: socket.socket, watched: selectors.BaseSelector) -> _Request | None:
    """Take one request; None in the server."""
    asker, _ = listening.accept()
    try:
        request = _received(asker)
        pid = os.fork()
    except (OSError, EOFError, ValueError):  # whoever asked has gone, or there is no more memory: it helps itself
        asker.close()
        return None
    if pid == 0:
        return request
    for stream in request.streams:
        os.close(stream)
    child = _Child(pid, os.pidfd_open(pid), asker)
    for file in (child.ended, asker):
        watched.register(file, selectors.EVENT_READ, child)
    with contextlib.suppress(OSError):
        asker.sendall(forked.STARTED)
    return None


def _attend(key: selectors.SelectorKey, watched: selectors.BaseSelector) -> None:
    """Tell whoever asked for a process that it has ended, or end it where they have."""
    child: _Child = key.data
    watched.unregister(key.fileobj)
    if key.fileobj is child.asker:
        signal.pidfd_send_signal(child.ended, signal.SIGKILL)
        return
    code = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
    os.close(child.ended)
    with contextlib.suppress(OSError):
        child.asker.sendall(bytes([code if code >= 0 else 128 - code]))
    with contextlib.suppress(KeyError):
        watched.unregister(child.asker)
    child.asker.close()


def _become(request: _Request) -> None:
    """Be the process that was asked for."""
    processes.end_with_parent()
    os.setsid()
    _take(request.streams)
    os.chdir(request.folder)
    os.environb.clear()
    os.environb.update(request.environment)
    _process.follow_openmp()
    module, *arguments = map(os.fsdecode, request.arguments)
    sys.path[0] = os.getcwd()
    sys.argv[1:] = arguments
    importlib.import_module("numpy").random.seed()  # else all have the numbers of the server's start
    code = _ran(module)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # to take the interpreter down in order would write to, and so copy, all that is shared


def _take(streams: list[int]) -> None:
    """Read and write there. A file of the server's, say, can be sought in, and a pipe cannot: hence new streams."""
    for number, (stream, name) in enumerate(zip(streams, ("stdin", "stdout", "stderr"))):
        os.dup2(stream, number)
        os.close(stream)
        was = getattr(sys, f"__{name}__")
        made = open(number, was.mode, encoding=was.encoding, errors=was.errors, closefd=False)  # noqa: SIM115
        if number:
            made.reconfigure(line_buffering=True)
        setattr(sys, name, made)
        setattr(sys, f"__{name}__", made)


def _ran(module: str) -> int:
    """Run a module as ``python -m`` does and return its exit code."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1


def main() -> None:
    """Serve on the socket that is standard input, as long as the parent lives."""
    parent = os.pidfd_open(int(sys.argv[1]))
    with socket.socket(fileno=os.dup(0)) as listening:
        _prepare()
        request = _serve(listening, parent)
    if request:
        _become(request)


def _prepare() -> None:
    """Import what most notebooks use."""
    from clustlib.reproduce.running import without_iri_syntax

    without_iri_syntax()
    sys.modules["debugpy"] = None  # type: ignore[assignment] # a fifth of a second of each kernel, and nobody debugs
    for name in _IMPORTED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    importlib.import_module("nbformat.validator").get_validator(4, 5)  # which compiles the schema of notebooks
    # pandas takes a process that is no kernel yet for a terminal, and shows as many columns as are wide enough for one
    importlib.import_module("pandas").set_option("display.max_columns", 20)
    gc.freeze()  # what a collection writes to is no longer shared with the forked


if __name__ == "__main__":
    main()
