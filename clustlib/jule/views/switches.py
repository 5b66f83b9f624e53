"""What each of JULE's switches measured, one at a time: the table of the page on the paper and the code."""

import numpy as np
import pandas as pd

from clustlib import records
from clustlib.jule.rows import JULE_VARIANTS, OURS
from clustlib.jule.runs.clustering import eta_of

DATASETS = ("usps", "usps-11000", "umist", "mnist-test", "cmu-pie")
EPOCHS, PRECISION = 20, "bfloat16"  # of the tables' own fits
_METRICS = ("nmi_geometric", "fit_seconds")


def measured(profile: str = "paper") -> pd.DataFrame:
    """The records of ``joint_clustering`` that depart from the tables' settings by a variant at most.

    Columns: dataset, variant, method, seed, nmi, fit_seconds.
    """
    rows = []
    for key in records.open_store(profile).all_keys():
        record = records.load(key, profile) if key.startswith(OURS) and "/joint-clustering." in key else None
        if record is None or record.params["dataset"] not in DATASETS or not _of_the_tables(record.params):
            continue
        names = (record.params[name] for name in ("dataset", "variant", "method", "seed"))
        rows.append((*names, *(record.metrics[name] for name in _METRICS)))
    return pd.DataFrame(rows, columns=["dataset", "variant", "method", "seed", "nmi", "fit_seconds"])


def _of_the_tables(params: dict) -> bool:
    asked = (params["epochs"], params["precision"], params["unrolling_rate"], params["n_neighbors"])
    return asked == (EPOCHS, PRECISION, eta_of(params)["unrolling_rate"], 20)


def switches(profile: str = "paper") -> pd.DataFrame:
    """Every variant beside the default: mean NMI of both read-outs and the shortest fit, by data set.

    Other work on the machine can only lengthen a fit, so the shortest says most about the switch.

    Returns
    -------
    DataFrame of text, one row a name of ``clustlib.jule.rows.JULE_VARIANTS``, in its order. Columns: switch, arguments,
    and one a data set: "0.891 / 0.906 (3), 15 s", the number of fits in brackets, with spaces that keep each part on a
    line. What has no record says "not run".
    """
    table = measured(profile)
    rows = []
    for name, arguments in JULE_VARIANTS.items():
        row = {"switch": name, "arguments": ", ".join(f"{key}={value}" for key, value in arguments.items()) or "-"}
        for dataset in DATASETS:
            own = table[(table["variant"] == name) & (table["dataset"] == dataset)]
            row[dataset] = _scores(own)
        rows.append(row)
    return pd.DataFrame(rows)


def _scores(own: pd.DataFrame) -> str:
    means = own.groupby("method")["nmi"].mean().reindex(OURS)
    if means.isna().all():
        return "not run"
    scores = " / ".join("not run" if np.isnan(mean) else f"{mean:.3f}" for mean in means)
    parts = (scores, f"({own['seed'].nunique()}), {own['fit_seconds'].min():.0f} s")
    return " ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts)
