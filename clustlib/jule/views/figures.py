"""From JULE's records to cells and pictures: table 1, figures 1, 7 and 8, the talk's stages, tables 5 and 6."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clustlib import datasets, plots, records
from clustlib.errors import DataMissing, UsageError
from clustlib.jule.rows import OURS
from clustlib.jule.runs.clustering import STAGES, joint_clustering
from clustlib.jule.runs.features import NEIGHBOURS
from clustlib.jule.views.elements import name_of
from clustlib.records.runs import CELL_COLUMNS, constant_cells

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _loaded(names: list[str]) -> dict[str, datasets.ImageSet | str]:
    """Each set, or why it is not here."""
    sets: dict[str, datasets.ImageSet | str] = {}
    for name in names:
        try:
            sets[name] = datasets.load(name)
        except DataMissing:
            sets[name] = f"needs {name}: see the page on data sets"
    return sets


def measured_datasets(names: list[str]) -> pd.DataFrame:
    """Table 1 in cells: samples, categories, height and width of each set.

    They are counted from the files where a set is here, and else those of its description, to which every load is held.
    """
    rows = []
    for name, images in _loaded(names).items():
        facts = _described(name) if isinstance(images, str) else _counted(images)
        rows += [(name, "images", metric, value) for metric, value in facts.items()]
    return constant_cells(rows)


def _counted(images: datasets.ImageSet) -> dict[str, float]:
    _, height, width = images.shape
    return {"samples": len(images), "categories": images.n_classes, "height": height, "width": width}


def _described(name: str) -> dict[str, float]:
    known = datasets.info(name)
    _, height, width = known.shape or (np.nan, np.nan, np.nan)
    counts = (known.n_samples or np.nan, known.n_classes or np.nan, height, width)
    return dict(zip(("samples", "categories", "height", "width"), counts))


def samples(names: list[str], shown: int) -> "Figure | None":
    """The first image of each of the first ``shown`` classes of the first set that is here; None where none is."""
    first_set = next((images for images in _loaded(names).values() if not isinstance(images, str)), None)
    if first_set is None:
        print(f"no picture: none of {', '.join(names)} is on this machine")
        return None
    classes, first = np.unique(first_set.labels, return_index=True)
    return plots.image_grid(first_set.images[first[:shown]], titles=classes[:shown].tolist())


def stage_cells(runs: records.Runs) -> pd.DataFrame:
    """Clusters and NMI of each stage of a run ``stages``, in cells: method is the stage, variant the reading."""
    rows: list[tuple] = []
    for run in runs:
        name, seed, reading = run.params["dataset"], run.params["seed"], _reading(run)
        for stage in STAGES:
            for metric, stored in (("clusters", "n_clusters"), ("nmi", "nmi")):
                if isinstance(run, records.Missing):
                    rows.append((name, stage, metric, np.nan, seed, np.nan, None, run.reason, reading))
                else:
                    value = run.metrics[f"{stage}_{stored}"]
                    device = run.provenance["device"]
                    rows.append((name, stage, metric, value, seed, run.seconds, device, None, reading))
    return pd.DataFrame(rows, columns=[*CELL_COLUMNS, "variant"])


def _reading(run: "records.Record | records.Missing") -> str:
    return run.params.get("reading", "default")


def _named(run: records.Record) -> str:
    """The data set of a run, and whose JULE it is where that is not ours."""
    return run.params["dataset"] + ("" if _reading(run) == "default" else f", {name_of(_reading(run))}")


def stage_metrics(runs: records.Runs) -> dict[str, float]:
    """What a regression check holds of the stages: the NMI of each."""
    return {f"{_named(run)} | {stage} | nmi": run.metrics[f"{stage}_nmi"] for run in runs.records for stage in STAGES}


def draw_stage(runs: records.Runs, stage: str) -> "Figure | str":
    """Three principal components at a stage of the first run, coloured by cluster where there are few."""
    if not runs.records:
        return f"not run: {runs.missing[0].reason}"
    run = runs.records[0]
    points, labels = run.arrays[f"{stage}_components"].astype(np.float32), run.arrays[f"{stage}_labels"]
    n_clusters, nmi = int(run.metrics[f"{stage}_n_clusters"]), run.metrics[f"{stage}_nmi"]
    title = f"{_named(run)}, {stage}: {n_clusters:,} clusters, NMI {nmi:.3f}"
    few = n_clusters <= 50  # more names than that cannot be read
    return plots.embedding(points, labels if few else run.arrays["classes"], title + ("" if few else " (classes)"))


def stage_panels(runs: records.Runs) -> "Figure | str":
    """Two principal components, one row a data set, one column a stage, coloured by cluster."""
    if not runs.records:
        return f"not run: {runs.missing[0].reason}"
    panels = {}
    for run in runs.records:
        for stage in STAGES:
            points = run.arrays[f"{stage}_components"][:, :2].astype(np.float32)
            title = f"{_named(run)}: {int(run.metrics[f'{stage}_n_clusters']):,}"
            panels[title] = (points, run.arrays[f"{stage}_labels"])
    return plots.embedding_panels(panels, columns=len(STAGES))


def purity_cells(runs: records.Runs) -> pd.DataFrame:
    """Every K of figure 8 in cells; a set with too few images lacks the largest."""
    names = [f"knn_purity_{k}" for k in NEIGHBOURS]
    measured = [name for name in names if all(name in run.metrics for run in runs.records)]
    return runs.cells(**{name: name for name in measured})


def purity_curves(cells: pd.DataFrame) -> tuple[list[int], dict[str, list[float]]]:
    """Means over the seeds as curves: the K, and for each data set and kind of feature the shares."""
    cells = cells.dropna(subset=["value"])
    x = [k for k in NEIGHBOURS if f"knn_purity_{k}" in set(cells["metric"])]
    cells = cells.assign(kind=[f"{kind}{_of(variant)}" for kind, variant in zip(cells["method"], cells["variant"])])
    means = cells.groupby(["dataset", "kind", "metric"], sort=False)["value"].mean()
    pairs = cells[["dataset", "kind"]].drop_duplicates().itertuples(index=False)
    return x, {f"{name}, {kind}": [means[name, kind, f"knn_purity_{k}"] for k in x] for name, kind in pairs}


def _of(variant: str | float | None) -> str:
    """Whose JULE, where that is not ours; records from before there was a choice have no reading (None or NaN)."""
    return f", {name_of(variant)}" if isinstance(variant, str) and variant != "default" else ""


def transfer_cells(runs: records.Runs) -> pd.DataFrame:
    """The cells of tables 5 and 6: the data set of a cell is "source->target"."""
    cells = runs.cells(nmi="nmi_geometric")
    cells["dataset"] = [f"{run.params['source']}->{run.params['dataset']}" for run in runs]
    return cells


def target_cells(sources: list[str], targets: list[str], seeds: list[int], **how: Any) -> pd.DataFrame:
    """What JULE reaches on the targets of tables 5 and 6 themselves, as cells of "source->target".

    The methods are "OURS-SF on the target" and "OURS-RC on the target"; ``how`` goes to ``records.grid``.
    """
    runs = records.grid(joint_clustering, dataset=targets, method=list(OURS), seed=seeds, **how)
    cells = runs.cells(nmi="nmi_geometric")
    cells["method"] += " on the target"
    pairs = [(source, target) for source in sources for target in targets if source != target or len(targets) == 1]
    parts = [cells[cells["dataset"] == target].assign(dataset=f"{source}->{target}") for source, target in pairs]
    return pd.concat(parts, ignore_index=True)


def curves(cells: pd.DataFrame, metric: str) -> tuple[list[float], dict[str, list[float]]]:
    """Means over the seeds of one metric as curves: the common x, and for each data set what has been measured.

    A data set has a curve for every reading of JULE.
    """
    shown = cells[cells["metric"] == metric]
    shown = shown.assign(line=[f"{name}{_of(variant)}" for name, variant in zip(shown["dataset"], shown["variant"])])
    wide = shown.pivot_table(index="x", columns="line", values="value", dropna=False, sort=False).sort_index()
    return list(wide.index), {str(name): list(wide[name]) for name in wide if wide[name].notna().any()}


def placed(names: str, x: list[float], y: list[float]) -> np.ndarray:
    """Where the nodes of figure 3 lie, (nodes, 2): as many numbers across and high as ``names`` has letters."""
    for axis, numbers in (("x", x), ("y", y)):
        if len(numbers) != len(names) or not np.isfinite(numbers).all():
            raise UsageError(f"{axis} takes {len(names)} finite numbers, one for each of {', '.join(names)}")
    return np.column_stack([x, y])
