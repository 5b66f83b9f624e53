"""Cells of table 7 of the JULE paper, and what the pixels alone give."""

from typing import Any

import numpy as np
import pandas as pd

from clustlib import datasets, records
from clustlib.jule.runs.faces import METHODS, SIZES
from clustlib.jule.views import stand_ins
from clustlib.records.runs import CELL_COLUMNS

STAND_IN = "cmu-pie (2,856)->olivetti"  # of the first column


def cells_of(runs: records.Runs) -> pd.DataFrame:
    """Cells of table 7; the data set of a cell is "ytf (10k)->lfw"."""
    rows: list[tuple] = []
    for run in runs:
        where = (_column(run.params), run.params["method"], "accuracy")
        if isinstance(run, records.Missing):
            rows.append((*where, np.nan, run.params["seed"], np.nan, None, run.reason))
        else:
            value, device = run.metrics["accuracy"], run.provenance["device"]
            rows.append((*where, value, run.params["seed"], run.seconds, device, None))
    return pd.DataFrame(rows, columns=CELL_COLUMNS)


def _column(params: dict[str, Any]) -> str:
    name, n = params["dataset"], params["n_train"]
    n = f"{(n or SIZES[0]) // 1000}k" if name == "ytf" else f"{n or datasets.info(name).n_samples:,}"
    return f"{name} ({n})->{params['target']}"


def compare(cells: pd.DataFrame) -> pd.DataFrame:
    """Our cells beside table 7; another pair of sets stands in for the first column."""
    reasons = dict.fromkeys(METHODS, "needs ytf and lfw: see the page on data sets")
    return stand_ins.compare(cells, "jule", "table-07", {STAND_IN: "ytf (10k)->lfw"}, reasons)


def pixels_beside(runs: records.Runs) -> pd.DataFrame:
    """Accuracy by the network's features and by the pixels. Columns: trained on, row, seed, features, pixels, pairs."""
    rows = [
        (_column(run.params), run.params["method"], run.params["seed"], run.metrics["accuracy"],
         run.metrics["raw_accuracy"], int(run.metrics["n_pairs"]))
        for run in runs.records
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["trained on", "row", "seed", "features", "pixels", "pairs"])
