"""How many records of each run function today's code stands for: fresh, carried, checked on the CPU only, stale."""

from collections import Counter
from typing import TYPE_CHECKING

from clustlib.records.freshness import STATES, judge
from clustlib.records.ledger import ledger, short
from clustlib.records.store import Store, open_store

if TYPE_CHECKING:
    import pandas as pd


def by_function(store: Store | None = None) -> "pd.DataFrame":
    """One row a run function, where it stands today. Columns: the states, and ``records``, their sum."""
    import pandas as pd

    store = store or open_store("paper")
    counts: dict[str, Counter] = {}
    for key in store.all_keys():
        record = store.read(key)
        assert record is not None
        place = ledger().place(record.provenance["function"])
        counts.setdefault(place, Counter())[judge(record).state] += 1
    frame = pd.DataFrame(counts, index=list(STATES)).T.fillna(0).astype(int).sort_index()
    return frame.assign(records=frame.sum(axis=1))


def lines(frame: "pd.DataFrame") -> list[str]:
    """The rows as text, the totals last."""
    width = max((len(place) for place in frame.index), default=10)
    rows = [(str(place), row) for place, row in frame.iterrows()] + [("all", frame.sum())]
    return [
        f"{place:{width}}  " + ", ".join(f"{row[state]} {state}" for state in STATES if row[state])
        for place, row in rows
    ]


def chains(store: Store | None = None) -> "pd.DataFrame":
    """The ledger's entries, a row each, with the number of records that each carries."""
    import pandas as pd

    store = store or open_store("paper")
    carried: Counter = Counter()
    for key in store.all_keys():
        record = store.read(key)
        carried.update(entry.date for entry in judge(record).chain) if record else None
    rows = []
    for entry, seal in zip(ledger().entries, ledger().seals):
        noticed, tried = (sum(pair[i] for pair in entry.faults.values()) for i in (0, 1))
        rows.append(
            {
                "date": entry.date[:10],
                "change": f"Withdrawn: {entry.note}" if seal in ledger().withdrawn else entry.note,
                "commits": " to ".join(map(short, entry.commits)),
                "witnesses": len(entry.witnesses),
                "faults noticed": f"{noticed} of {tried}" if tried else "-",
                "records": carried[entry.date],
            }
        )
    return pd.DataFrame(rows, columns=["date", "change", "commits", "witnesses", "faults noticed", "records"])
