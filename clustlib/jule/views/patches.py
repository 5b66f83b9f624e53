"""Cells of table 8 of the JULE paper, and the halves that stand in for its columns."""

import numpy as np
import pandas as pd

from clustlib import records
from clustlib.jule.runs.patches import METHODS
from clustlib.jule.views import stand_ins
from clustlib.records.runs import CELL_COLUMNS

SIZES = (5_000, 10_000, 25_000, 50_000)  # training images of table 8


def cells_of(runs: records.Runs) -> pd.DataFrame:
    """Cells of table 8: one a run and number of training images; the data set of a cell is "cifar-10 (5k)".

    CIFAR-10's registered set is its test part: learned from the training part it fills the table's own columns, and its
    halves are a stand-in and say so.
    """
    rows: list[tuple] = []
    for run in runs:
        name, reading = run.params["dataset"], run.params.get("reading", "default")
        if name == "cifar-10" and not run.params.get("train"):
            name = "halves of cifar-10's test part"
        for size in map(int, run.params["sizes"].split()):
            where = (f"{name} ({_short(size)})", run.params["method"], "accuracy")
            if isinstance(run, records.Missing):
                rows.append((*where, np.nan, run.params["seed"], np.nan, None, run.reason, reading))
            elif f"accuracy_{size}" in run.metrics:
                value, device = run.metrics[f"accuracy_{size}"], run.provenance["device"]
                rows.append((*where, value, run.params["seed"], run.seconds, device, None, reading))
    return pd.DataFrame(rows, columns=[*CELL_COLUMNS, "variant"])


def compare(cells: pd.DataFrame) -> pd.DataFrame:
    """Our cells beside table 8; a half of CIFAR-10's test part fills the column of as many training images."""
    columns = {f"halves of cifar-10's test part ({_short(size)})": f"cifar-10 ({_short(size)})" for size in SIZES}
    reasons = dict.fromkeys(METHODS, "needs cifar-10-train: see the page on data sets")
    return stand_ins.compare(cells, "jule", "table-08", columns, reasons)


def costs(runs: records.Runs) -> pd.DataFrame:
    """What compressing images once more does to the row of K-means: means over seeds, a line a data set."""
    rows = [{"dataset": run.params["dataset"], "seed": run.params["seed"], **run.metrics} for run in runs.records]
    columns = ["dataset", "seed", "accuracy", "accuracy_compressed", "change"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["difference"] = frame["accuracy_compressed"] - frame["accuracy"]
    grouped = frame.groupby("dataset", sort=False)
    return grouped.agg(
        **{
            "as they are": ("accuracy", "mean"),
            "compressed": ("accuracy_compressed", "mean"),
            "difference": ("difference", "mean"),
            "least": ("difference", "min"),
            "most": ("difference", "max"),
            "seeds": ("seed", "count"),
            "change of a value (of 255)": ("change", "mean"),
        }
    ).reset_index()


def _short(size: int) -> str:
    return f"{size // 1000}k" if size % 1000 == 0 else str(size)
