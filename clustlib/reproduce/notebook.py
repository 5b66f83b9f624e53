"""A notebook as a protocol: its code cells and its parameters."""

import ast
import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from clustlib import _paths, published, sources
from clustlib.errors import UsageError
from clustlib.reproduce.settings import typed


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
            return [cell for cell in cells if cell["cell_type"] == "code"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{self.path} is not a readable notebook: {error}") from None

    def code(self) -> str:
        """All its code as one text."""
        return "\n".join(source(cell) for cell in self.code_cells())

    def defaults(self) -> dict[str, Any]:
        """The parameters cell's names and default values."""
        return {name: ast.literal_eval(node.value) for name, node in self._assignments().items()}

    def remarks(self) -> dict[str, str]:
        """What stands behind each parameter in its cell."""
        lines = self._parameters().splitlines()
        ends = {name: (lines[(n.end_lineno or 1) - 1], n.end_col_offset) for name, n in self._assignments().items()}
        return {name: line.encode()[end:].decode().lstrip(" #") for name, (line, end) in ends.items()}

    def _parameters(self) -> str:
        tagged = [cell for cell in self.code_cells() if "parameters" in cell["metadata"].get("tags", [])]
        if not tagged:
            raise UsageError(f"{self.name} has no cell tagged parameters")
        return source(tagged[0])

    def _assignments(self) -> dict[str, ast.Assign]:
        assignments = (node for node in ast.parse(self._parameters()).body if isinstance(node, ast.Assign))
        return {node.targets[0].id: node for node in assignments if isinstance(node.targets[0], ast.Name)}

    def files(self) -> list[Path]:
        """The clustlib sources that it depends on, and its paper's published numbers."""
        return sources.running().files_of_code(self.code()) + sorted(_paths.book("published", self.paper).glob("*"))


def source(cell: dict) -> str:
    """A cell's text."""
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
    raise UsageError(f"no notebook {str(name)[:60]}; did you mean {_closest(wanted, known)}?")


def _closest(name: str, known: Iterable[str]) -> str:
    """The names most like ``name``, at most three of them, in words."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3) or known[:3]
    return ", ".join(close)


def all_notebooks() -> list[Notebook]:
    """Every notebook of the book, by paper and name."""
    return [Notebook(path) for path in sorted((_paths.root() / "notebooks").glob("*/*.ipynb"))]


def _own_profile(notebook: Notebook) -> dict[str, Any]:
    """What is set for one notebook: in its table's yml, or for a page of the guide in ``book/guide``."""
    if notebook.paper in published.PAPERS:
        return published.profile(notebook.paper, notebook.path.stem)
    file = _paths.book(notebook.paper, f"{notebook.path.stem}.yml")
    return yaml.safe_load(file.read_text(encoding="utf-8"))["profile"] if file.is_file() else {}


# what every notebook of the paper profile is given, where it has a parameter of that name; the pages replay the
# committed records, and `make reproduce` computes missing ones
PAPER_PROFILE = {"profile": "paper", "seeds": [0, 1, 2], "recompute": "never"}


def profile_parameters(notebook: Notebook, profile: str) -> dict[str, Any]:
    """What a profile sets for this notebook. The quick profile is every notebook's defaults.

    The paper profile is :data:`PAPER_PROFILE` and what the yml of the notebook's table says under ``profile``; the
    latter must name parameters that exist.
    """
    if profile == "quick":
        return {}
    if profile != "paper":
        raise UsageError(f'profile must be "quick" or "paper", got {profile!r}')
    defaults = notebook.defaults()
    common = {name: value for name, value in PAPER_PROFILE.items() if name in defaults}
    chosen = {**common, **checked(notebook, _own_profile(notebook), "paper profile")}
    # YAML takes 1e-3 for a text
    return {name: typed(name, v, defaults[name]) if isinstance(v, str) else v for name, v in chosen.items()}


def checked(notebook: Notebook, parameters: dict[str, Any], origin: str) -> dict[str, Any]:
    """``parameters`` if the notebook has them all; a misspelt name is an error, not a warning."""
    defaults = notebook.defaults()
    for name in parameters:
        if name not in defaults:
            meant = _closest(name, defaults)
            raise UsageError(f"{origin}: {notebook.name} has no parameter {name[:30]!r}; did you mean {meant}?")
    return parameters
