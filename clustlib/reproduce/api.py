"""The reference of what a user calls: an entry of autodoc for every public name of the library's rooms."""

import importlib
import inspect
import re
from typing import Any

from sphinx.application import Sphinx

ROOMS = {
    "The systems": "clustlib",
    "Classical clustering": "clustlib.cluster",
    "Kernels": "clustlib.kernels",
    "Scores": "clustlib.metrics",
    "Data sets": "clustlib.datasets",
    "Records": "clustlib.records",
}
# what computes equations inside the library, so that the method pages can lead to its source; not to be called
INNER = (
    "clustlib.jule.unrolling.clusters_after",
    "clustlib.kernels.linkage.criterion.ByLocalStructure",
    "clustlib.kernels.linkage.gdl.ByAffinity",
)
# what is literal in reStructuredText, or else a mark that our docstrings mean as it stands: |x|, labels_
_MARKS = re.compile(r"(``.*?``|`[^`]*`)|(?<!\\)(\||(?<=\w)_(?!\w))")


def api_page() -> str:
    """The rooms' entries as Markdown: a heading and the room's own words, then its classes and functions."""
    return "\n\n".join([*(_room(title, name) for title, name in ROOMS.items()), _inner()]) + "\n"


def _inner() -> str:
    parts = [path.rpartition(".") for path in INNER]
    entries = [_entry(module, name, getattr(importlib.import_module(module), name)) for module, _, name in parts]
    said = "Where the equations of the method pages lead to inside the library. Nobody needs to call these."
    return f"## Behind them\n\n{said}\n\n```{{eval-rst}}\n" + "\n".join(entries) + "\n```"


def _room(title: str, name: str) -> str:
    module = importlib.import_module(name)
    summary = (module.__doc__ or "").partition("\n\n")[0].replace("``", "`")
    entries = [_entry(name, public, getattr(module, public)) for public in sorted(module.__all__, key=str.lower)]
    return f"## {title}\n\n`{name}`: {summary}\n\n```{{eval-rst}}\n" + "\n".join(filter(None, entries)) + "\n```"


def _entry(module: str, name: str, found: Any) -> str:
    """A directive of autodoc; constants have no docstring to show, so they have none."""
    if inspect.isclass(found):
        members = ", ".join(_members(found))
        return f".. autoclass:: {module}.{name}\n" + (f"   :members: {members}\n" if members else "")
    return f".. autofunction:: {module}.{name}\n" if callable(found) else ""


def _members(found: type) -> list[str]:
    """The public methods and properties that a class defines itself and says something about."""
    own = {name: value for name, value in vars(found).items() if not name.startswith("_") and value.__doc__}
    return [name for name, value in own.items() if inspect.isfunction(value) or isinstance(value, property)]


def escape_marks(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Show bars and trailing underscores of a docstring as they stand."""
    lines[:] = [_MARKS.sub(lambda mark: mark[1] or "\\" + mark[2], line) for line in lines]


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx's entry point; numpydoc reads the docstrings first."""
    app.connect("autodoc-process-docstring", escape_marks, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
