"""One notebook run: where its page and its result go, Jupyter or plain Python, and what is proved at the end."""

import hashlib
import json
import os
import re
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clustlib import _paths, results
from clustlib.errors import OneLine, shortened
from clustlib.records.store import lock
from clustlib.reproduce import forked, home, workflow
from clustlib.reproduce.notebook import Notebook, checked, profile_parameters, source

STARTS = 3  # of a kernel that does not come up
# what the kernel does first: bars are text, which TQDM_DISABLE silences (tqdm's own class for notebooks is not to be
# silenced, and its widgets mean nothing on a page); and it ends with the process that started it
_KERNEL_STARTS = (
    "__import__('sys').modules['tqdm.notebook'] = None",
    "__import__('clustlib.reproduce.processes').reproduce.processes.end_with_parent()",
)
_QUIET = ("--IPKernelApp.log_level=CRITICAL",)  # that its end came by a signal is no news
_MOST_NUMBERS = 10  # that are printed
_LONGEST_NAME = 80  # characters of a folder named after parameters


class NotebookFailed(OneLine, RuntimeError):
    """A notebook raised; ``line`` is its one-line message."""

    def __init__(self, line: str) -> None:
        super().__init__(line)
        self.line = line


def _line(name: str, message: object) -> str:
    """An error as one line."""
    return shortened(f"{name}: {message}".splitlines()[0])


@dataclass(frozen=True)
class Place:
    """Where a run leaves its page and its result; ``others`` are the parameters in which it is not the profile's."""

    page: Path
    result: Path
    others: dict[str, Any]


def place(notebook: Notebook, profile: str, overrides: dict[str, Any]) -> Place:
    """The book's own place, or, for other parameters than the profile's, one under ``_build/own``.

    How much is computed anew (``recompute``) is no matter of what a page shows.
    """
    usual = {**notebook.defaults(), **profile_parameters(notebook, profile)}
    others = {name: value for name, value in overrides.items() if name != "recompute" and value != usual[name]}
    if not others:
        page = _paths.root() / workflow.executed(profile, notebook)
        return Place(page, results.path(profile, notebook.paper, notebook.key), {})
    folder = _paths.build("own") / profile / notebook.name / _folder_name(others)
    return Place(folder / notebook.path.name, folder / "result.json", others)


def _folder_name(parameters: dict[str, Any]) -> str:
    text = json.dumps(parameters, sort_keys=True)
    readable = ".".join(re.sub(r"[^A-Za-z0-9.]+", "-", f"{n} {v}").strip("-") for n, v in sorted(parameters.items()))
    return f"{readable[:_LONGEST_NAME]}.{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def run(
    notebook: Notebook, profile: str, overrides: dict[str, Any], output: Path | None = None, plain: bool = False
) -> Place:
    """Run a notebook in a profile and leave its result: in the book where the parameters are the profile's.

    The result says "ok" only where every cell ran and the notebook handed its outcome on. One that was interrupted has
    none. Raises :class:`NotebookFailed`.
    """
    parameters = {**profile_parameters(notebook, profile), **checked(notebook, overrides, "command line")}
    chosen = place(notebook, profile, overrides)
    page = output or chosen.page
    with lock(workflow.page_lock(chosen.page)):
        chosen.result.parent.mkdir(parents=True, exist_ok=True)
        outcome = results.handed_on(chosen.result)
        for earlier in (chosen.result, outcome):
            earlier.unlink(missing_ok=True)
        os.environ[results.PLACE] = str(outcome)
        clock = time.perf_counter()
        try:
            status = _status(notebook, parameters, page, plain, outcome)
        finally:
            del os.environ[results.PLACE]
        seconds = time.perf_counter() - clock
        results.close(chosen.result, profile, notebook.paper, notebook.key, status, seconds, chosen.others)
    if status != results.OK:
        raise NotebookFailed(status)
    return Place(page, chosen.result, chosen.others)


def told(done: Place) -> list[str]:
    """What a run found and where it lies, as indented lines."""
    result = results.load(done.result)
    lines = [results.outcome(result)] if len(result.comparison) else []
    lines += [f"{name}: {value:.6g}" for name, value in list(result.regression.items())[:_MOST_NUMBERS]]
    more = len(result.regression) - _MOST_NUMBERS
    lines += [f"... and {more} more"] if more > 0 else []
    if done.others:
        lines.append("other parameters than the profile's: the book keeps its own result")
    lines += [f"page: {done.page}"] if done.page.is_file() else []
    return [f"  {line}" for line in [*lines, f"result: {done.result}"]]


def _status(notebook: Notebook, parameters: dict[str, Any], page: Path, plain: bool, outcome: Path) -> str:
    """How a run ended: ``results.OK`` where that is proved, else the error's one line."""
    try:
        if plain:
            execute_plain(notebook, parameters)
        else:
            execute(notebook, parameters, page)
    except NotebookFailed as error:
        return error.line
    if "results.finish(" in notebook.code() and not outcome.is_file():
        return "the notebook ended before it handed its result on"
    return results.OK


def _engine() -> str:
    """The name of papermill's engine with the page saved once, at the end, however that comes.

    It saves all of it twice for each cell, which takes half a second of a replay's two.
    """
    from papermill.engines import NBClientEngine, papermill_engines

    class SavesOnce(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> None:
            nb_man.save = lambda **_: None
            try:
                super().execute_managed_notebook(nb_man, kernel_name, **options)
            finally:
                del nb_man.save

    papermill_engines.register("saves once", SavesOnce)
    return "saves once"


def _papermill(notebook: Notebook, parameters: dict[str, Any], output: Path) -> None:
    """Run a notebook with papermill, again where its kernel did not come up.

    Kernels that start at the same time can pick the same port; one of the two dies before any cell has run.
    """
    import papermill
    from jupyter_client.manager import AsyncKernelManager
    from traitlets.config import Config

    class Kernel(AsyncKernelManager):
        def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
            return forked.command(super().format_kernel_cmd(extra_arguments))

    def literal(path: Path) -> str:  # papermill fills in {names}
        return str(path).replace("{", "{{").replace("}", "}}")

    for attempt in range(1, STARTS + 1):
        try:
            papermill.execute_notebook(
                literal(notebook.path),
                literal(output),
                parameters=parameters,
                kernel_name="python3",
                cwd=str(notebook.path.parent),
                progress_bar=False,
                engine_name=_engine(),
                kernel_manager_class=Kernel,
                extra_arguments=[*_QUIET, *(f"--IPKernelApp.exec_lines={line}" for line in _KERNEL_STARTS)],
                config=Config({"KernelManager": {"transport_encryption": "auto"}}),
            )
            return
        except RuntimeError as error:
            if attempt == STARTS or "before replying to kernel_info" not in str(error):
                raise


def without_iri_syntax() -> None:
    """Spare papermill's import nearly three seconds, of a notebook's ten.

    It leads to jsonschema, which tries a package that compiles the grammar of IRIs whenever it is imported, and does
    without where it cannot be. A notebook's schema has no IRI.
    """
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


def execute(notebook: Notebook, parameters: dict[str, Any], output: Path) -> None:
    """Run a notebook under Jupyter (papermill) and write the executed copy, whole, also where it raised.

    The kernel works in the notebook's own folder. Raises :class:`NotebookFailed`.
    """
    os.environ.update(home.stand_in())
    without_iri_syntax()
    from papermill.exceptions import PapermillExecutionError

    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = workflow.unfinished(output)
    temporary.unlink(missing_ok=True)
    os.environ["TQDM_DISABLE"] = "1"  # the kernel inherits it
    failure = None
    try:
        _papermill(notebook, parameters, temporary)
    except PapermillExecutionError as error:
        failure = _line(error.ename, error.evalue)
    except (RuntimeError, OSError) as error:  # the kernel died, or did not start; the disk is full
        failure = _line(type(error).__name__, error)
    try:
        _publish(temporary, output)
    except OSError as error:
        failure = failure or _line(type(error).__name__, error)
    if failure:
        raise NotebookFailed(failure)


def _publish(temporary: Path, page: Path) -> None:
    """Put an executed page, whole or not written at all, in its place, without the paths of this machine."""
    try:
        content = json.loads(temporary.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # no kernel came up, or a full disk cut it short
        return
    for name in ("input_path", "output_path"):
        content["metadata"].get("papermill", {}).pop(name, None)
    here = json.dumps(f"{_paths.root()}{os.sep}", ensure_ascii=False)[1:-1]
    text = json.dumps(content, ensure_ascii=False, indent=1).replace(here, "")
    _paths.write_atomically(page, text.encode(errors="surrogatepass"))
    temporary.unlink()


def execute_plain(notebook: Notebook, parameters: dict[str, Any]) -> None:
    """Run a notebook's code cells as plain Python: no Jupyter needed, the same records written.

    Prints the traceback of an error that is neither one of clustlib's own lines nor the system's. Raises
    :class:`NotebookFailed`.
    """
    os.environ.setdefault("MPLBACKEND", "Agg")
    os.chdir(notebook.path.parent)
    namespace: dict[str, Any] = {"__name__": "__main__", "display": lambda *shown: None}  # which Jupyter provides
    try:
        for number, cell in enumerate(notebook.code_cells(), start=1):
            exec(compile(source(cell), f"{notebook.name}, code cell {number}", "exec"), namespace)
            if "parameters" in cell["metadata"].get("tags", []):
                namespace.update(parameters)
    except (Exception, SystemExit) as error:
        if not isinstance(error, OneLine) and not (isinstance(error, OSError) and error.errno):
            traceback.print_exc()
        raise NotebookFailed(_line(type(error).__name__, error)) from None
