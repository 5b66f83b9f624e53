"""The page on records: how many are fresh or carried, the ledger that carries them, and the last audit."""

import pandas as pd

from clustlib import _paths
from clustlib.records import audit, status

_WHY = """What differs, beside what the records of the other seeds span. A training can multiply the last bits of its
sums, which depend on the processor, on the number of threads and on where arrays lie in memory, so its scores are held
against that span too: the probes of a random network move as far between one thread and two as they do here."""


def _table(frame: pd.DataFrame) -> str:
    cells = [list(map(str, frame.columns)), *frame.map(_text).to_numpy().tolist()]
    head, *rows = ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join([head, "|" + " --- |" * len(frame.columns), *rows])


def _text(value: object) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.4g}"
    return str(value).replace("|", "\\|")


def _audited() -> str:
    """The last audit in words, and what differed; a sentence where there was none."""
    if not _paths.book("records", "audit.json").is_file():
        return "No audit has been made yet."
    last, rows = audit.last()
    rows = rows[~rows["metric"].map(audit.is_cost)]
    run = rows.dropna(subset=["now"])
    absent = rows[rows["now"].isna()]
    versions = ", ".join(f"{name} {version}" for name, version in last["versions"].items())
    words = (
        f"On {last['date']} {run['function'].nunique()} of {len(status.by_function())} run functions were run again "
        f"({last['cpu']}; {versions}): "
        f"{int(run['agrees'].sum())} of {len(run)} numbers agree within {last['tolerance']:g}. "
        f"{absent['function'].nunique()} could not be run there."
    )
    differ = run[~run["agrees"].astype(bool)]
    columns = ["key", "made on", "versions then", "metric", "then", "now", "seconds"]
    if not len(differ):
        return "\n\n".join([words, "The first number of each:", _table(run.groupby("function").head(1)[columns])])
    return "\n\n".join([words, _WHY, _table(_with_seeds(differ)[[*columns[:-1], "over seeds", *columns[-1:]]])])


def _with_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with what the records of other seeds span."""
    spans = [audit.over_seeds(key, metric) for key, metric in zip(rows["key"], rows["metric"])]
    return rows.assign(**{"over seeds": [f"{span[0]:.4g} to {span[1]:.4g}" if span else "" for span in spans]})


def records_page() -> str:
    """The generated part of ``book/records.md``."""
    states = status.by_function()
    totals = states.drop(columns="records").sum()
    said = ", ".join(f"{count} {state}" for state, count in totals.items() if count)
    by_function = states.reset_index(names="run function")
    return "\n\n".join(
        [
            "## By run function",
            f"{int(states['records'].sum())} records: {said}.",
            _table(by_function),
            "## The ledger",
            "Each change that left records standing, what showed it, and how many records rest on it today.",
            _table(status.chains()),
            "## The last audit",
            _audited(),
        ]
    )
