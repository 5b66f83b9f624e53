"""What goes with a published table, figure or page: ``book/published/<paper>/<key>.yml``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from clustlib import _paths
from clustlib.errors import UsageError
from clustlib.published.tables import PAPERS, choose

KINDS = ("table", "figure", "page")
READINGS = "readings"  # the one file of a paper's folder that describes no table: see clustlib.published.readings
TOLERANCE = 0.02  # in NMI or accuracy, unless a table states its own


@dataclass(frozen=True)
class Entry:
    """One table, figure or page of a paper.

    Parameters
    ----------
    key : the file's name, and that of the CSV beside it where numbers are printed.
    title, source : what it shows, and where the paper has it. kind : "table", "figure" or "page" (one of ours).
    order : its place in the paper; the steps leave room.
    notebook : the notebook that shows it, or None and ``why`` there is none.
    tolerance : the largest difference that counts as reproduced, in the metric's units.
    constants : the methods whose cells are sizes, shapes and settings, checks of our transcription and no scores; or
        "all".
    not_run : why a row is not run, by method.
    cells : what our own cells behind a figure are.
    bands : half-width of the regression band of a method's numbers, where the usual one is too narrow.
    profile : parameters of the notebook in the paper profile; on top of those of the entry ``profile_like``.
    full_scale : parameters of the notebook at the paper's own scale, on top of those of its paper profile.
    claims : those that rest on this table first of all, see :class:`clustlib.published.Claim`.
    """

    key: str
    title: str
    kind: str
    order: int
    source: str
    notebook: str | None = None
    why: str = ""
    tolerance: float = TOLERANCE
    constants: tuple[str, ...] = ()
    not_run: Mapping[str, str] = field(default_factory=dict)
    cells: str = ""
    bands: Mapping[str, float] = field(default_factory=dict)
    profile: Mapping[str, Any] = field(default_factory=dict)
    profile_like: str | None = None
    full_scale: Mapping[str, Any] = field(default_factory=dict)
    claims: tuple[Mapping[str, Any], ...] = ()


def _entry(path: Path) -> Entry:
    content = read_yaml(path)
    for name, value in content.items():
        choose(f"entry of {path.name}", name, _TYPES)
        if not isinstance(value, _TYPES[name]):
            raise UsageError(f"{path}: {name} cannot be {value!r}")
    if lacking := [name for name in _NEEDED if name not in content]:
        raise UsageError(f"{path} lacks {', '.join(lacking)}")
    claims, constants = tuple(content.get("claims", ())), tuple(content.get("constants", ()))
    entry = Entry(**{**content, "key": path.stem, "claims": claims, "constants": constants})
    choose(f"kind of {path.name}", entry.kind, KINDS)
    if not entry.notebook and not entry.why:
        raise UsageError(f"{path}: there is neither a notebook nor a reason why not (why)")
    return entry


_NEEDED = {"title": str, "kind": str, "order": (int, float), "source": str, "notebook": (str, type(None))}
_TYPES: dict[str, Any] = {
    **_NEEDED,
    **dict.fromkeys(("why", "cells", "profile_like"), str),
    **dict.fromkeys(("not_run", "bands", "profile", "full_scale"), dict),
    **dict.fromkeys(("claims", "constants"), list),
    "tolerance": (int, float),
}


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file as a dictionary; read again only when it has changed."""
    return _read_yaml(path, path.stat().st_mtime_ns)


@cache
def _read_yaml(path: Path, stamp: int) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path} holds no names with values")
    return content


def contents(paper: str) -> list[Entry]:
    """Every table and figure of a paper, and our own pages on it, in reading order."""
    choose("paper", paper, PAPERS)
    files = [path for path in _paths.book("published", paper).glob("*.yml") if path.stem != READINGS]
    return sorted((_entry(path) for path in files), key=lambda entry: (entry.order, entry.key))


def entry(paper: str, key: str) -> Entry:
    """What goes with one table, figure or page."""
    known = {entry.key: entry for entry in contents(paper)}
    return known[choose(f"table or figure of {paper}", key, known)]


def shown_by(paper: str, notebook: str) -> list[Entry]:
    """The entries that a notebook shows, by its file's stem ("table-03-mnist") or its result's key ("table-03")."""
    return [entry for entry in contents(paper) if notebook in (entry.notebook, entry.key)]


def bands(paper: str, key: str) -> dict[str, float]:
    """The half-widths of the wider regression bands of a notebook, by method; ``key`` is its result's."""
    return {method: width for entry in shown_by(paper, key) for method, width in entry.bands.items()}


def profile(paper: str, notebook: str) -> dict[str, Any]:
    """What the paper profile sets for a notebook (by its stem); nothing where no entry shows it."""
    entries = [_profile(paper, entry) for entry in contents(paper) if entry.notebook == notebook]
    own = [settings for settings in entries if settings]
    if len(own) > 1:
        raise UsageError(f"two entries of {paper} set the paper profile of {notebook}")
    return own[0] if own else {}


def full_scale(paper: str, notebook: str) -> dict[str, Any]:
    """What the paper's own scale sets for a notebook (by its stem), beyond the paper profile."""
    entries = [entry.full_scale for entry in contents(paper) if entry.notebook == notebook and entry.full_scale]
    if not entries:
        raise UsageError(f"{notebook} has no parameters for the paper's own scale")
    return dict(entries[0])


def _profile(paper: str, own: Entry) -> dict[str, Any]:
    like = _profile(paper, entry(paper, own.profile_like)) if own.profile_like else {}
    return {**like, **own.profile}
