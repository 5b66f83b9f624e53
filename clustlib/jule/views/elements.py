"""JULE as written, as released and in between: what the page on its readings draws from records."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clustlib.plots.looks import DASHES, MARKERS, new_figure

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from matplotlib.figure import Figure

    from clustlib.records import Runs

PLAIN = {
    "default": "ours",
    "as-written": "as written",
    "as-released": "as released",
    "small-kept": "ours, handfuls kept",
}


def name_of(variant: str) -> str:
    """A variant as the page calls it: "as written, with margin" for ``written-with-margin``."""
    if variant in PLAIN:
        return PLAIN[variant]
    base, _, element = variant.partition("-")
    return f"as {base}, {element.replace('-', ' ')}" if base in ("written", "released") else variant


def cells(runs: "Runs") -> pd.DataFrame:
    """OURS-RC in cells whose method is the variant's name on the page, with both scores, and OURS-SF's NMI."""
    frame = runs.cells(nmi="nmi_geometric", accuracy="accuracy")
    final = frame[frame["method"] == "OURS-RC"]
    before = frame[(frame["method"] == "OURS-SF") & (frame["metric"] == "nmi")].assign(metric="nmi_sf")
    shown = pd.concat([final, before], ignore_index=True)
    return shown.assign(method=shown["variant"].map(name_of), variant="")


def table(measured: pd.DataFrame) -> pd.DataFrame:
    """Mean NMI / accuracy of OURS-RC and the number of fits, a row a variant and a column a data set."""
    means = measured.groupby(["method", "dataset", "metric"], sort=False)["value"].agg(["mean", "count"])

    def text(method: str, dataset: str) -> str:
        nmi, accuracy = (means.loc[(method, dataset, metric)] for metric in ("nmi", "accuracy"))
        if not nmi["count"]:
            return "not run"
        return f"{nmi['mean']:.3f} / {accuracy['mean']:.3f} ({nmi['count']:.0f})"

    names, sets = (measured[column].drop_duplicates() for column in ("method", "dataset"))
    return pd.DataFrame([{"JULE": name, **{each: text(name, each) for each in sets}} for name in names])


def course(runs: "Runs", dataset: str, variants: "Iterable[str]" = tuple(PLAIN)) -> "Figure | None":
    """NMI after every merging against the number of clusters that are left, one panel a variant; a line a seed.

    None where no run of the data set has a record. The last line of a run is the clustering of its final features.
    """
    fits = [run for run in runs.records if run.params["dataset"] == dataset and run.params["method"] == "OURS-RC"]
    chosen = [variant for variant in variants if any(run.params["variant"] == variant for run in fits)]
    if not chosen:
        return None
    figure, axes = new_figure(3.2 * len(chosen), 3.0, panels=len(chosen))
    for panel, variant in zip(axes[0], chosen):
        for run in (run for run in fits if run.params["variant"] == variant):
            panel.plot(
                run.arrays["period_n_clusters"][:-1], run.arrays["period_nmi"][:-1], "o-", color="C0", mfc="none"
            )
        panel.set(xscale="log", xlabel="clusters left", ylim=(0, 1.02), title=name_of(variant))
        panel.invert_xaxis()
    axes[0, 0].set(ylabel=f"NMI, {dataset}")
    return figure


def brought_back(runs: "Runs", dataset: str, seed: int = 0) -> "Figure | None":
    """The text beside the text with one element of the released code each: NMI against the clusters that are left.

    A line a variant, of one seed. None where no element was run on the data set.
    """
    fits = {
        run.params["variant"]: run
        for run in runs.records
        if (run.params["dataset"], run.params["method"], run.params["seed"]) == (dataset, "OURS-RC", seed)
    }
    named = [name for name in fits if name.startswith("written-")]
    if not named:
        return None
    figure, axes = new_figure(8.0, 4.5)
    for number, name in enumerate([*(["as-written"] if "as-written" in fits else []), *named]):
        arrays = fits[name].arrays
        left, nmi = (arrays[f"period_{part}"][:-1] for part in ("n_clusters", "nmi"))
        look = {"marker": MARKERS[number % len(MARKERS)], "linestyle": DASHES[number % len(DASHES)]}
        axes.plot(left, nmi, label=name_of(name), color=f"C{number}", **look)
    axes.set(xscale="log", xlabel="clusters left", ylim=(0, 1.02), ylabel=f"NMI, {dataset}")
    axes.invert_xaxis()
    axes.legend(fontsize="small")
    return figure


def two_by_two(plain: "Runs", centred: "Runs") -> pd.DataFrame:
    """Mean NMI / accuracy of OURS-RC as released: momentum damped or not, by images as they are or centred.

    Columns: data set, step, images, NMI, accuracy, fits.
    """
    steps = {"as-released": "damped", "released-with-plain-momentum": "plain"}
    rows: list[dict[str, Any]] = []
    for images, runs in (("as they are", plain), ("centred", centred)):
        for run in runs.records:
            if run.params["method"] == "OURS-RC" and run.params["variant"] in steps:
                scores = {"NMI": run.metrics["nmi_geometric"], "accuracy": run.metrics["accuracy"]}
                step = steps[run.params["variant"]]
                rows.append({"data set": run.params["dataset"], "step": step, "images": images, **scores})
    frame = pd.DataFrame(rows, columns=["data set", "step", "images", "NMI", "accuracy"])
    means = frame.groupby(["data set", "step", "images"], sort=False, as_index=False)
    return means.agg(NMI=("NMI", "mean"), accuracy=("accuracy", "mean"), fits=("NMI", "count")).replace({np.nan: None})
