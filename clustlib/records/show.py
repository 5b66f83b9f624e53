"""One record in words: what ran, with which settings, what came of it, and the line of Python that runs it again."""

import difflib
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from clustlib import _paths
from clustlib.errors import OneLine, shortened
from clustlib.records.freshness import Freshness, carrying, judge, place_of, run_function
from clustlib.records.runs import load
from clustlib.records.store import Record, Store, open_store

CLOSE = 3  # keys that are named where there is none of the name that was given


class UnknownRecord(OneLine, LookupError):
    """There is no record of this key; the message says which keys are nearly the same."""


def key_of(named: str, store: Store) -> str:
    """The key that is meant: itself, or the path of its JSON file, from here or from the book's root; ".json" or not.

    Raises
    ------
    UnknownRecord : the store has no such record.
    """
    keys, given, folder = store.all_keys(), named.removesuffix(".json"), store.folder
    places = [Path(os.path.normpath(base / given)) for base in (Path.cwd(), _paths.root())]
    names = [given, *(place.relative_to(folder).as_posix() for place in places if place.is_relative_to(folder))]
    for name in names:
        if name in keys:
            return name
    close = difflib.get_close_matches(names[-1], keys, CLOSE)
    asked = shortened(" ".join(given.splitlines()))
    raise UnknownRecord(
        f"no record {asked!r}; " + (f"near it: {', '.join(close)}" if close else "none has a name near")
    )


def lines(named: str) -> list[str]:
    """What ``show`` prints of a committed record, which is named as :func:`key_of` has it. Raises ``UnknownRecord``."""
    record = load(key_of(named, open_store("paper")))
    function, stands, again = _today(record)
    made = record.provenance
    facts = {
        "run function": stands,
        "state": _state(judge(record, function)),
        "made": f"{made['started']} on {made['device']}, commit {made['commit'] or 'unknown'}",
        "seconds": record.seconds,
    }
    tables = {"": facts, "parameters": record.params, "metrics": record.metrics}
    parts = [line for title, values in tables.items() for line in _table(title, values)]
    return [record.key, *parts, "run it again", f"  {again}"]


def _today(record: Record) -> tuple[Callable | None, str, str]:
    """The function that made a record, where its text is, and the line that runs it; what there is where it is gone."""
    try:
        function = run_function(record)
    except LookupError as error:
        return None, str(error), "cannot be run again"
    return function, f"{place_of(function)}, {_line_of(function)}", line_again(record, function)


def _table(title: str, values: Mapping[str, Any]) -> Iterator[str]:
    """A line a value, under the title where there is one."""
    width = max(map(len, values), default=0)
    if title:
        yield title
    yield from (f"  {name:{width}}  {value}" for name, value in values.items())


def _state(found: Freshness) -> str:
    changes = len(carrying(found.chain))
    return found.state + (f", over {changes} entries of the ledger" if changes else "")


def _line_of(function: Callable) -> str:
    """Where a function's text begins: file, from the book's root where it lies there, and line."""
    path, root = Path(inspect.getfile(function)), _paths.root()
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    return f"{shown.as_posix()}:{inspect.getsourcelines(function)[1]}"


def line_again(record: Record, function: Callable) -> str:
    """The line of Python that computes a committed record anew, and writes it under the same key."""
    module, name = place_of(function).split(":")
    given = "".join(f", {setting}={value!r}" for setting, value in record.params.items())
    call = f'records.run({name}, profile="paper", recompute="all"{given})'
    return f"from clustlib import records; from {module} import {name}; {call}"
