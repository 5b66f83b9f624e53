"""Every data set that is known, by name."""

import difflib
from functools import cache

from clustlib.datasets import catalogue, supplied
from clustlib.datasets.description import DatasetInfo
from clustlib.errors import UsageError


@cache
def _registered() -> dict[str, DatasetInfo]:
    return {info.name: info for info in (*catalogue.SETS, *supplied.SETS)}


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
