"""Columns of a published table that another set than the paper's has to fill, each cell marked as a stand-in's."""

from collections.abc import Mapping

import pandas as pd

from clustlib import published

_PUBLISHED = ["dataset", "row", "metric"]


def compare(
    measured: pd.DataFrame,
    paper: str,
    name: str,
    stands_for: Mapping[str, str],
    reasons: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """``published.compare``, with what was measured on a stand-in in the paper's column, cell by cell.

    A cell with a measurement on the paper's own set keeps it, and the stand-in then has a column of its own.

    Parameters
    ----------
    stands_for : the column of ours (as in ``measured``) -> the published column that it fills.
    reasons : as for ``published.compare``.
    """
    column = measured["dataset"].replace(dict(stands_for))
    cells = pd.Series(list(zip(column, measured["method"], measured["metric"])), measured.index, dtype=object)
    stands, done = measured["dataset"].isin(list(stands_for)), measured["value"].notna()
    lends = stands & done & ~cells.isin(set(cells[done & ~stands]))
    lent = dict(zip(cells[lends], measured.loc[lends, "dataset"]))
    shown = measured.assign(dataset=measured["dataset"].where(~lends, column))
    comparison = published.compare(shown[(stands & done) | (~stands & ~cells.isin(lent))], paper, name, reasons=reasons)
    used = pd.Series([lent.get(tuple(cell), "") for cell in comparison[_PUBLISHED].to_numpy()], dtype=object)
    used = used.where(comparison["n"] > 0, "")
    comparison["stand_in"] = comparison["stand_in"].where(used == "", used)
    judged = (used != "") & comparison["paper"].notna() & (comparison["reading"] != published.OURS)
    comparison.loc[judged, "verdict"] = "stand-in"
    return comparison
