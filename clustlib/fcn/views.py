"""The FCN paper's pages: our cells beside the paper's, which network made them, and what each choice measured."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from clustlib import published, records
from clustlib.fcn.runs.clustering import SHARES_OF_K, cluster_features
from clustlib.fcn.weight_files import FILES
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


def by_updates(
    coded: Mapping[str, Any],
    plain: Mapping[str, Any],
    updates: str,
    by_network: bool = False,
    metrics: Sequence[str] = METRICS,
) -> pd.DataFrame:
    """Cells of grids of ``encode_features``, and of ``cluster_features`` for what no updates code, by row names.

    Metrics end in ``_after_n``; a ``plain`` row has the same value after every number, so that rows compare. With
    ``by_network`` a data set is named with the network that it was seen through.
    """
    ends = [f"_after_{number}" for number in updates.split()]
    frames = []
    for rows, ending in ((plain, False), (coded, True)):
        stored = {f"{metric}{end}": f"{metric}{end}" if ending else metric for end in ends for metric in metrics}
        for name, runs in rows.items():
            called = [_called(outcome.params, by_network) for outcome in runs for _ in stored]
            frames.append(runs.cells(**stored).assign(dataset=called, method=name))
    return pd.concat(frames, ignore_index=True)


def _called(params: Mapping[str, Any], by_network: bool) -> str:
    """A run's data set, in brackets the network and how many images were taken of it."""
    images, cnn = params.get("n_images"), params["cnn"]
    network = (FILES[cnn].title if cnn in FILES else cnn) if by_network else ""
    beside = ", ".join(filter(None, (network, f"{images:,} images" if images else "")))
    return f"{params['dataset']} ({beside})" if beside else params["dataset"]


def scores_by_updates(cells: pd.DataFrame, metric: str, updates: str) -> pd.DataFrame:
    """Means over seeds of one metric: a row per data set and row name, a column per number of updates."""
    wanted = {f"{metric}_after_{n}": f"after {n}" for n in updates.split()}
    shown = cells[cells["metric"].isin(wanted)].dropna(subset=["value"])
    wide = shown.pivot_table(index=["dataset", "method"], columns="metric", values="value", sort=False)
    return wide.reindex(columns=list(wanted)).rename(columns=wanted)


def gains_by_network(cells: pd.DataFrame, metric: str, updates: str, method: str, over: str) -> pd.DataFrame:
    """A row's mean score less another's, averaged over data sets: a row per network, a column per number of updates."""
    means = scores_by_updates(cells, metric, updates)
    if not {method, over} <= set(means.index.get_level_values("method")):
        return means[:0]
    gained = means.xs(method, level="method") - means.xs(over, level="method")
    return gained.groupby(gained.index.str.extract(r"\((.*?)[,)]", expand=False), sort=False).mean()


def folders(runs: Any) -> pd.DataFrame:
    """Cells of ``cluster_a_folder``: FCN and k-means on the activations; a part of a set named with its images."""
    frames = []
    for name, end in {"FCN(k)": "", "k-means on the activations": "_activations"}.items():
        stored = {metric: f"{metric}{end}" for metric in ("accuracy", "nmi")}
        called = [_folder(outcome) for outcome in runs for _ in stored]
        frames.append(runs.cells(**stored).assign(dataset=called, method=name))
    return pd.concat(frames, ignore_index=True)


def _folder(outcome: Any) -> str:
    params = outcome.params
    few = params.get("n_classes") and params.get("n_per_class")
    return f"{params['dataset']} ({params['n_classes'] * params['n_per_class']} images)" if few else params["dataset"]


def gains_of_settings(runs: Mapping[tuple[str, int], Any]) -> pd.DataFrame:
    """Accuracy of FCN less that of the activations: a row per start and number of updates, a column per data set."""
    rows = []
    for (start, number), found in runs.items():
        cells = folders(found).query("metric == 'accuracy'")
        means = cells.pivot_table(index="dataset", columns="method", values="value", sort=False)
        gained = means.get("FCN(k)", pd.Series(dtype=float)) - means.get("k-means on the activations", 0)
        rows.append({"start": start, "updates": number, **gained, "mean": gained.mean()})
    return pd.DataFrame(rows).set_index(["start", "updates"])


def penalties(runs: Any) -> pd.DataFrame:
    """Cells of runs with different penalties, a method each, and the weights in columns l1 and l2."""
    cells = runs.cells(accuracy_kmeans="accuracy_kmeans", nmi_kmeans="nmi_kmeans")
    pairs = [(outcome.params["l1"], outcome.params["l2"]) for outcome in runs for _ in range(2)]
    called = ["paper setting" if pair == (0.05, 0.02) else f"l1 {pair[0]:g}, l2 {pair[1]:g}" for pair in pairs]
    return cells.assign(method=called, l1=[l1 for l1, _ in pairs], l2=[l2 for _, l2 in pairs])


def into_k(runs: Mapping[str, Any]) -> pd.DataFrame:
    """Cells of grids of ``cluster_into_k``; metrics end in the number of clusters over that of the classes."""
    stored = [f"{metric}_at_{share:g}" for share in SHARES_OF_K for metric in METRICS]
    return cells_of_settings(runs, **dict(zip(stored, stored)))


def by_setting(runs: Any, name: str) -> pd.DataFrame:
    """Accuracy of k-means, means over seeds: a row per method and value of one setting, a column per data set."""
    usual = bind(cluster_features, {"dataset": "", "method": ""})[name]  # of records that are older than the setting
    at = [str(outcome.params.get(name, usual)) for outcome in runs]
    cells = runs.cells(accuracy="accuracy_kmeans").assign(setting=name, at=at)
    return cells.pivot_table("value", ["method", "setting", "at"], "dataset", sort=False)
