"""Every data set that is known, by name, as ``sets.yml`` beside this file describes it."""

import difflib
from functools import cache
from importlib import resources
from typing import Any

import yaml

from clustlib.datasets.description import DataFile, DatasetInfo, Layout
from clustlib.errors import UsageError


@cache
def _registered() -> dict[str, DatasetInfo]:
    text = resources.files("clustlib.datasets").joinpath("sets.yml").read_text(encoding="utf-8")
    known = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    files = {path: DataFile(path, **_hashable(about)) for path, about in known["files"].items()}
    return {name: _described(name, about, files) for name, about in known["sets"].items()}


def _described(name: str, about: dict[str, Any], files: dict[str, DataFile]) -> DatasetInfo:
    pairs = [pair for layout in about.pop("layouts") for pair in layout.items()]
    layouts = tuple(Layout(reader, tuple(files[path] for path in paths)) for reader, paths in pairs)
    return DatasetInfo(name=name, layouts=layouts, **_hashable(about))


def _hashable(about: dict[str, Any]) -> dict[str, Any]:
    """Fields with tuples for their lists."""
    return {field: tuple(value) if isinstance(value, list) else value for field, value in about.items()}


def names() -> list[str]:
    """Every registered name."""
    return list(_registered())


def info(name: str) -> DatasetInfo:
    """What is known about a set.

    Raises
    ------
    UsageError
        An unknown name; the message lists close ones.
    """
    known = _registered()
    if isinstance(name, str) and name in known:
        return known[name]
    close = difflib.get_close_matches(str(name).lower().replace("_", "-"), known, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(known)}"
    raise UsageError(f"unknown data set {name!r}; {hint}")


def stand_in_of(name: str) -> str | None:
    """What is run where a set cannot be had; of a pair "source->target", the pair with every part replaced so."""
    parts = name.split("->")
    replaced = [_registered()[part].stand_in or part if part in _registered() else part for part in parts]
    return "->".join(replaced) if replaced != parts else None


def owner_of(digest: str) -> str | None:
    """The path of the registered file that has this checksum."""
    for known in _registered().values():
        for file in known.files:
            if digest in (file.sha256, file.md5, file.unpacked_sha256):
                return file.path
    return None
