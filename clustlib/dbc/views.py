"""From DBC's data and records to its pages: tables 1 and 2, what figures 4 to 9 draw, the tables of choices."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from clustlib import datasets, records
from clustlib.dbc.choices import DBC_CHOICES
from clustlib.dbc.runs import clustering, written
from clustlib.records.runs import CELL_COLUMNS, constant_cells


def layers(names: Iterable[str]) -> pd.DataFrame:
    """The encoder's layers for data sets' images, as cells like those of ``Runs.cells``.

    Methods are layers ("conv1", "pool1", ..., "features"); metrics are filter_size, filters, output_size and
    output_channels, as in Table 2. Nothing is trained and no data is read.
    """
    import torch

    from clustlib.dbc.network import FCAE

    rows = []
    for name in names:
        shape = datasets.info(name).shape
        assert shape is not None, name
        model = FCAE(shape).eval()
        with torch.no_grad():
            maps = model.activations(torch.zeros(1, *shape))
        for layer, filters in model.layer_filters().items():
            channels, size, _ = maps[layer].shape[1:]
            columns = {"filter_size": filters, "output_size": size, "output_channels": channels}
            if not layer.startswith("pool"):
                columns["filters"] = channels
            rows += [(name, layer, metric, float(value or 0)) for metric, value in columns.items()]
    return constant_cells(rows)


def parameter_counts(names: Iterable[str]) -> pd.DataFrame:
    """How many numbers are learnt, by data set: the encoder's convolutions, its layers, the whole."""
    from torch import nn

    from clustlib.dbc.network import FCAE

    rows = []
    for name in names:
        shape = datasets.info(name).shape
        assert shape is not None, name
        model = FCAE(shape)
        encoder = [*model.encoder.modules(), *model.features.modules()]
        convolutions = [p for layer in encoder if isinstance(layer, nn.Conv2d) for p in layer.parameters()]
        parts = (convolutions, model.encoder_parameters(), list(model.parameters()))
        rows.append((name, *(sum(p.numel() for p in part) for part in parts)))
    columns = ["data set", "encoder's convolutions", "encoder with batch normalisation", "encoder and decoder"]
    return pd.DataFrame(rows, columns=columns)


def image_properties(names: Iterable[str]) -> pd.DataFrame:
    """The registered properties of data sets as cells of Table 1: samples, categories, height, width, channels."""
    rows = []
    for name in names:
        known = datasets.info(name)
        assert known.shape is not None, name
        channels, height, width = known.shape
        columns = {"samples": known.n_samples, "categories": known.n_classes, "height": height, "width": width}
        for metric, value in {**columns, "channels": channels}.items():
            rows.append((name, "images", metric, float(value or 0)))
    return constant_cells(rows)


def starts_of_training(runs: records.Runs) -> pd.DataFrame:
    """The clusters that the joint training of DBC starts from, as cells of Tables 3 to 6: "DBC at its start"."""
    trained = records.Runs(run for run in runs.records if run.params["method"] == "FCAE-KMS")
    return trained.cells(accuracy="accuracy_start", nmi="nmi_max_start").assign(method="DBC at its start")


def as_written(
    methods: Iterable[str], pretrain_epochs: int | None = None, epochs: int | None = None, **how: Any
) -> pd.DataFrame:
    """The paper's own rows by its text alone as cells of Tables 3 to 6; with those of "DBC at its start".

    ``how`` are the other parameters of :func:`clustlib.records.grid`; epochs that are None are those of the reading.
    """
    own = [method for method in methods if method in written.METHODS]
    if not own:
        return pd.DataFrame(columns=CELL_COLUMNS)
    lengths = {"pretrain_epochs": pretrain_epochs, "epochs": epochs}
    given: dict[str, Any] = {name: value for name, value in lengths.items() if value is not None}
    runs = records.grid(written.as_written, method=own, **given, **how)
    trained = records.Runs(run for run in runs.records if run.params["method"] == "DBC")
    starts = trained.cells(accuracy="accuracy_start", nmi="nmi_max_start").assign(method="DBC at its start")
    every = pd.concat([runs.cells(accuracy="accuracy", nmi="nmi_max"), starts], ignore_index=True)
    return every.assign(variant="as written")


def epochs_run(runs: records.Runs) -> pd.DataFrame:
    """How many epochs each curve of Figure 9 took until training stopped, as cells of the metric "epochs"."""
    cells = records.Runs(runs.records).cells(epochs="accuracy")
    return cells.assign(value=[len(run.arrays["accuracies"]) - 1.0 for run in runs.records])


def until_it_stops(runs: records.Runs) -> pd.DataFrame:
    """What the curves of Figure 9 as written took until training stopped: means over the seeds.

    Returns
    -------
    DataFrame. Columns: data set, curve, epochs, seconds (of the joint training), still changing (share of the images
    that had another cluster after the last epoch than before it), seeds.
    """
    rows = [
        {"data set": run.params["dataset"], "curve": run.params["method"], "epochs": run.metrics["epochs_run"],
         "seconds": run.metrics["training_seconds"], "still changing": run.arrays["changed"][-1]}
        for run in runs.records
    ]  # fmt: skip
    names = ["data set", "curve", "epochs", "seconds", "still changing"]
    groups = pd.DataFrame(rows, columns=names).groupby(names[:2], sort=False)
    return groups[names[2:]].mean().assign(seeds=groups.size()).reset_index()


def scaled(filters: np.ndarray) -> np.ndarray:
    """(N, C, H, W) numbers as images: each from its smallest (0) to its largest value (1), float32."""
    filters = filters.astype(np.float32)
    low, high = (edge(filters, axis=(1, 2, 3), keepdims=True) for edge in (np.min, np.max))
    return (filters - low) / np.where(high > low, high - low, 1)


def tiles(record: records.Record, layer: str, most: int = 20) -> tuple[np.ndarray, None, int]:
    """A layer's maps as images, one row an input, with the arguments that ``plots.image_grid`` takes after them."""
    maps = record.arrays[layer][:, :most]
    return scaled(maps.reshape(-1, 1, *maps.shape[2:])), None, maps.shape[1]


def layers_of_maps(record: records.Record) -> tuple[list[str], list[str]]:
    """The layers of Figure 4 before and behind the code, in the order in which an image passes them."""
    depth = sum(name.startswith("pool") for name in record.arrays)
    before = [f"{kind}{number}" for number in range(1, depth + 1) for kind in ("conv", "pool")]
    behind = [f"{kind}{n + (kind == 'deconv')}" for n in range(depth, 0, -1) for kind in ("deconv", "unpool")]
    return before, [*behind, "output"]


def codes(record: records.Record) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The features' indices and a curve of activations for each image of Figure 4."""
    features = record.arrays["features"].reshape(3, -1).astype(np.float32)
    classes = record.params["classes"].split()
    return np.arange(features.shape[1]), {f"digit {label}": row for label, row in zip(classes, features)}


def histogram_curves(record: records.Record) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The middles of the bins and the counts of some epochs of Figure 6."""
    counts = record.arrays["histogram"]
    last, bins = len(counts) - 1, counts.shape[1]
    shown = sorted({epoch for epoch in (0, 1, 2, 4, 8, 16) if epoch < last} | {last})
    return (np.arange(bins) + 0.5) / bins, {f"epoch {epoch}": counts[epoch] for epoch in shown}


def curves(runs: records.Runs, dataset: str, name: str) -> dict[str, Any]:
    """Each method's curve over the epochs on a data set, as ``plots.line`` takes it; {} where nothing was run.

    The mean over the seeds, with the lowest and the highest as its spread; a shorter curve keeps its last value.
    """
    own = [(run.params["method"], run.arrays[name]) for run in runs.records if run.params["dataset"] == dataset]
    length = max((len(curve) for _, curve in own), default=0)
    by_method: dict[str, list[np.ndarray]] = {}
    for method, curve in own:
        by_method.setdefault(method, []).append(np.pad(curve, (0, length - len(curve)), mode="edge"))
    if not own:
        return {}
    means = {method: np.mean(found, axis=0) for method, found in by_method.items()}
    several = {method: found for method, found in by_method.items() if len(found) > 1}
    spread = {method: (np.min(found, axis=0), np.max(found, axis=0)) for method, found in several.items()}
    return {"x": np.arange(length), "curves": means, "spread": spread}


DATASETS = ("mnist-test", "usps-11000", "coil-20", "fashion-mnist-test", "usps", "mnist")  # columns of the table


BOOK = "the book's settings"


def _records(profile: str, function: str) -> Iterator[records.Record]:
    """The records that a function of this paper made at the data sets' own epochs."""
    for key in records.open_store(profile).all_keys():
        if f"/{function}." not in key:
            continue
        params = (record := records.load(key, profile)).params
        own = clustering.own_epochs(params)
        if own and all(params.get(name) == value for name, value in own.items()):
            yield record


def measured(profile: str = "paper") -> pd.DataFrame:
    """Every run of DBC that tells what a choice does.

    Returns
    -------
    DataFrame, one row a run. Columns: choice (a name of ``DBC_CHOICES`` or of Figure 9's curves, or the book's
    settings), dataset, seed, start (accuracy of the k-means clusters that stage II began from; NaN where no record
    has it), accuracy, nmi.
    """
    rows = []
    starts = {
        (record.params["dataset"], record.params["seed"]): record.metrics.get("accuracy_start", np.nan)
        for record in _records(profile, "cluster")
        if record.params["method"] == "FCAE-KMS"
    }
    for record in _records(profile, "cluster"):
        if record.params["method"] == "DBC":
            where = (record.params["dataset"], record.params["seed"])
            rows.append((BOOK, *where, starts.get(where, np.nan), *_end(record)))
    for record in _records(profile, "switched"):
        named = (record.params[name] for name in ("choice", "dataset", "seed"))
        rows.append((*named, record.metrics["accuracy_start"], *_end(record)))
    for record in _records(profile, "learning-curve"):
        setting = clustering.CURVES.get(record.params["method"])
        if setting:  # the curves of the book's own settings are in the tables
            method, where = record.params["method"], (record.params["dataset"], record.params["seed"])
            start = np.nan if "start" in setting else starts.get(where, np.nan)
            rows.append((method, *where, start, *_end(record)))
    return pd.DataFrame(rows, columns=["choice", "dataset", "seed", "start", "accuracy", "nmi"])


def _end(record: records.Record) -> tuple[float, float]:
    return record.metrics["accuracy"], record.metrics["nmi_max"]


def choices(profile: str = "paper") -> pd.DataFrame:
    """The book's settings and every departure from them: what DBC began from and where it ended.

    Returns
    -------
    DataFrame of text. Columns: choice, arguments, and for each of ``DATASETS`` "accuracy of the start → accuracy /
    NMI of the end (seeds)", means over seeds; what has no record says "not run".
    """
    table = measured(profile)
    departures = {name: _arguments({**first, **second}) for name, (first, second) in DBC_CHOICES.items()}
    departures |= {name: _arguments(setting) for name, setting in clustering.CURVES.items() if setting}
    rows = []
    for name, arguments in {BOOK: "-", **departures}.items():
        row = {"choice": name, "arguments": arguments}
        for dataset in DATASETS:
            row[dataset] = _cell(table[(table["choice"] == name) & (table["dataset"] == dataset)])
        rows.append(row)
    return pd.DataFrame(rows)


def _arguments(setting: dict[str, Any]) -> str:
    """The arguments as text; the auto-encoders that Figure 9(c) starts from differ by their epochs."""
    if "start" in setting and setting["start"] in clustering.STARTS:
        return {"half": "half of the epochs of stage I", "random": "no epoch of stage I"}[setting["start"]]
    return ", ".join(f"{name}={value}" for name, value in setting.items())


def _cell(own: pd.DataFrame) -> str:
    if own.empty:
        return "not run"
    means = own[["start", "accuracy", "nmi"]].mean()
    start = "" if np.isnan(means["start"]) else f"{means['start']:.3f} → "
    return f"{start}{means['accuracy']:.3f} / {means['nmi']:.3f} ({own['seed'].nunique()})"


STARTS = {  # the read-outs of a record of FCAE-KMS, by the arguments of ``DBC`` that lead to them
    "": ("smoothing=0, start=distortion", "k-means on the whitened codes: the row FCAE-KMS"),
    "_even": ("smoothing=0, start=even", "the restart of most even clusters"),
    "_both": ("smoothing=32, start=even", "the same of codes averaged with their neighbours"),
    "_start": ("smoothing=32, start=distortion", "averaged codes, smallest distortion: what DBC begins from"),
}


def starts(profile: str = "paper") -> pd.DataFrame:
    """The four k-means starts on the same codes, and the end of DBC from the last of them.

    Returns
    -------
    DataFrame of text. Columns: start, arguments, and for each of ``DATASETS`` "accuracy / NMI (seeds)" or "not run".
    """
    fits = [record for record in _records(profile, "cluster") if record.params["method"] in ("FCAE-KMS", "DBC")]
    read_outs = [(label, arguments, "FCAE-KMS", ending) for ending, (arguments, label) in STARTS.items()]
    rows = []
    for label, arguments, method, ending in [*read_outs, ("the end of DBC", "-", "DBC", "")]:
        row = {"start": label, "arguments": arguments}
        for dataset in DATASETS:
            own = [r for r in fits if r.params["method"] == method and r.params["dataset"] == dataset]
            names = (f"accuracy{ending}", f"nmi_max{ending}")
            values = np.array([[r.metrics[name] for name in names] for r in own if set(names) <= set(r.metrics)])
            shown = " / ".join(f"{mean:.3f}" for mean in values.mean(0)) if len(values) else ""
            row[dataset] = f"{shown} ({len(values)})" if shown else "not run"
        rows.append(row)
    return pd.DataFrame(rows)
