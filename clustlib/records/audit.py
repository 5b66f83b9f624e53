"""Drift: the cheapest record of every run function computed again with today's versions, and what differs.

Versions of torch or scikit-learn may change what is computed without a line of this project changing. ``make audit``
computes, for every run function whose data are on this machine, the record that took least, and compares the numbers.
The result is one file, ``book/records/audit.json``, which the page on records shows. An audit that was broken off is
gone on with: run functions that it has judged under the same versions on the same machine are not computed again.
"""

import contextlib
import json
import re
import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from clustlib import _paths
from clustlib.errors import DataMissing, DeviceMissing, PackageMissing
from clustlib.records import provenance
from clustlib.records.freshness import run_function
from clustlib.records.ledger import ledger
from clustlib.records.store import Record, open_store

if TYPE_CHECKING:
    import pandas as pd

TOLERANCE = 0.02  # in a score: what a table's cell may differ by and still be called reproduced
LONGEST = 600.0  # seconds of a processor for one record: what it took may leave out a training that lay at hand
# of the machine, not of the method
_COSTS = ("seconds", "share_of", "share_features", "share_training", "per_pass", "memory", "slope_")
COLUMNS = ["function", "key", "made on", "versions then", "metric", "then", "now", "seconds", "agrees"]


def _cheapest_first() -> dict[str, list[Record]]:
    """The records of each run function by what they took, one a method and data set, those made on a CPU first.

    The run functions are in the same order, so that an audit that is broken off has the most behind it.
    """
    store = open_store("paper")
    ranked: dict[str, list[tuple[bool, float, str, Record]]] = {}
    for key in store.all_keys():
        if record := store.read(key):
            place = ledger().place(record.provenance["function"])
            rank = (provenance.on_gpu(record.provenance), record.run_seconds, key, record)
            ranked.setdefault(place, []).append(rank)
    for records in ranked.values():
        records.sort(key=lambda rank: rank[:3])
    by_function: dict[str, dict[str, Record]] = {}
    for place, records in sorted(ranked.items(), key=lambda item: item[1][0][:3]):
        for *_, key, record in records:
            by_function.setdefault(place, {}).setdefault(key.rpartition("/")[0], record)
    return {place: list(firsts.values()) for place, firsts in by_function.items()}


class _TooLong(Exception):
    """A record took longer than it may."""


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise :class:`_TooLong` after so many seconds of the processor, where the system has alarms for that."""

    def stop(*_: object) -> None:
        raise _TooLong

    if not hasattr(signal, "SIGPROF"):
        yield
        return
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _again(record: Record) -> tuple[dict[str, float], float]:
    started = time.perf_counter()
    result = run_function(record)(**record.params)
    return {name: float(result[name]) for name in record.metrics if name in result}, time.perf_counter() - started


def _near(then: float, now: float) -> bool:
    return abs(now - then) <= TOLERANCE * max(1.0, abs(then))


def _rows(place: str, record: Record, limit: float) -> list[dict[str, Any]]:
    """A row a score of the record, then and now; one row with a reason where there is none to compare.

    Raises what :mod:`clustlib.errors` has for data, a device or a package that are not here.
    """
    then, versions = record.provenance["versions"], provenance.versions()
    start = {
        "function": place,
        "key": record.key,
        "made on": record.provenance["device"],
        "versions then": ", ".join(f"{name} {v}" for name, v in then.items() if v != versions.get(name)) or "the same",
    }
    scores = [name for name in record.metrics if not is_cost(name)]
    if not scores:
        return [{**start, "metric": "not run: all that it measures is what a machine takes", "agrees": True}]
    try:
        with _at_most(limit):
            now, seconds = _again(record)
    except _TooLong:
        return [
            {**start, "metric": f"not run: it takes more than {limit:g} seconds of a processor here", "agrees": True}
        ]
    return [
        {
            **start,
            "metric": name,
            "then": record.metrics[name],
            "now": now.get(name),
            "seconds": round(seconds, 1),
            "agrees": name in now and _near(record.metrics[name], now[name]),
        }
        for name in scores
    ]


def _first_that_runs(place: str, records: list[Record], limit: float) -> list[dict[str, Any]]:
    """The rows of the cheapest record whose data and packages are here; one that says what is missing if none's are."""
    missing: dict[str, Any] = {}
    for record in records:
        try:
            return _rows(place, record, limit)
        except (DataMissing, DeviceMissing, PackageMissing, MemoryError) as error:
            missing = missing or {
                "key": record.key,
                "metric": f"not run: {error}",
                "made on": record.provenance["device"],
            }
    return [{"function": place, **missing, "agrees": True}]


def audit(limit: float = LONGEST, anew: bool = False) -> "pd.DataFrame":
    """Compute and compare, write ``book/records/audit.json`` and return its rows (see ``COLUMNS``).

    ``limit`` is how many seconds of a processor one record may take. Unless it is made ``anew``, what was computed by
    an audit under the same versions on the same machine stays; what was not run is tried again.
    """
    import pandas as pd
    from tqdm.auto import tqdm

    rows = [] if anew else _kept()
    functions = {row["function"] for row in rows}
    for place, records in tqdm(_cheapest_first().items(), desc="records computed again", unit="run function"):
        if place not in functions:
            rows += _first_that_runs(place, records, limit)
            _write(sorted(rows, key=lambda row: row["function"]))
    return pd.DataFrame(rows, columns=COLUMNS)


def _kept() -> list[dict[str, Any]]:
    """The rows of the last audit that one of today would make again."""
    path = _paths.book("records", "audit.json")
    if not path.is_file():
        return []
    content = json.loads(path.read_text(encoding="utf-8"))
    today = provenance.environment()
    if any(content["made"][name] != today[name] for name in ("versions", "cpu", "threads")):
        return []
    return [row for row in content["rows"] if "now" in row]


def _write(rows: list[dict[str, Any]]) -> None:
    report = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "tolerance": TOLERANCE, **provenance.environment()}
    text = json.dumps({"made": report, "rows": rows}, indent=1, ensure_ascii=False) + "\n"
    _paths.write_atomically(_paths.book("records", "audit.json"), text.encode())


def _without_seed(key: str) -> str:
    return re.sub(r"\bseed-\d+", "seed", key)


def over_seeds(key: str, metric: str) -> tuple[float, float] | None:
    """The smallest and the largest value of a score over the records that differ from ``key`` in their seed alone."""
    store = open_store("paper")
    keys = [other for other in store.all_keys() if _without_seed(other) == _without_seed(key)]
    siblings = [record for other in keys if (record := store.read(other))]
    values = [record.metrics[metric] for record in siblings if metric in record.metrics]
    return (min(values), max(values)) if len(values) > 1 else None


def is_cost(metric: str) -> bool:
    """Whether a number is what a run took of this machine."""
    return any(cost in metric for cost in _COSTS)


def last() -> tuple[dict[str, Any], "pd.DataFrame"]:
    """The last audit: where and when it was made, and its rows."""
    import pandas as pd

    content = json.loads(_paths.book("records", "audit.json").read_text(encoding="utf-8"))
    return content["made"], pd.DataFrame(content["rows"], columns=COLUMNS)
