"""A notebook as a protocol: its parameters, and its code cells run under Jupyter or as plain Python."""

import ast
import difflib
import json
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from clustlib import _paths, results, sources
from clustlib.errors import UsageError


@dataclass(frozen=True)
class Notebook:
    """A source notebook under ``notebooks/<paper>/<stem>.ipynb``."""

    path: Path

    @property
    def paper(self) -> str:
        """The paper it belongs to: its folder's name."""
        return self.path.parent.name

    @property
    def name(self) -> str:
        """``paper/stem``."""
        return f"{self.paper}/{self.path.stem}"

    @property
    def key(self) -> str:
        """The table or figure it shows: ``table-03`` of ``table-03-nmi-raw-pixels``, else the whole stem."""
        match = re.match(r"(table|fig)-\d+[a-z]?(?=-|$)", self.path.stem)
        return match[0] if match else self.path.stem

    def code_cells(self) -> list[dict]:
        """The code cells as nbformat dictionaries."""
        try:
            cells = json.loads(self.path.read_text(encoding="utf-8"))["cells"]
        except (ValueError, KeyError) as error:
            raise UsageError(f"{self.path} is not a readable notebook: {error}") from None
        return [cell for cell in cells if cell["cell_type"] == "code"]

    def code(self) -> str:
        """All its code as one text."""
        return "\n".join(_source(cell) for cell in self.code_cells())

    def defaults(self) -> dict[str, Any]:
        """The parameters cell's names and default values."""
        tagged = [cell for cell in self.code_cells() if "parameters" in cell["metadata"].get("tags", [])]
        if not tagged:
            raise UsageError(f"{self.name} has no cell tagged parameters")
        assignments = (node for node in ast.parse(_source(tagged[0])).body if isinstance(node, ast.Assign))
        return {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in assignments
            if isinstance(node.targets[0], ast.Name)
        }

    def files(self) -> list[Path]:
        """The clustlib sources that it depends on, and its paper's published numbers."""
        return sources.files_of_code(self.code()) + sorted(_paths.book("published", self.paper).glob("*"))


def _source(cell: dict) -> str:
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def find(name: str | Path) -> Notebook:
    """A notebook by path or by ``paper/stem``. Raises :class:`UsageError` with close matches."""
    path = Path(name)
    if path.suffix == ".ipynb" and path.is_file():
        return Notebook(path.resolve())
    known = {notebook.name: notebook for notebook in all_notebooks()}
    wanted = str(name).removesuffix(".ipynb").removeprefix("notebooks/")
    if wanted in known:
        return known[wanted]
    close = difflib.get_close_matches(wanted, known, n=3) or sorted(known)
    raise UsageError(f"no notebook {name}; did you mean {', '.join(close)}?")


def all_notebooks() -> list[Notebook]:
    """Every notebook of the book, by paper and name."""
    return [Notebook(path) for path in sorted((_paths.root() / "notebooks").glob("*/*.ipynb"))]


def profile_parameters(notebook: Notebook, profile: str) -> dict[str, Any]:
    """What ``book/profiles/<profile>.yml`` sets for this notebook.

    Its ``all`` section applies where the notebook has a parameter of that name; its own section must
    name parameters that exist. The quick profile is every notebook's defaults.
    """
    if profile not in ("quick", "paper"):
        raise UsageError(f'profile must be "quick" or "paper", got {profile!r}')
    file = _paths.book("profiles", f"{profile}.yml")
    settings = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}) if file.is_file() else {}
    defaults = notebook.defaults()
    common = {name: value for name, value in (settings.get("all") or {}).items() if name in defaults}
    return {**common, **checked(notebook, settings.get(notebook.name) or {}, str(file))}


def checked(notebook: Notebook, parameters: dict[str, Any], origin: str) -> dict[str, Any]:
    """``parameters`` if the notebook has them all; a misspelt name is an error, not a warning."""
    defaults = notebook.defaults()
    for name in parameters:
        if name not in defaults:
            close = difflib.get_close_matches(name, defaults, n=2) or sorted(defaults)
            raise UsageError(f"{origin}: {notebook.name} has no parameter {name!r}; did you mean {', '.join(close)}?")
    return parameters


STARTS = 3  # of a kernel that does not come up


class NotebookFailed(Exception):
    """A notebook raised; ``line`` is its one-line message."""

    def __init__(self, line: str) -> None:
        super().__init__(line)
        self.line = line


def _papermill(notebook: Notebook, parameters: dict[str, Any], output: Path) -> None:
    """Run a notebook with papermill, again where its kernel did not come up.

    Kernels that start at the same time can pick the same port; one of the two dies before any cell has run.
    """
    import papermill

    for attempt in range(1, STARTS + 1):
        try:
            papermill.execute_notebook(
                str(notebook.path),
                str(output),
                parameters=parameters,
                kernel_name="python3",
                cwd=str(notebook.path.parent),
                progress_bar=False,
            )
            return
        except RuntimeError as error:
            if attempt == STARTS or "before replying to kernel_info" not in str(error):
                raise


def _without_iri_syntax() -> None:
    """Spare papermill's import nearly three seconds, of a notebook's ten.

    It leads to jsonschema, which tries a package that compiles the grammar of IRIs whenever it is imported, and does
    without where it cannot be. A notebook's schema has no IRI.
    """
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


def execute(notebook: Notebook, parameters: dict[str, Any], output: Path) -> None:
    """Run a notebook under Jupyter (papermill) and write the executed copy, whole, also where it raised.

    The kernel works in the notebook's own folder. Raises :class:`NotebookFailed`.
    """
    _without_iri_syntax()
    from papermill.exceptions import PapermillExecutionError

    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{output.stem}.{os.getpid()}.ipynb")
    os.environ["TQDM_DISABLE"] = "1"  # the kernel inherits it: a bar's widget means nothing on a page
    failure = None
    try:
        _papermill(notebook, parameters, temporary)
    except PapermillExecutionError as error:
        failure = f"{error.ename}: {error.evalue}".splitlines()[0]
    except RuntimeError as error:  # the kernel died, or did not start
        failure = f"{type(error).__name__}: {error}".splitlines()[0]
    if temporary.is_file():
        os.replace(temporary, output)
    if failure:
        raise NotebookFailed(failure)


def execute_plain(notebook: Notebook, parameters: dict[str, Any]) -> None:
    """Run a notebook's code cells as plain Python: no Jupyter needed, the same records written."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    os.chdir(notebook.path.parent)
    namespace: dict[str, Any] = {"__name__": "__main__", "display": lambda *shown: None}  # which Jupyter provides
    for number, cell in enumerate(notebook.code_cells(), start=1):
        exec(compile(_source(cell), f"{notebook.name}, code cell {number}", "exec"), namespace)
        if "parameters" in cell["metadata"].get("tags", []):
            namespace.update(parameters)


def run(notebook: Notebook, profile: str, overrides: dict[str, Any], output: Path, plain: bool = False) -> None:
    """Run a notebook in a profile and leave its result for the dashboard.

    Raises :class:`NotebookFailed` (under Jupyter) or what the notebook raised (plain).
    """
    parameters = {**profile_parameters(notebook, profile), **checked(notebook, overrides, "command line")}
    result = results.path(profile, notebook.paper, notebook.key)
    result.unlink(missing_ok=True)
    clock = time.perf_counter()
    status = "ok"
    try:
        if plain:
            execute_plain(notebook, parameters)
        else:
            execute(notebook, parameters, output)
    except NotebookFailed as error:
        status = error.line
        raise
    finally:
        results.close(profile, notebook.paper, notebook.key, status, time.perf_counter() - clock)
