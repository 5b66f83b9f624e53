"""Drift: the cheapest record of every run function computed again with today's versions, and what differs.

Versions of torch or scikit-learn may change what is computed without a line of this project changing. ``make audit``
computes, for every run function whose data are on this machine, the record that took least, and compares the numbers.
The result is one file, ``book/records/audit.json``, which the page on records shows.
"""

import json
import re
import time
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
# of the machine, not of the method
_COSTS = ("seconds", "share_of", "share_features", "share_training", "per_pass", "memory", "slope_")
COLUMNS = ["function", "key", "made on", "versions then", "metric", "then", "now", "seconds", "agrees"]


def _cheapest(limit: float) -> dict[str, Record]:
    """The record of each run function that took least, on the CPU where there is one, within ``limit`` seconds."""
    store = open_store("paper")
    found: dict[str, tuple[tuple[bool, float], Record]] = {}
    for key in store.all_keys():
        record = store.read(key)
        if record is None or record.run_seconds > limit:
            continue
        place = ledger().place(record.provenance["function"])
        rank = (provenance.on_gpu(record.provenance), record.run_seconds)
        if place not in found or rank < found[place][0]:
            found[place] = (rank, record)
    return {place: record for place, (_, record) in sorted(found.items())}


def _again(record: Record) -> tuple[dict[str, float], float]:
    started = time.perf_counter()
    result = run_function(record)(**record.params)
    return {name: float(result[name]) for name in record.metrics if name in result}, time.perf_counter() - started


def _near(then: float, now: float) -> bool:
    return abs(now - then) <= TOLERANCE * max(1.0, abs(then))


def _rows(place: str, record: Record) -> list[dict[str, Any]]:
    """A row a score of the record, then and now; one row with a reason where it cannot be made here."""
    then, versions = record.provenance["versions"], provenance.versions()
    start = {
        "function": place,
        "key": record.key,
        "made on": record.provenance["device"],
        "versions then": ", ".join(f"{name} {v}" for name, v in then.items() if v != versions.get(name)) or "the same",
    }
    try:
        now, seconds = _again(record)
    except (DataMissing, DeviceMissing, PackageMissing, MemoryError) as error:
        return [{**start, "metric": f"not run: {error}", "agrees": True}]
    scores = [name for name in record.metrics if not is_cost(name)]
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


def audit(limit: float = 120.0) -> "pd.DataFrame":
    """Compute and compare, write ``book/records/audit.json`` and return its rows (see ``COLUMNS``)."""
    import pandas as pd
    from tqdm.auto import tqdm

    rows: list[dict[str, Any]] = []
    for place, record in tqdm(_cheapest(limit).items(), desc="records computed again", unit="record"):
        rows += _rows(place, record)
        _write(rows)
    return pd.DataFrame(rows, columns=COLUMNS)


def _write(rows: list[dict[str, Any]]) -> None:
    made = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "tolerance": TOLERANCE, **provenance.environment()}
    text = json.dumps({"made": made, "rows": rows}, indent=1, ensure_ascii=False) + "\n"
    _paths.write_atomically(_paths.book("records", "audit.json"), text.encode())


def _without_seed(key: str) -> str:
    return re.sub(r"\bseed-\d+", "seed", key)


def over_seeds(key: str, metric: str) -> tuple[float, float] | None:
    """The smallest and the largest value of a score over the records that differ from ``key`` in their seed alone."""
    store = open_store("paper")
    keys = [other for other in store.all_keys() if _without_seed(other) == _without_seed(key)]
    found = [record for other in keys if (record := store.read(other))]
    values = [record.metrics[metric] for record in found if metric in record.metrics]
    return (min(values), max(values)) if len(values) > 1 else None


def is_cost(metric: str) -> bool:
    """Whether a number is what a run took of this machine."""
    return any(cost in metric for cost in _COSTS)


def last() -> tuple[dict[str, Any], "pd.DataFrame"]:
    """The last audit: where and when it was made, and its rows."""
    import pandas as pd

    content = json.loads(_paths.book("records", "audit.json").read_text(encoding="utf-8"))
    return content["made"], pd.DataFrame(content["rows"], columns=COLUMNS)
