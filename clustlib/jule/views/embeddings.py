"""Cells, tables and pictures of few dimensions: figure 9 and tables 13 and 14 of JULE's talk."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clustlib import plots, records
from clustlib.jule.runs.embeddings import BASELINES
from clustlib.jule.views import stand_ins
from clustlib.jule.views.elements import name_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOT_RUN = {"Param. t-SNE": "reported by its paper only"}


def cells_of(runs: records.Runs, metric: str) -> pd.DataFrame:
    """Cells of one table; the data set of a cell is "mnist (2-D)"."""
    cells = runs.cells(**{metric: metric})
    cells["dataset"] = [f"{run.params['dataset']} ({run.params['dimension']}-D)" for run in runs]
    return cells


def compare(cells: pd.DataFrame, table: str) -> pd.DataFrame:
    """Our cells beside the talk's; mnist-test fills the columns of mnist where mnist has not been run."""
    stands_for = {f"mnist-test ({d}-D)": f"mnist ({d}-D)" for d in (2, 10, 30)}
    return stand_ins.compare(cells, "jule", table, stands_for, NOT_RUN)


def of_the_talk(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells that the claims are about: one reading of "ours", that with few features from the start."""
    return cells[cells["method"].isin([*BASELINES, "OURS"])]


def panels(runs: records.Runs) -> "Figure | str":
    """The plane by each method, first seed, coloured by class."""
    planes: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for run in runs.records:
        reading = run.params.get("reading", "default")
        title = f"{run.params['dataset']}: {run.params['method']}"
        title += "" if reading == "default" else f", {name_of(reading)}"
        planes.setdefault(title, (run.arrays["points"], run.arrays["classes"]))
    return plots.embedding_panels(planes) if planes else f"not run: {runs.missing[0].reason}"
