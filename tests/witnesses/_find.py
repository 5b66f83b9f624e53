"""Where a definition of clustlib stands in the revision at hand."""

import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

_NOT_BEHIND_RECORDS = ("images", "plots", "published", "records", "reproduce")  # and no equation's plain form


@cache
def _modules(name: str, wanted: tuple[str, ...] = ()) -> list[str]:
    """The modules whose text defines ``name`` at the top level, shortest path first; ``wanted`` rooms among them."""
    import clustlib

    root = Path(clustlib.__path__[0])
    defines = re.compile(rf"^(class|def|async def) {name}\b|^{name}(: .*)? = ", re.MULTILINE)
    found = []
    for path in sorted(root.rglob("*.py")):
        if path.name == "equations.py" or path.relative_to(root).parts[0] in set(_NOT_BEHIND_RECORDS) - set(wanted):
            continue
        if defines.search(path.read_text(encoding="utf-8")):
            parts = path.relative_to(root.parent).with_suffix("").parts
            found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return sorted(found, key=lambda module: (module.count("."), module))


def home(name: str, *hints: str) -> Any:
    """The module that defines ``name``; where several do, the one whose path holds the most of the hints."""
    modules = _modules(name, hints)
    if not modules:
        raise LookupError(f"clustlib defines no {name}")
    best = max(modules, key=lambda module: sum(hint in module for hint in hints))
    return importlib.import_module(best)


def find(name: str, *hints: str) -> Any:
    """The function, class or constant ``name``, wherever it stands; see :func:`home`."""
    return getattr(home(name, *hints), name)


@contextmanager
def holding(module: Any, *, compiled: bool = False, **values: Any) -> Iterator[None]:
    """Give constants of a module other values for a while: small blocks, so that tiny data fills several.

    What the revision at hand does not have is left out, and so is a constant of ``compiled`` loops where they run
    compiled: it is part of the code that was kept.
    """
    import numba

    if compiled and not numba.config.DISABLE_JIT:
        values = {}
    before = {name: getattr(module, name) for name in values if hasattr(module, name)}
    for name in before:
        setattr(module, name, values[name])
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)
