"""A published table beside what we measured: difference, spread, cost and verdict of every cell."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from clustlib.published.contents import TOLERANCE, entry
from clustlib.published.tables import table

VERDICTS = ("reproduced", "better", "below", "stand-in", "not run", "no paper value")
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
]


def verdict(paper: float, ours: float, tolerance: float, stand_in: str, metric: str = "") -> str:
    """The verdict of one cell; a stand-in data set can neither reproduce nor refute."""
    if math.isnan(ours):
        return "not run"
    if math.isnan(paper):
        return "no paper value"
    if stand_in:
        return "stand-in"
    # the papers print three decimals: half a unit of the last one belongs to the tolerance
    if abs(ours - paper) <= tolerance + 0.0005:
        return "reproduced"
    return "better" if (ours > paper) != (metric in LOWER_IS_BETTER) else "below"


def _summarise(measured: pd.DataFrame) -> pd.DataFrame:
    """Mean, spread and cost over seeds of each measured cell."""
    cells = measured.groupby(["dataset", "method", "metric"], sort=False)
    return pd.DataFrame(
        {
            "ours": cells["value"].mean(),
            "std": cells["value"].std(ddof=1),
            "n": cells["value"].count(),
            "seconds": cells["seconds"].mean(),
            "device": cells["device"].first(),
            "reason": cells["reason"].first(),
        }
    )


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
        ``Runs.cells`` gives; several rows per cell are seeds.
    paper, name : the published table, as in :func:`table`.
    reasons : why a method has no measurement, by method, besides those that the table's yml tells.

    Returns
    -------
    DataFrame, one row a cell, in the paper's order, then what was measured and is not in the paper.
    Columns: dataset, method, metric, paper, ours, std (sample deviation over seeds), n (seeds),
    difference (ours - paper), verdict, reason, seconds (mean a run), device, stand_in (the set that
    was used in the data set's place, or empty).
    """
    published, about = table(paper, name), entry(paper, name)
    tolerance, reasons = about.tolerance, {**about.not_run, **(reasons or {})}
    published = published[~published["metric"].str.endswith("_reported")]
    stand_ins = _stand_ins(published, measured)
    cells = _summarise(measured)
    rows = []
    for cell in published.itertuples():
        key = (str(cell.dataset), str(cell.method), str(cell.metric))
        rows.append(_row(cells, key, float(cell.value), tolerance, stand_ins.get(key[0], ""), reasons))
    stood_in_for = {substitute: name for name, substitute in stand_ins.items()}
    shown = {row[:3] for row in rows}
    for key in cells.index:
        column = stood_in_for.get(key[0], key[0])  # a row that the paper lacks still goes into its columns
        if (column, *key[1:]) not in shown and not math.isnan(cells.loc[key, "ours"]):
            stand_in = key[0] if column != key[0] else ""
            rows.append(_row(cells, (column, *key[1:]), math.nan, tolerance, stand_in, reasons))
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(
    cells: pd.DataFrame,
    key: tuple[str, str, str],
    paper: float,
    tolerance: float,
    stand_in: str,
    reasons: Mapping[str, str],
) -> tuple:
    """One row of a comparison; ``key`` is the published (data set, method, metric)."""
    dataset, method, metric = key
    source = (stand_in, method, metric)
    if source not in cells.index:  # no stand-in, or this method was not run on it
        stand_in, source = "", key
    found: dict[str, Any] = dict(_NOTHING)
    if source in cells.index:
        found |= cells.loc[source].to_dict()
    ours = float(found["ours"])
    reason = ""
    if math.isnan(ours):
        reason = reasons.get(method) or _why_not(dataset, found["reason"])
    return (
        *key,
        paper,
        ours,
        found["std"],
        int(found["n"]),
        ours - paper,
        verdict(paper, ours, tolerance, stand_in, metric),
        reason,
        found["seconds"],
        found["device"],
        stand_in,
    )


_NOTHING = {"ours": math.nan, "std": math.nan, "n": 0, "seconds": math.nan, "device": None, "reason": None}


def _why_not(dataset: str, reason: str | None) -> str:
    """Why a cell is empty: what a run said, unless the data set itself has to be asked for."""
    from clustlib import datasets

    if reason and reason != "no record yet":
        return reason
    for part in dataset.split("->"):
        if part in datasets.names() and datasets.info(part).supplied:
            return f"needs {part}: see the page on data sets"
    return reason or "not run"


def averages(comparison: pd.DataFrame, tolerance: float = TOLERANCE) -> pd.DataFrame:
    """Each method's mean over the data sets that every measured method has on both sides.

    The paper's mean and ours run over the same sets, and so do the rows; the reason column names them.
    The verdict is "stand-in" where one of the sets is a stand-in.

    Returns
    -------
    A comparison with the data set "average"; ``n`` counts data sets, ``seconds`` sums over them.
    """
    rows = []
    for metric, cells in comparison.groupby("metric", sort=False):
        both = cells.dropna(subset=["paper", "ours"])
        common = _common_datasets(both)
        for method, own in cells.groupby("method", sort=False):
            used = both[(both["method"] == method) & both["dataset"].isin(common)]
            paper, ours = used["paper"].mean(), used["ours"].mean()
            stand_ins = "+".join(sorted({name for name in used["stand_in"] if name}))
            reason = f"mean of {', '.join(used['dataset'])}" if len(used) else own["reason"].iloc[0]
            found = verdict(paper, ours, tolerance, stand_ins, str(metric))
            values = ("average", method, metric, paper, ours, math.nan, len(used), ours - paper, found, reason)
            rows.append((*values, used["seconds"].sum(), next(iter(used["device"]), None), stand_ins))
    return pd.DataFrame(rows, columns=COLUMNS)


def _common_datasets(cells: pd.DataFrame) -> set[str]:
    """The data sets that every method among the cells has."""
    sets = [set(own["dataset"]) for _, own in cells.groupby("method")]
    return set.intersection(*sets) if sets else set()


def summary(comparison: pd.DataFrame) -> pd.Series:
    """How many cells of a comparison have each verdict, in the order of ``VERDICTS``."""
    counts = comparison["verdict"].value_counts()
    return counts.reindex(VERDICTS, fill_value=0).astype(int)
