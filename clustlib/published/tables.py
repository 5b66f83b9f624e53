"""Reading the published tables."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from clustlib import _paths
from clustlib._arrays import shown
from clustlib.errors import UsageError

PAPERS = {
    "fcn": "Factorized Convolutional Networks (GSNMF-FCN), WACV 2018",
    "dbc": "Discriminatively Boosted Image Clustering (DBC), 2017",
    "jule": "Joint Unsupervised Learning (JULE), CVPR 2016",
    "deepcluster": "DeepCluster, ECCV 2018",
}
AVERAGE = "average"  # what a table calls the mean over its data sets, which is none of them
COLUMNS = ["dataset", "method", "metric", "value", "note"]


def choose(kind: str, name: str, known: Iterable[str]) -> str:
    """``name`` if it is known, else a :class:`UsageError` that lists what is close."""
    known = list(known)
    if isinstance(name, str) and name in known:
        return name
    close = difflib.get_close_matches(str(name), known, n=3) or known
    raise UsageError(f"unknown {kind} {shown(name)}; did you mean {', '.join(close)}?")


def chosen(parameter: str, names: str | Sequence[str], known: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``known`` that ``names`` lists, all for "all"; none and unknown ones are a :class:`UsageError`."""
    listed = [names] if isinstance(names, str) else list(names)
    if not listed:
        raise UsageError(f"{parameter} is empty: nothing to run")
    for name in listed:
        choose(f"name among {parameter}", name, ["all", *known])
    return {name: value for name, value in known.items() if "all" in listed or name in listed}


def tables(paper: str) -> list[str]:
    """The names of a paper's transcribed tables, sorted."""
    choose("paper", paper, PAPERS)
    return sorted(path.stem for path in _paths.book("published", paper).glob("*.csv"))


def table(paper: str, name: str) -> pd.DataFrame:
    """The cells of a published table, in the paper's order.

    Returns
    -------
    DataFrame with columns dataset, method, metric (str), value (float, NaN where the paper prints
    none) and note (str, empty where there is none). Shares are fractions, never per cent.
    """
    choose(f"table of {paper}", name, tables(paper))
    frame = pd.read_csv(
        _paths.book("published", paper, f"{name}.csv"), keep_default_na=False, na_values={"value": [""]}
    )
    if list(frame.columns) != COLUMNS:
        raise ValueError(
            f"{paper}/{name}.csv must have the columns {', '.join(COLUMNS)}; it has {', '.join(frame.columns)}"
        )
    return frame
