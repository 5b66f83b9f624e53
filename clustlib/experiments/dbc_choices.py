"""What the choices that the DBC paper leaves open do, one at a time; and the table of them, read from records."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from clustlib import datasets, records
from clustlib.experiments import dbc
from clustlib.experiments._checkpoints import checkpoint_of
from clustlib.experiments.scores import scores
from clustlib.published.tables import choose
from clustlib.rows import DBC_CHOICES

DATASETS = ("mnist-test", "usps", "mnist")  # columns of the table
BOOK = "the book's settings"


def train_stage_1(
    dataset: str,
    seed: int,
    pretrain_epochs: int,
    scaling: str,
    code: str,
    unpooling: str,
    optimizer: str,
    learning_rate: float,
    device: str = "auto",
) -> dict[str, np.ndarray]:
    """The auto-encoder of one choice: its weights by name, (N,) loss by epoch as ``loss`` and ``seconds``."""
    file = checkpoint_of(train_stage_1, locals())
    from clustlib.methods import FCAEFeatures

    options: dict[str, Any] = {"scaling": scaling, "code": code, "unpooling": unpooling, "optimizer": optimizer}
    options |= {"learning_rate": learning_rate, "epochs": pretrain_epochs, "random_state": seed}
    features = FCAEFeatures(**options, whiten=None, device=device, checkpoint=file).fit(datasets.load(dataset).images)
    file.unlink(missing_ok=True)
    weights = {f"weights.{name}": value.cpu().numpy() for name, value in features.model_.state_dict().items()}
    by_epoch = {name: np.array([epoch[name] for epoch in features.history_]) for name in ("loss", "seconds")}
    return {**weights, **by_epoch}


def switched(
    dataset: str,
    choice: str,
    method: str = "DBC",
    seed: int = 0,
    pretrain_epochs: int | None = None,
    epochs: int | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """DBC with one of the book's settings replaced.

    Parameters
    ----------
    dataset : a registered name. choice : a name of ``clustlib.rows.DBC_CHOICES``. seed : as in :func:`dbc.cluster`.
    pretrain_epochs, epochs : of stages I and II; None takes the data set's recipe.

    Returns
    -------
    The scores of the end, and with ``_start`` those of the k-means clusters that stage II began from; epochs_run,
    training_seconds of both stages.
    """
    file = checkpoint_of(switched, locals())
    from clustlib.methods import DBC, FCAEFeatures

    images, chosen = datasets.load(dataset), dbc.recipe(dataset, pretrain_epochs, epochs)
    first, second = DBC_CHOICES[choice]
    options: dict[str, Any] = {"whiten": chosen.whiten, **first}
    plain = FCAEFeatures(**options).get_params()
    trained = ("scaling", "code", "unpooling", "optimizer", "learning_rate")
    shared: dict[str, Any] = {"dataset": dataset, "seed": seed, "pretrain_epochs": chosen.pretrain_epochs}
    arrays = records.artifact(train_stage_1, **shared, **{name: plain[name] for name in trained}, device=device)
    weights = {name.removeprefix("weights."): array for name, array in arrays.items() if name.startswith("weights.")}
    features = FCAEFeatures(**options, device=device).restore(images.images, weights)
    settings: dict[str, Any] = {"epochs": chosen.epochs, "decay": dbc.decay_over(chosen.epochs), "random_state": seed}
    settings |= {"device": device, **second}
    model = DBC(images.n_classes, features=features, checkpoint=file, **settings).fit(images.images)
    file.unlink(missing_ok=True)
    start = {f"{name}_start": value for name, value in scores(images.labels, model.start_labels_).items()}
    seconds = float(arrays["seconds"].sum()) + sum(entry.get("seconds", 0.0) for entry in model.history_)
    found = {**scores(images.labels, model.labels_), **start}
    return {**found, "epochs_run": model.n_iter_, "training_seconds": seconds}


def _check(dataset: str, choice: str, method: str = "DBC", seed: int = 0, **given: Any) -> None:
    """Refuse what cannot be right before any work is done."""
    choose("choice", choice, DBC_CHOICES)
    choose("method", method, ("DBC",))
    dbc.cluster.check(dataset, method, seed, **given)  # type: ignore[attr-defined]


switched.check = _check  # type: ignore[attr-defined]
switched.uses = lambda params: [repr(DBC_CHOICES[params["choice"]])]  # type: ignore[attr-defined]


def _records(profile: str, function: str) -> Iterator[records.Record]:
    """The records that a function of this paper made at the data sets' own epochs."""
    store = records.open_store(profile)
    for key in store.all_keys():
        if f"/{function}." not in key:
            continue
        record = store.read(key)
        own = record is not None and record.params.get("pretrain_epochs", 0) is None
        if record is not None and own and record.params.get("epochs", 0) is None:
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
        setting = dbc.CURVES.get(record.params["method"])
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
    found = measured(profile)
    departures = {name: _arguments({**first, **second}) for name, (first, second) in DBC_CHOICES.items()}
    departures |= {name: _arguments(setting) for name, setting in dbc.CURVES.items() if setting}
    rows = []
    for name, arguments in {BOOK: "-", **departures}.items():
        row = {"choice": name, "arguments": arguments}
        for dataset in DATASETS:
            row[dataset] = _cell(found[(found["choice"] == name) & (found["dataset"] == dataset)])
        rows.append(row)
    return pd.DataFrame(rows)


def _arguments(setting: dict[str, Any]) -> str:
    """The arguments as text; the auto-encoders that Figure 9(c) starts from differ by their epochs."""
    if "start" in setting and setting["start"] in dbc.STARTS:
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
    kept = [record for record in _records(profile, "cluster") if record.params["method"] in ("FCAE-KMS", "DBC")]
    read_outs = [(label, arguments, "FCAE-KMS", ending) for ending, (arguments, label) in STARTS.items()]
    rows = []
    for label, arguments, method, ending in [*read_outs, ("the end of DBC", "-", "DBC", "")]:
        row = {"start": label, "arguments": arguments}
        for dataset in DATASETS:
            own = [r for r in kept if r.params["method"] == method and r.params["dataset"] == dataset]
            names = (f"accuracy{ending}", f"nmi_max{ending}")
            values = np.array([[r.metrics[name] for name in names] for r in own if set(names) <= set(r.metrics)])
            shown = " / ".join(f"{mean:.3f}" for mean in values.mean(0)) if len(values) else ""
            row[dataset] = f"{shown} ({len(values)})" if shown else "not run"
        rows.append(row)
    return pd.DataFrame(rows)
