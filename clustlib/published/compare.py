"""A published table beside what we measured: difference, spread, cost, reading and verdict of every cell."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from clustlib.published.contents import TOLERANCE, Entry, entry
from clustlib.published.readings import DAGGER, NAMES, OURS, RELEASED, WRITTEN, with_readings
from clustlib.published.tables import AVERAGE, table

SEEN = "labels seen"
SCORES = ("reproduced", "better", "below", SEEN, "stand-in", "not run", "no paper value")
CONSTANTS = ("as printed", "not as printed")  # checks of our transcription
VERDICTS = (*SCORES, OURS, *CONSTANTS)
LOWER_IS_BETTER = ("one_nn_error",)
COLUMNS = [
    "dataset",
    "method",
    "metric",
    "paper",
    "ours",
    "std",
    "n",
    "difference",
    "verdict",
    "reason",
    "seconds",
    "device",
    "stand_in",
    "network",
    "row",
    "reading",
    "additions",
    "seen",
    "constant",
    "records",
]
_NOTHING = {
    "ours": math.nan,
    "std": math.nan,
    "n": 0,
    "seconds": math.nan,
    "device": None,
    "reason": None,
    "reading": "",
    "additions": "",
    "seen": False,
    "network": "",
    "records": "",
}


def verdict(
    paper: float,
    ours: float,
    tolerance: float,
    stand_in: str,
    metric: str = "",
    constant: bool = False,
    seen: bool = False,
) -> str:
    """The verdict of a cell of the paper's own reading; a stand-in can neither reproduce nor refute.

    Where labels of the set had been ``seen`` when settings were chosen, a number that comes up to the paper's proves
    nothing either; one that falls short of it all the same does.
    """
    if math.isnan(ours):
        return "not run"
    if math.isnan(paper):
        return "no paper value"
    if stand_in:
        return "stand-in"
    # the papers print three decimals: half a unit of the last one belongs to the tolerance
    near = abs(ours - paper) <= tolerance + 0.0005
    if constant:
        return CONSTANTS[not near]
    above = (ours > paper) != (metric in LOWER_IS_BETTER)
    if seen and (near or above):
        return SEEN
    if near:
        return "reproduced"
    return "better" if above else "below"


def _summarise(measured: pd.DataFrame) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """Mean, spread and cost over seeds, by data set, method and metric: a list of readings, the paper's own first."""
    kept = measured["record"].where(measured["value"].notna()) if "record" in measured else None
    measured = measured.assign(record=kept)
    cells = measured.groupby(["dataset", "method", "metric", "reading", "additions"], sort=False)
    frame = pd.DataFrame(
        {
            "ours": cells["value"].mean(),
            "std": cells["value"].std(ddof=1),
            "n": cells["value"].count(),
            "seconds": cells["seconds"].mean(),
            "device": cells["device"].first(),
            "reason": cells["reason"].first(),
            "network": cells["network"].first(),
            "seen": cells["seen"].any(),
            "records": cells["record"].agg(lambda keys: " ".join(dict.fromkeys(keys.dropna()))),
        }
    )
    by_cell: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in frame.reset_index().to_dict("records"):
        by_cell.setdefault((row["dataset"], row["method"], row["metric"]), []).append(
            {str(k): v for k, v in row.items()}
        )
    return {key: sorted(rows, key=lambda row: NAMES.index(row["reading"])) for key, rows in by_cell.items()}


def _stand_ins(published: pd.DataFrame, measured: pd.DataFrame) -> dict[str, str]:
    """Published data set -> the measured set that stands in for it, where its own has no measurement."""
    from clustlib.datasets.registry import stand_in_of

    run = set(measured.dropna(subset=["value"])["dataset"])
    pairs = ((name, stand_in_of(name)) for name in published["dataset"].unique() if name not in run)
    return {name: substitute for name, substitute in pairs if substitute and substitute in run}


def compare(
    measured: pd.DataFrame,
    paper: str,
    name: str,
    *,
    reasons: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Every cell of a published table with our measurement beside it.

    Parameters
    ----------
    measured : columns dataset, method, metric, value, seed, seconds, device, reason, as
        ``Runs.cells`` gives, and record where there is one; several rows per cell are seeds. The columns reading and
        additions are what ``readings.yml`` says of the method and variant, unless the cells bring them.
    paper, name : the published table, as in :func:`table`.
    reasons : why a method has no measurement, by method, besides those that the table's yml tells.

    Returns
    -------
    DataFrame, one row a cell, in the paper's order, then what was measured and is not in the paper.
    Columns: dataset, method, metric, paper, ours, std (sample deviation over seeds), n (seeds),
    difference (ours - paper), verdict, reason, seconds (mean a run), device, stand_in (the set that was used in the
    data set's place, or empty), network (the same of the network), row (the paper's label), reading, additions,
    seen (whether labels of the set had been seen when settings were chosen that the text leaves open), constant
    (whether it is a check of our transcription), records (the keys of the runs behind it, with spaces between).

    The line of a row, whose ``method`` is its label, has the paper's reading: as written, else as released. A second
    reading of the paper's has a line of its own beneath it, and so has ours, with a dagger and without a verdict.
    """
    published, about = table(paper, name), entry(paper, name)
    published = published[~published["metric"].str.endswith("_reported")]
    measured = with_readings(measured, paper, name)
    stand_ins = _stand_ins(published, measured)
    found = _Found(_summarise(measured), about, {**about.not_run, **(reasons or {})})
    rows: list[dict[str, Any]] = []
    for cell in published.itertuples():
        key = (str(cell.dataset), str(cell.method), str(cell.metric))
        rows += found.lines(key, float(cell.value), stand_ins.get(key[0], ""))
    stood_in_for = {substitute: name for name, substitute in stand_ins.items()}
    shown = {(row["dataset"], row["row"], row["metric"]) for row in rows}
    for key in found.cells:
        column = stood_in_for.get(key[0], key[0])  # a row that the paper lacks still goes into its columns
        if (column, *key[1:]) not in shown:
            stand_in = key[0] if column != key[0] else ""
            rows += (line for line in found.lines((column, *key[1:]), math.nan, stand_in) if line["n"])
    return pd.DataFrame(rows, columns=COLUMNS)


class _Found:
    """What was measured for one table, and the lines that it makes."""

    def __init__(
        self, cells: Mapping[tuple[str, str, str], list[dict[str, Any]]], about: Entry, reasons: Mapping[str, str]
    ) -> None:
        self.cells, self.about, self.reasons = cells, about, reasons

    def lines(self, key: tuple[str, str, str], paper: float, stand_in: str) -> Iterator[dict[str, Any]]:
        """The line of a published cell ``key`` (data set, method, metric), and those beneath it."""
        _, method, metric = key
        source = (stand_in, method, metric)
        if source not in self.cells:  # no stand-in, or this method was not run on it
            stand_in, source = "", key
        every = self.cells.get(source, [])
        run = [cell for cell in every if cell["n"]]
        theirs, ours = ([cell for cell in run if (cell["reading"] == OURS) == own] for own in (False, True))
        first = theirs[0] if theirs else {**_NOTHING, "reason": self._why_not(key, every, bool(ours))}
        yield self._line(key, method, first, paper, stand_in)
        for cell in theirs[1:]:
            yield self._line(key, f"{method} ({cell['reading']})", cell, paper, stand_in)
        for number, cell in enumerate(ours, start=1):
            yield self._line(key, f"{method} {DAGGER * number}", cell, paper, stand_in)

    def _line(
        self, key: tuple[str, str, str], label: str, cell: Mapping[str, Any], paper: float, stand_in: str
    ) -> dict[str, Any]:
        dataset, method, metric = key
        ours = float(cell["ours"])
        constant = method in self.about.constants or "all" in self.about.constants
        seen = bool(cell["seen"])
        own = verdict(paper, ours, self.about.tolerance, stand_in or cell["network"], metric, constant, seen)
        return {
            **_NOTHING,
            **cell,
            **{"dataset": dataset, "method": label, "metric": metric, "row": method, "paper": paper, "ours": ours},
            "n": int(cell["n"]),
            "difference": ours - paper,
            "verdict": OURS if cell["reading"] == OURS else own,
            "reason": "" if cell["n"] else cell["reason"],
            "stand_in": stand_in,
            "constant": constant,
        }

    def _why_not(self, key: tuple[str, str, str], every: Iterable[Mapping[str, Any]], ours: bool) -> str:
        """Why a line has no number; a row that only we have run our way says so."""
        if ours:
            asked = {cell["reading"] for cell in every}
            return "; ".join(f"{name}: not run" for name in (WRITTEN, RELEASED) if name == WRITTEN or name in asked)
        told = next((cell["reason"] for cell in every if cell["reason"]), None)
        return self.reasons.get(key[1]) or _why_no_run(key[0], told)


def by_reading(cells: pd.DataFrame, tables: Iterable[str], row: str, metric: str) -> pd.DataFrame:
    """One row of a paper's tables by reading: lines "printed", "as written", "as released" and "ours", a column a set.

    ``cells`` are as :func:`compare` gives them, with the column table; readings that were not run have no line, and a
    set that stands in for another says so.
    """
    of_row = cells["table"].isin(list(tables)) & (cells["row"] == row) & (cells["metric"] == metric)
    cells = cells[of_row & cells["paper"].notna() & (cells["dataset"] != AVERAGE)]
    run = cells.dropna(subset=["ours"])
    wide = run.pivot_table(index="reading", columns="dataset", values="ours", sort=False)
    printed = cells.drop_duplicates("dataset").set_index("dataset")["paper"].rename("printed")
    wide = pd.concat([printed.to_frame().T, wide])[list(wide.columns)]
    wide = wide.loc[[name for name in ("printed", *NAMES) if name in wide.index]]
    stand_ins = {str(cell.dataset) for cell in run.itertuples() if cell.stand_in}
    named = {name: f"{name} (stand-in)" for name in stand_ins}
    return wide.rename(columns=named, index={OURS: f"{OURS} {DAGGER}"})


def _why_no_run(dataset: str, reason: str | None) -> str:
    """Why a cell is empty: what a run said, unless the data set itself has to be asked for."""
    from clustlib import datasets

    if reason and reason != "no record yet":
        return reason
    for part in dataset.split("->"):
        if part in datasets.names() and datasets.info(part).supplied:
            return f"needs {part}: see the page on data sets"
    return reason or "not run"


def averages(comparison: pd.DataFrame, tolerance: float = TOLERANCE) -> pd.DataFrame:
    """Each line's mean over the data sets that every measured line of the papers' readings has on both sides.

    The paper's mean and ours run over the same sets, and so do the rows; the reason column names them. Where the
    paper's readings have no common set, the sets are those that all lines of ours have. The verdict is "stand-in"
    where one of the sets is a stand-in.

    Returns
    -------
    A comparison with the data set "average"; ``n`` counts data sets, ``seconds`` sums over them.
    """
    rows = []
    for metric, cells in comparison.groupby("metric", sort=False):
        both = cells.dropna(subset=["paper", "ours"])
        common = _common_datasets(both[both["reading"] != OURS]) or _common_datasets(both)
        for method, own in cells.groupby("method", sort=False):
            used = both[(both["method"] == method) & both["dataset"].isin(common)]
            rows.append(_average(str(method), str(metric), own, used, tolerance))
    return pd.DataFrame(rows, columns=COLUMNS)


def _average(method: str, metric: str, own: pd.DataFrame, used: pd.DataFrame, tolerance: float) -> dict[str, Any]:
    """One line of the averages: ``used`` are the cells of ``own`` that count."""
    paper, ours = used["paper"].mean(), used["ours"].mean()
    stand_ins = "+".join(sorted({name for name in used["stand_in"] if name}))
    said = next(filter(None, used["reading"] if len(used) else own["reading"]), "")
    network = "+".join(sorted({name for name in used["network"] if name}))
    seen = bool(used["seen"].any())
    judged = verdict(paper, ours, tolerance, stand_ins or network, metric, seen=seen)
    return {
        **{"dataset": AVERAGE, "method": method, "metric": metric, "paper": paper, "ours": ours, "std": math.nan},
        "n": len(used),
        "difference": ours - paper,
        "verdict": OURS if said == OURS else judged,
        "reason": f"mean of {', '.join(used['dataset'])}" if len(used) else own["reason"].iloc[0],
        "seconds": used["seconds"].sum(),
        "device": next(iter(used["device"]), None),
        "stand_in": stand_ins,
        "network": network,
        "row": own["row"].iloc[0],
        "reading": said,
        "additions": ", ".join(dict.fromkeys(used["additions"])),
        "seen": seen,
        "constant": False,
        "records": " ".join(dict.fromkeys(" ".join(used["records"]).split())),
    }


def _common_datasets(cells: pd.DataFrame) -> set[str]:
    """The data sets that every method among the cells has."""
    sets = [set(own["dataset"]) for _, own in cells.groupby("method")]
    return set.intersection(*sets) if sets else set()


def as_cells(comparison: pd.DataFrame) -> pd.DataFrame:
    """The lines of a comparison as measured cells, to test claims on, under the paper's labels."""
    cells = comparison.assign(
        method=comparison["row"], value=comparison["ours"], network=comparison["stand_in"] + comparison["network"]
    )
    return cells.dropna(subset=["value"]).drop(columns=["paper", "ours", "std", "difference", "verdict", "row"])


def second_readings(comparison: pd.DataFrame) -> pd.Series:
    """Which lines of a comparison are a second reading of a score whose verdict stands in the line above (bool)."""
    named = zip(comparison["method"], comparison["reading"])
    again = [bool(reading) and str(method).endswith(f" ({reading})") for method, reading in named]
    return pd.Series(again, index=comparison.index, dtype=bool)


def summary(comparison: pd.DataFrame, again: bool = False) -> pd.Series:
    """How many published scores of a comparison have each verdict, in the order of ``VERDICTS``.

    A score counts once, by the paper's first reading of it that was run; ``again`` counts the second readings instead.
    A dash of the paper's that nobody measured is no score. Constants are counted as printed or not, and nowhere else:
    what stands beside "reproduced" are scores.
    """
    constant = comparison.get("constant", pd.Series(False, comparison.index)).astype(bool)
    counted = ~constant | comparison["verdict"].isin(CONSTANTS)
    dash = (comparison["verdict"] == "not run") & comparison["paper"].isna()
    counts = comparison.loc[counted & ~dash & (second_readings(comparison) == again), "verdict"].value_counts()
    return counts.reindex(VERDICTS, fill_value=0).astype(int)
