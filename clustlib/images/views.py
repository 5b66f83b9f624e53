"""What the guide's page on the number of clusters shows."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clustlib.cluster.number_of_clusters import EDGE_PRICE, NEIGHBOUR_SHARES
from clustlib.images.rivals import EDGES
from clustlib.images.runs import DEVELOPED_ON, OF_THE_TREE, OTHER_GRAPHS, OTHER_PRICES, SCORES
from clustlib.plots.looks import new_figure
from clustlib.records import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ["dataset", "features", "method", "classes", "found", "error", "accuracy", "nmi_geometric"]
OURS = "Description length"


def outcomes(runs: Iterable[Record]) -> pd.DataFrame:
    """One row for every data set, kind of features and rule: what ``count_clusters`` recorded.

    ``sets`` says whether the constants of our rule were chosen on the set's class subsets, or the set was held out.
    """
    frame = pd.DataFrame([{**r.params, **r.metrics} for r in runs], columns=COLUMNS)
    return _with_half(frame.astype({"classes": int, "found": int}))


def subset_outcomes(runs: Iterable[Record]) -> pd.DataFrame:
    """One row for every drawn subset of classes and every rule: what ``count_on_subsets`` recorded."""
    parts = [
        pd.DataFrame(
            {**{name: r.params[name] for name in ("dataset", "features", "size")}, "method": method}
            | {"classes": r.arrays["classes"]}
            | {name: r.arrays[f"{name} {method}"] for name in SCORES}
        )
        for r in runs
        for method in OF_THE_TREE
    ]
    return _with_half(pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*COLUMNS, "size"]))


def one_class_outcomes(runs: Iterable[Record]) -> pd.DataFrame:
    """Share of single classes in which each rule finds one cluster, and at most two; one row a half and rule."""
    parts = [
        pd.DataFrame({"dataset": r.params["dataset"], "method": method, "found": r.arrays[f"found {method}"]})
        for r in runs
        for method in OF_THE_TREE
    ]
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["dataset", "method", "found"])
    return (
        _with_half(frame)
        .assign(one=frame["found"] == 1, at_most_two=frame["found"] <= 2)
        .groupby(["sets", "method"], sort=False)
        .agg(classes=("found", "size"), one=("one", "mean"), at_most_two=("at_most_two", "mean"))
    )


def by_rule(frame: pd.DataFrame, *more: str) -> pd.DataFrame:
    """Errors, |log2(found / classes)|, and scores by rule and half of the sets, the smallest mean error first.

    ``more`` names columns that the rows are told apart by besides.
    """
    levels = [*more, "sets"]
    absolute = frame.assign(error=frame["error"].abs())
    table = absolute.groupby([*levels, "method"], sort=False).agg(
        cases=("error", "size"),
        median=("error", "median"),
        mean=("error", "mean"),
        worst=("error", "max"),
        within_two=("error", lambda error: (error <= 1).mean()),
        accuracy=("accuracy", "mean"),
        nmi=("nmi_geometric", "mean"),
    )
    return table.sort_values("mean").sort_index(level=levels, sort_remaining=False, kind="stable")


def found_by_set(frame: pd.DataFrame) -> pd.DataFrame:
    """What every rule found, a row a data set and kind of features, beside the number of classes."""
    index = ["sets", "dataset", "features", "classes"]
    return frame.pivot_table(index=index, columns="method", values="found", sort=False, aggfunc="first")


def verdict(frame: pd.DataFrame) -> str:
    """The result of our rule in one sentence: on all cases, and on held-out sets where there are others too."""
    ours = frame[frame["method"] == OURS]
    if ours.empty:
        return "Our rule has not run."
    held = ours[ours["sets"] == "held out"]
    told = f"The description length is off by {_off(ours)}"
    return f"{told}; on held-out sets alone, by {_off(held)}." if 0 < len(held) < len(ours) else f"{told}."


def _off(frame: pd.DataFrame) -> str:
    error = frame["error"].abs()
    within = f"within a factor of two in {int((error <= 1).sum())} of {len(error)} case{'s' * (len(error) > 1)}"
    return f"a factor of {2 ** error.median():.2f} in the median, and {within}"


def rule_grid(runs: Iterable[Record]) -> pd.DataFrame:
    """Mean error, |log2(found / classes)|, of the rule by edges, graphs and price of an edge.

    One row for every half of the sets, kind of case (whole sets, subsets of classes), edges and graphs.
    """
    rows = []
    for run in runs:
        classes = run.arrays["classes"]
        for (edges, (at, graphs)), (cell, price) in product(
            product(EDGES, enumerate(OTHER_GRAPHS)), enumerate(OTHER_PRICES)
        ):
            error = np.abs(np.log2(run.arrays[f"found {edges}"][:, at, cell] / classes))
            of = {"dataset": run.params["dataset"], "edges": edges, "graphs": graphs, "price": price}
            rows += [{**of, "cases": "whole sets", "error": error[0]}]
            rows += [{**of, "cases": "subsets", "error": value} for value in error[1:]]
    frame = _with_half(pd.DataFrame(rows, columns=["dataset", "edges", "graphs", "price", "cases", "error"]))
    return frame.pivot_table(index=["sets", "cases", "edges", "graphs"], columns="price", values="error", sort=False)


def as_it_is() -> str:
    """What the rule's own graphs are called in :func:`rule_grid`."""
    return next(name for name, shares in OTHER_GRAPHS.items() if shares == NEIGHBOUR_SHARES)


def rule_map(grid: pd.DataFrame) -> Figure:
    """:func:`rule_grid` as a picture, darker where the error is larger; the rule as it is has a frame."""
    from matplotlib.patches import Rectangle

    halves = list(dict.fromkeys(grid.index.droplevel(["edges", "graphs"])))
    figure, panels = new_figure(8.0, 2.4 * len(halves), panels=1, rows=len(halves))
    for axes, half in zip(panels[:, 0], halves):
        table = grid.loc[half]
        image = axes.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (row, column), value in np.ndenumerate(table.to_numpy()):
            axes.text(
                column, row, f"{value:.2f}", ha="center", va="center", color="w" if value > 0.6 else "k", fontsize=8
            )
        here = (
            list(table.columns).index(EDGE_PRICE) - 0.5,
            list(table.index).index(("mutual", as_it_is())) - 0.5,
        )
        axes.add_patch(Rectangle(here, 1, 1, fill=False, edgecolor="C1", linewidth=2))
        axes.grid(visible=False)
        axes.set_yticks(range(len(table)), [f"{edges}, {graphs}" for edges, graphs in table.index])
        axes.set_xticks(range(len(table.columns)), [f"{price:g}" for price in table.columns])
        axes.set_title(", ".join(half))
    axes.set_xlabel("price of an edge between clusters, in ln N nats")
    figure.colorbar(image, ax=panels, label="mean error, log2")
    return figure


def length_curve(record: Record, title: str = "") -> Figure:
    """The description length over the number of clusters: chosen, next best, and the number of classes."""
    curve, chosen = record.arrays["curve"], int(record.metrics["found"])
    k = np.arange(1, len(curve) + 1)
    figure, axes = new_figure(8.0, 4.0)
    axes.plot(k, curve, color="C0")
    axes.plot(chosen, curve[chosen - 1], "o", color="C0", label=f"chosen: {chosen}")
    others = [int(other) for other in record.arrays["alternatives"] if other <= len(curve)]
    if others:
        named = ", ".join(str(other) for other in others)
        axes.plot(others, curve[np.array(others) - 1], "s", color="C1", mfc="none", label=f"next best: {named}")
    classes = int(record.metrics["classes"])
    axes.axvline(classes, color="0.5", linestyle=":", label=f"classes: {classes}")
    axes.set(xscale="log", xlabel="clusters", ylabel="description length, nats", title=title)
    axes.legend()
    return figure


def _with_half(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(sets=np.where(frame["dataset"].isin(DEVELOPED_ON), "developed on", "held out"))


_LEARNT = {"jule": "JULE", "dbc": "DBC", "deepcluster": "DeepCluster"}
_ON_FEATURES = {"gdl": "GDL", "path": "path integral", "zeta": "zeta", "kmeans": "k-means", "gsnmf": "GSNMF"}


def methods_outcomes(runs: Iterable[Record]) -> pd.DataFrame:
    """One row for every set, method, number given or not, and seed: what ``cluster_as_folder`` recorded.

    ``label`` names a method with the features that it was given; ``seconds`` are those of features and clustering.
    """
    columns = ["dataset", "label", "known", "classes", "found", "error", "accuracy", "nmi_geometric", "seconds"]
    rows = []
    for run in runs:
        method, features = run.params["method"], run.params["features"]
        label = _LEARNT.get(method, method) if method not in _ON_FEATURES else f"{_ON_FEATURES[method]}, {features}"
        spent = run.metrics["seconds_features"] + run.metrics["seconds_clustering"]
        rows.append({**run.params, **run.metrics, "label": label, "seconds": spent})
    return pd.DataFrame(rows, columns=columns)


def by_method(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Means over the seeds, a row a method and a column a set, the best mean first; none where a set is missing."""
    table = frame.pivot_table(index="label", columns="dataset", values=metric, sort=False)
    return table.assign(mean=table.mean(axis=1, skipna=False)).sort_values("mean", ascending=False)


def found_by_method(frame: pd.DataFrame) -> pd.DataFrame:
    """What each method took for the number of clusters, a row a set, beside the number of classes."""
    counts = frame.pivot_table(index=["dataset", "classes"], columns="label", values="found", sort=False).reset_index()
    return counts.astype({"classes": int}).set_index(["dataset", "classes"]).map("{:g}".format)


def methods_verdict(frame: pd.DataFrame) -> str:
    """The result in one sentence: which method has the best mean over the sets, and which is best alone on the most."""
    known = frame[frame["known"]]
    if known.empty:
        return "No method has run."
    scores = known.pivot_table(index="label", columns="dataset", values="accuracy")
    best = scores.dropna().mean(axis=1).idxmax()
    alone = scores.eq(scores.max()).T
    wins = alone[alone.sum(axis=1) == 1].sum()
    sets = f"{len(alone)} set{'s' * (len(alone) > 1)}"
    also = "and is" if wins.idxmax() == best else f"and {wins.idxmax()} is"
    return (
        f"With the number of clusters given, {best} has the best mean accuracy over {sets}, {also} best alone on"
        f" {wins.max()} of them."
    )


def gain_over_kmeans(frame: pd.DataFrame) -> Figure:
    """Accuracy less that of k-means on the pixels, a dot a set, methods by their mean; the number was given."""
    known = frame[frame["known"]]
    scores = known.pivot_table(index="label", columns="dataset", values="accuracy")
    gains = scores.sub(scores.loc["k-means, pixels"], axis=1).drop("k-means, pixels")
    order = gains.mean(axis=1).sort_values().index
    figure, axes = new_figure(8.0, 0.32 * len(order) + 1.2)
    for place, name in enumerate(order):
        axes.plot(gains.loc[name], np.full(len(gains.columns), place), "o", color="C0", alpha=0.5)
        axes.plot(gains.loc[name].mean(), place, "|", color="C1", markersize=16, markeredgewidth=2.5)
    axes.axvline(0, color="0.5", linestyle=":")
    axes.set(yticks=range(len(order)), yticklabels=list(order), xlabel="accuracy less that of k-means on pixels")
    return figure
