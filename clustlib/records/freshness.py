"""Whether a record still says what today's code computes.

The mark is the alarm: it changes with every change of the code behind a run. Witnesses are the judge: where they gave
the same bits before and after a change, the ledger says so, and the record is carried across it.
"""

import importlib
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Literal, NamedTuple

from clustlib import sources
from clustlib.records import provenance
from clustlib.records.ledger import Entry, ledger
from clustlib.records.store import Record

State = Literal["fresh", "carried", "CPU only", "stale"]
STATES: tuple[State, ...] = ("fresh", "carried", "CPU only", "stale")


class Freshness(NamedTuple):
    """A record's state and the ledger's entries that carry it, oldest first.

    "fresh": made by today's code. "carried": by code that witnesses showed to compute the same. "CPU only": made on a
    GPU, and its code for a GPU has changed since, which no witness on a GPU has seen. "stale": by other code.
    """

    state: State
    chain: list[Entry]


def roots_of(fn: Callable, params: dict[str, Any]) -> list[str]:
    """What a run goes through: its function, and what its parameters choose (code by name, settings as text).

    A function whose parameters choose the code (a method's name) declares how (:func:`clustlib.records.declare`).
    """
    uses = getattr(fn, "uses", None)
    return [place_of(fn), *(uses(params) if uses else ())]


@cache
def _mark(roots: tuple[str, ...], gpu: bool) -> str:
    return sources.running().mark(roots, gpu=gpu)


def mark_of(fn: Callable, params: dict[str, Any], gpu: bool = False) -> str:
    """The mark of the definitions that this run goes through on the CPU, or on a GPU (see :mod:`clustlib.sources`)."""
    return _mark(tuple(roots_of(fn, params)), gpu)


def place_of(fn: Callable) -> str:
    """How records call a function: "module:name"."""
    return f"{fn.__module__}:{fn.__qualname__}"


def function_at(place: str) -> Callable:
    """The function that stood at a place, where it stands today. Raises ``LookupError`` where there is none."""
    module, _, name = ledger().place(place).partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise LookupError(f"there is no function {module}:{name} any more") from None


def run_function(record: Record) -> Callable:
    """The function that made a record, where it stands today. Raises ``LookupError`` where there is none."""
    return function_at(record.provenance["function"])


def judge(record: Record, fn: Callable | None = None) -> Freshness:
    """Whether today's code is the code that made a record, or was shown to compute the same."""
    try:
        function = fn or run_function(record)
    except LookupError:
        return Freshness("stale", [])
    gpu = provenance.on_gpu(record.provenance)
    now = mark_of(function, record.params, gpu)
    for cpu_only in (False, True) if gpu else (False,):
        chain = ledger().chain(record.sources, now, cpu_only)
        if chain is not None:
            return Freshness("CPU only" if cpu_only else "carried" if carrying(chain) else "fresh", chain)
    return Freshness("stale", [])


def carrying(chain: Iterable[Entry]) -> list[Entry]:
    """The entries of a chain that witnesses made; the others only say how marks are written."""
    return [entry for entry in chain if entry.witnesses]
