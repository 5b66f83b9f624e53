"""Runs witnesses, each in a forked process; started as a script by :mod:`clustlib.records.witness`.

It has imported third-party packages only and knows nothing of the clustlib that started it: a job names the tree
whose code is to run, and the child process imports that one. So a job costs about a second. A tree's source files
are read once, at its first job, and never from compiled files beside them: an edit made meanwhile counts for nothing.
"""

import contextlib
import importlib
import importlib.util
import io
import json
import math
import os
import resource
import select
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import CodeType
from typing import Any

_COMMON = (
    *("numpy", "scipy.sparse.linalg", "scipy.optimize", "pandas", "numba", "torch", "faiss", "tqdm.auto"),
    *("sklearn.cluster", "sklearn.decomposition", "sklearn.neighbors", "sklearn.manifold", "sklearn.svm"),
    *(
        "torch._dynamo",
        "torch.distributed",
        "sklearn.linear_model",
        "sklearn.preprocessing",
        "sklearn.datasets",
        "sklearn.metrics",
        "PIL.Image",
    ),
)
_WAITING = 10  # how many times its seconds of a processor a job may take on a machine that is busy otherwise
_MEMORY = 6 << 30  # bytes a witness may allocate: a fault in a size must not take the machine
_REPEATED = 10_000  # known lines in a row after which a call is not followed further
_FUNCTION = 0x1  # CO_OPTIMIZED: the code of a function, not of a module or a class


class Tree:
    """The modules of one package as they were when first asked for; imported from here, not from the disk."""

    def __init__(self, root: Path, package: str) -> None:
        self.package = package
        self.files: dict[str, tuple[Path, bytes]] = {}
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            self.files[name] = (path, path.read_bytes())
        self.code = {name: compile(text, str(path), "exec") for name, (path, text) in self.files.items()}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Of a meta path hook: this tree's modules and no others of its package."""
        if name.split(".")[0] != self.package or name not in self.files:
            return None
        file, _ = self.files[name]
        inner = [str(file.parent)] if file.stem == "__init__" else None
        loader: Any = self
        return importlib.util.spec_from_file_location(name, file, loader=loader, submodule_search_locations=inner)

    def create_module(self, spec: Any) -> None:
        """Of a loader: the usual module."""

    def exec_module(self, module: Any) -> None:
        """Of a loader."""
        exec(self.code[module.__name__], module.__dict__)


class Lines:
    """Which lines of a tree's functions were executed, by module."""

    def __init__(self, tree: Tree) -> None:
        self.modules = {str(path): name for name, (path, _) in tree.files.items()}
        self.left: dict[CodeType, set[int] | None] = {}
        self.seen: dict[str, set[int]] = {}

    def _known(self, code: CodeType) -> set[int] | None:
        """Lines of this code that were not seen yet; None where they are not asked for."""
        if code not in self.left:
            wanted = code.co_filename in self.modules and code.co_flags & _FUNCTION
            self.left[code] = {line for *_, line in code.co_lines() if line} if wanted else None
        return self.left[code]

    def called(self, frame: Any, event: str, argument: Any) -> Any:
        """Of ``sys.settrace``: lines are followed in functions of the tree that have lines left."""
        left = self._known(frame.f_code)
        if not left:
            return None
        seen = self.seen.setdefault(self.modules[frame.f_code.co_filename], set())
        repeated = 0

        def line(frame: Any, event: str, argument: Any) -> Any:
            nonlocal repeated
            if frame.f_lineno in left:
                seen.add(frame.f_lineno)
                left.discard(frame.f_lineno)
                repeated = 0
            else:
                repeated += 1
            if not left or repeated > _REPEATED:
                frame.f_trace_lines = False
            return line

        return line(frame, event, argument)


def _plain_vectorize(*_: Any, **__: Any) -> Any:
    """``numba.vectorize`` where nothing is compiled: entry by entry, in the dtype of the arrays."""
    import numpy as np

    def decorate(function: Any) -> Any:
        entries = np.frompyfunc(function, function.__code__.co_argcount, 1)
        return lambda *arrays: entries(*arrays).astype(np.result_type(*arrays))

    return decorate


def _tell_numba(job: dict[str, Any]) -> None:
    """Plain Python, or compiled code in the witnesses' folder, where :mod:`clustlib.compiled` keeps it by its mark."""
    import numba

    numba.config.DISABLE_JIT = not job["jit"]  # type: ignore[attr-defined]
    os.environ["CLUSTLIB_COMPILED"] = job["compiled"]
    if not job["jit"]:
        numba.vectorize = _plain_vectorize


def _witnesses(folder: Path) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location(
        "witnesses", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module = sys.modules["witnesses"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.WITNESSES  # type: ignore[no-any-return]


def _call(job: dict[str, Any], tree: Tree) -> dict[str, Any]:
    """The witness's arrays, or its error in a line; seconds; the lines executed where they were asked for."""
    import numpy as np

    _tell_numba(job)
    if job["mutant"]:
        module, source = job["mutant"]
        tree.code[module] = compile(source, str(tree.files[module][0]), "exec")
    sys.meta_path.insert(0, tree)  # and clustlib from nowhere else
    sys.meta_path[:] = [finder for finder in sys.meta_path if "__editable__" not in getattr(finder, "__module__", "")]
    lines = Lines(tree) if job["trace"] else None
    started = time.process_time()
    result: dict[str, Any] = {"error": None, "arrays": {}}
    try:
        witness = _witnesses(Path(job["witnesses"]))[job["name"]]
        if lines:
            threading.settrace(lines.called)
            sys.settrace(lines.called)
        try:
            arrays = {name: np.asarray(value) for name, value in witness().items()}
            if unsuited := [name for name, array in arrays.items() if array.dtype.hasobject]:
                raise TypeError(f"{unsuited[0]} is no plain array")
            result["arrays"] = arrays
        finally:
            sys.settrace(None)
    except BaseException as error:
        result["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
        if os.environ.get("CLUSTLIB_WITNESS_TRACEBACK"):
            import traceback

            result["traceback"] = traceback.format_exc()
    result["seconds"] = time.process_time() - started
    result["lines"] = {name: sorted(seen) for name, seen in lines.seen.items()} if lines else {}
    return result


def _in_child(job: dict[str, Any], tree: Tree) -> None:
    """One job, and its outcome in a file: the arrays, and as JSON their names and the rest."""
    import numpy as np

    with tempfile.TemporaryDirectory() as home:
        os.environ.update(HOME=home, XDG_CACHE_HOME=home, XDG_CONFIG_HOME=home, TMPDIR=home)
        tempfile.tempdir = home
        os.chdir(home)
        for folder in ("notebooks", "book/records"):  # a book of its own, so that nothing is written into the tree's
            Path(home, folder).mkdir(parents=True)
        Path(home, "_config.yml").touch()
        silent = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(silent, descriptor)
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
        allowed = math.ceil(job["timeout"])
        resource.setrlimit(resource.RLIMIT_CPU, (allowed, allowed))
        result = _call(job, tree)
        partial = f"{job['out']}.part"
        arrays = {f"array {i}": array for i, array in enumerate(result["arrays"].values())}
        said = json.dumps({**result, "arrays": list(result["arrays"])})
        with open(partial, "wb") as file:
            np.savez(file, allow_pickle=False, said=np.array(said), **arrays)
        os.replace(partial, job["out"])


class Server:
    """Takes jobs, a line of JSON each, from standard input; answers with a line when one has ended."""

    def __init__(self) -> None:
        self.trees: dict[tuple[str, str, str], Tree] = {}
        self.running: dict[int, tuple[dict[str, Any], float]] = {}

    def start(self, job: dict[str, Any]) -> None:
        """Fork a child for a job."""
        place = (job["tree"], job["package"], job["content"])
        if place not in self.trees:
            self.trees[place] = Tree(Path(job["tree"]), job["package"])
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _in_child(job, self.trees[place])
                code = 0
            finally:
                os._exit(code)
        with contextlib.suppress(OSError):
            os.setpgid(child, child)
        self.running[child] = (job, time.monotonic() + _WAITING * job["timeout"])

    def watch(self) -> None:
        """Report children that have ended, and end those that run too long."""
        for child, (job, deadline) in list(self.running.items()):
            ended, state = os.waitpid(child, os.WNOHANG)
            late = time.monotonic() > deadline
            spent = bool(ended) and os.WIFSIGNALED(state) and os.WTERMSIG(state) in (signal.SIGXCPU, signal.SIGKILL)
            if not ended and late:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
            if ended or late:
                del self.running[child]
                print(json.dumps({"id": job["id"], "late": spent or (late and not ended)}), flush=True)

    def serve(self) -> None:
        """Until standard input ends."""
        rest = b""
        while True:
            ready, _, _ = select.select([0], [], [], 0.01 if self.running else None)
            if ready:
                read = os.read(0, 1 << 20)
                if not read:
                    break
                *lines, rest = (rest + read).split(b"\n")
                for line in lines:
                    self.start(json.loads(line))
            self.watch()
        for child in self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)


def main() -> None:
    """With a folder, say which witnesses it has; without one, import what every tree needs and serve."""
    if len(sys.argv) > 1:
        print(json.dumps({name: made.__module__ for name, made in _witnesses(Path(sys.argv[1])).items()}))
        return
    for name in _COMMON:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
    Server().serve()


if __name__ == "__main__":
    main()
