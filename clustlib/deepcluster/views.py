"""What only DeepCluster's pages show: agreement beside chance; the sweep of the trial's settings, and the choice."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from clustlib._validation import check_integer
from clustlib.records import Runs

KINDS = {"NMI": "nmi", "by chance": "chance", "adjusted for chance": "adjusted"}
FACTORS = ("dropout", "n_components", "reassign")


def agreements(runs: Runs, dataset: str, other: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Of :func:`clustlib.deepcluster.runs.agreement.agreement`: the epochs of the clusterings, and a curve a kind.

    Parameters
    ----------
    other : "labels" or "previous", whose first value is that of the second clustering. Curves are means over the seeds.
    """
    own = [record.arrays for record in runs.records if record.params["dataset"] == dataset]
    names = {kind: f"{stem}_{other}_by_clustering" for kind, stem in KINDS.items()}
    curves = {kind: np.mean([arrays[name] for arrays in own], axis=0) for kind, name in names.items()} if own else {}
    return (own[0]["at"][-len(curves["NMI"]) :] if own else np.zeros(0)), curves


def swept(runs: Runs) -> pd.DataFrame:
    """A row a run of :func:`clustlib.deepcluster.runs.transfer.probe`: data set, factors, seed, layers and mean."""
    shown = ("score", "conv1", "conv2", "conv3", "conv4", "conv5")
    rows = [
        {name: record.params[name] for name in ("dataset", *FACTORS, "seed")}
        | {name: record.metrics[name] for name in shown}
        for record in runs.records
    ]
    return pd.DataFrame(rows, columns=["dataset", *FACTORS, "seed", *shown])


def levels(table: pd.DataFrame) -> pd.DataFrame:
    """The mean score of all runs at each level of each factor, by data set: a row a level."""
    rows = [
        {"factor": factor, "level": level, **group.groupby("dataset")["score"].mean()}
        for factor in FACTORS
        for level, group in table.groupby(factor)
    ]
    return pd.DataFrame(rows)


def chosen(table: pd.DataFrame, reported: str) -> dict[str, float]:
    """Each factor at its best level on the *other* data sets: no label of ``reported`` has a say.

    Of equally good levels the first is taken. Empty where no other set has been run.
    """
    others = table[table["dataset"] != reported]
    if others.empty:
        return {}
    return {factor: others.groupby(factor)["score"].mean().idxmax().item() for factor in FACTORS}


def choices(table: pd.DataFrame, datasets: Sequence[str]) -> pd.DataFrame:
    """:func:`chosen` for each data set: a row a set."""
    return pd.DataFrame([{"reported on": name, **chosen(table, name)} for name in datasets])


def made_up_clusters(n_clusters: int, n_images: int = 20_000) -> np.ndarray:
    """Clusters (n_images,) int64 whose sizes are in proportion to 1, 1/2, 1/3, ... (Zipf's law)."""
    check_integer("skew", n_clusters, 1)
    sizes = 1 / np.arange(1, n_clusters + 1)
    return np.random.default_rng(0).choice(n_clusters, n_images, p=sizes / sizes.sum())
