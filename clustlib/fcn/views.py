"""The FCN paper's pages: our cells beside the paper's, which network made them, and what each choice measured."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from clustlib import published, records
from clustlib.fcn.runs.clustering import cluster_features
from clustlib.records.runs import bind

METRICS = ["accuracy_kmeans", "nmi_kmeans", "accuracy_sc", "nmi_sc"]
CHOICE = ["data set", "departs", "choice"]


def compare(measured: pd.DataFrame, name: str, learn_at_most: Mapping[str, int] | None = None) -> pd.DataFrame:
    """``published.compare`` with a table of the paper.

    ``learn_at_most`` maps a data set to the number of images learnt from where that is not the paper's.
    """
    comparison = published.compare(measured, "fcn", name)
    limits = learn_at_most or {}
    said_of = {dataset: f"learnt from {limit:,} images" for dataset, limit in limits.items()}
    notes = comparison["dataset"].map(lambda dataset: said_of.get(dataset, ""))
    notes = notes.where(comparison["ours"].notna(), "")
    said = [", ".join(filter(None, pair)) for pair in zip(comparison["network"], notes)]
    judged = (notes != "") & comparison["paper"].notna() & (comparison["reading"] != published.OURS)
    return comparison.assign(network=said, verdict=comparison["verdict"].where(~judged, "stand-in"))


def cells_of_settings(runs: Mapping[str, Any], **metrics: str) -> pd.DataFrame:
    """The cells of several grids under each other, each grid's method renamed to its setting."""
    return pd.concat([found.cells(**metrics).assign(method=name) for name, found in runs.items()], ignore_index=True)


def choices(profile: str = "paper") -> pd.DataFrame:
    """What each choice measured: the frozen system's runs that depart from the tables', beside those of the tables.

    Columns: data set, choice, accuracy and NMI under both clusterings and the share of zeros (means over seeds), seeds.
    """
    shown = [*METRICS, "zeros"]
    standard = bind(cluster_features, {"dataset": "", "method": ""})
    store, rows = records.open_store(profile), []
    for key in store.all_keys():
        record = store.read(key) if key.startswith("GSNMF-FCN-OTS/") and "/cluster-features" in key else None
        if record is None:
            continue
        named = ("dataset", "method", "seed", "device", "n_learn")
        departs = {k: v for k, v in record.params.items() if k not in named and v != standard.get(k)}
        choice = ", ".join(f"{name}={value}" for name, value in departs.items()) or "as in the tables"
        rows.append((record.params["dataset"], bool(departs), choice, record.metrics))
    frame = pd.DataFrame([(*row[:3], *(row[3][name] for name in shown)) for row in rows], columns=[*CHOICE, *shown])
    means = frame.groupby(CHOICE, as_index=False).agg(
        **{name: (name, "mean") for name in shown}, seeds=("accuracy_kmeans", "count")
    )
    departing = means.loc[means["departs"], "data set"].unique()
    return means[means["data set"].isin(departing)].drop(columns="departs")
