"""DBC's tables and learning curves: what is trained, once per data set, seed and setting, and what is read off it."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clustlib import _paths, datasets, metrics, records
from clustlib.errors import UsageError
from clustlib.experiments.scores import scores
from clustlib.published.tables import choose

METHODS = ("KMS", "FCAE-KMS", "DBC")
# why a row of Tables 3 to 6 has no measurement
NOT_RUN = {
    "IEC": "reported by its own paper only: no library has it",
    **dict.fromkeys(("DAE-KMS", "AEC", "DEN", "DCN", "DEC"), "not run yet"),
}
STARTS = ("full", "half", "random")
# the settings of figure 9, by the names of its curves; what is not said is the paper's own
CURVES: dict[str, dict[str, Any]] = {
    "alpha 1.5": {"alpha": 1.5},
    "alpha 2": {},
    "alpha 4": {"alpha": 4.0},
    "boosted": {},
    "soft": {"normalisation": "soft"},
    "none": {"normalisation": "none"},
    "full start": {},
    "half start": {"start": "half"},
    "random start": {"start": "random"},
}
WATCHED = 2000  # images whose codes are kept while training goes on
BINS = 20  # of the histograms of scores, between 0 and 1


@dataclass(frozen=True)
class Recipe:
    """How long each stage trains on a data set, and how."""

    pretrain_epochs: int
    epochs: int


RECIPES = {"digits": Recipe(6, 10), "coil-20": Recipe(30, 50)}
USUAL = Recipe(10, 50)


def recipe(dataset: str, pretrain_epochs: int | None = None, epochs: int | None = None) -> Recipe:
    """The data set's recipe, with the epochs that are given in place of its own."""
    own = RECIPES.get(dataset, USUAL)
    chosen = {"pretrain_epochs": pretrain_epochs, "epochs": epochs}
    return Recipe(**{**asdict(own), **{name: value for name, value in chosen.items() if value is not None}})


def _checkpoint(name: str, params: Mapping[str, Any]) -> Path:
    """Where a training keeps its state until it is done: a killed reproduction goes on from there."""
    digest = hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()[:16]
    return _paths.build("checkpoints") / f"dbc-{name}-{params['dataset']}-{digest}.pt"


def train_autoencoder(dataset: str, seed: int, pretrain_epochs: int, device: str = "auto") -> dict[str, np.ndarray]:
    """Stage I on a data set.

    Returns
    -------
    ``weights.<name>`` of the network, ``codes`` (N, d), ``loss`` an epoch.
    """
    from clustlib.methods import FCAEFeatures

    images = datasets.load(dataset).images
    file = _checkpoint("stage-1", {"dataset": dataset, "seed": seed})
    features = FCAEFeatures(epochs=pretrain_epochs, random_state=seed, device=device, checkpoint=file).fit(images)
    file.unlink(missing_ok=True)
    weights = {f"weights.{name}": value.cpu().numpy() for name, value in features.model_.state_dict().items()}
    loss = np.array([epoch["loss"] for epoch in features.history_])
    return {**weights, "codes": features.embedding_, "loss": loss}


def features_of(dataset: str, arrays: Mapping[str, np.ndarray], device: str = "auto") -> Any:
    """The fitted :class:`clustlib.methods.FCAEFeatures` behind the arrays of :func:`train_autoencoder`."""
    from clustlib.methods import FCAEFeatures

    prefix = "weights."
    weights = {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
    return FCAEFeatures(device=device).restore(datasets.load(dataset).images, weights)


def watched(images: datasets.ImageSet) -> np.ndarray:
    """Indices of the test images (of all, where there is no such part): those that figures 6 and 7 look at."""
    part = np.flatnonzero(images.split == "test") if "test" in images.parts else np.arange(len(images))
    return part


def _monitor(images: datasets.ImageSet) -> Callable[[int, np.ndarray, np.ndarray], dict[str, Any]]:
    """What is noted of every epoch for the figures; the labels are for scores only and steer nothing."""
    import torch

    seen = watched(images)
    drawn = np.sort(np.random.default_rng(0).permutation(seen)[:WATCHED])
    epochs = {0, 1, 2, 5, 10, 20, 50, 100}

    def note(epoch: int, soft: np.ndarray, codes: np.ndarray) -> dict[str, Any]:
        found, first = soft.argmax(1), soft[seen, 0]
        counts = np.histogram(first, bins=BINS, range=(0, 1))[0]
        noted = {
            "accuracy": float(metrics.accuracy(images.labels, found)),
            "nmi": float(metrics.nmi(images.labels, found, average="max")),
            "polarised": float(((first < 0.05) | (first > 0.7)).mean()),
            "histogram": torch.from_numpy(counts),
        }
        return noted | ({"codes": torch.from_numpy(codes[drawn])} if epoch in epochs else {})

    return note


def train(
    dataset: str,
    seed: int,
    pretrain_epochs: int,
    epochs: int,
    alpha: float = 2.0,
    normalisation: str = "boosted",
    start: str = "full",
    device: str = "auto",
) -> dict[str, np.ndarray]:
    """Both stages on a data set; stage I is shared by all settings of stage II.

    Parameters
    ----------
    start : the auto-encoder that stage II starts from: trained in "full", for "half" of the epochs, or "random".

    Returns
    -------
    labels (N,), start_labels (N,), soft (N, k), codes (N, d), and by epoch, from 0 (before training): accuracy, nmi,
    polarised, histogram (epochs, 20), changed, kl, seconds; ``watched.<epoch>`` codes of 2,000 test images;
    ``weights.<name>``.
    """
    from clustlib.methods import DBC

    images = datasets.load(dataset)
    length = {"full": pretrain_epochs, "half": (pretrain_epochs + 1) // 2, "random": 0}[start]
    stage_1 = records.artifact(train_autoencoder, dataset=dataset, seed=seed, pretrain_epochs=length, device=device)
    setting = {"alpha": alpha, "normalisation": normalisation, "start": start, "length": length}
    file = _checkpoint("stage-2", {"dataset": dataset, "seed": seed, **setting})
    model = DBC(
        images.n_classes,
        features=features_of(dataset, stage_1, device),
        alpha=alpha,
        normalisation=normalisation,
        epochs=epochs,
        random_state=seed,
        device=device,
        checkpoint=file,
    ).fit(images.images, monitor=_monitor(images))
    file.unlink(missing_ok=True)
    return _arrays(model)


def _arrays(model: Any) -> dict[str, np.ndarray]:
    """What a fitted DBC leaves, as arrays by name."""
    history = model.history_
    by_epoch = {name: np.array([entry[name] for entry in history]) for name in ("accuracy", "nmi", "polarised")}
    by_epoch |= {name: np.array([entry.get(name, np.nan) for entry in history]) for name in ("changed", "loss")}
    return {
        "labels": model.labels_.astype(np.uint8),
        "start_labels": model.start_labels_.astype(np.uint8),
        "soft": model.soft_assignments_,
        "codes": model.embedding_,
        **by_epoch,
        "histogram": np.stack([entry["histogram"].numpy() for entry in history]),
        "seconds": np.array([entry.get("seconds", 0.0) for entry in history]),
        **{f"watched.{entry['epoch']}": entry["codes"].numpy() for entry in history if "codes" in entry},
        **{f"weights.{name}": value.cpu().numpy() for name, value in model.model_.state_dict().items()},
    }


def trained(dataset: str, seed: int, device: str = "auto", **setting: Any) -> dict[str, np.ndarray]:
    """The arrays of :func:`train`, computed once; epochs not given are the data set's recipe."""
    chosen = recipe(dataset, setting.pop("pretrain_epochs", None), setting.pop("epochs", None))
    return records.artifact(train, dataset=dataset, seed=seed, device=device, **asdict(chosen), **setting)


def _kmeans(points: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    from clustlib.cluster.kmeans import KMeans

    return KMeans(n_clusters, random_state=seed).fit(points).labels_


def cluster(
    dataset: str,
    method: str,
    seed: int = 0,
    pretrain_epochs: int | None = None,
    epochs: int | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """One of the paper's own rows of Tables 3 to 6.

    Parameters
    ----------
    dataset : a registered name. seed : of the weights, the order of the images and k-means.
    method : "KMS" (k-means on pixels in [0, 1]), "FCAE-KMS" (on the codes) or "DBC".
    pretrain_epochs, epochs : of stages I and II; None takes the data set's recipe.

    Returns
    -------
    accuracy, nmi_max, nmi_geometric, purity, n_clusters, epochs_run, training_seconds, and ``labels`` (N,) uint8.
    """
    images = datasets.load(dataset)
    chosen = recipe(dataset, pretrain_epochs, epochs)
    spent = {"epochs_run": 0.0, "training_seconds": 0.0}
    if method == "KMS":
        found = _kmeans(images.pixels("unit"), images.n_classes, seed)
    elif method == "FCAE-KMS":
        shared = {"dataset": dataset, "seed": seed, "pretrain_epochs": chosen.pretrain_epochs, "device": device}
        found = _kmeans(records.artifact(train_autoencoder, **shared)["codes"], images.n_classes, seed)
    else:
        arrays = trained(dataset, seed, device, **asdict(chosen))
        found = arrays["labels"]
        spent = {"epochs_run": len(arrays["accuracy"]) - 1.0, "training_seconds": float(arrays["seconds"].sum())}
    return {**scores(images.labels, found), **spent, "labels": found.astype(np.uint8)}


def learning_curve(
    dataset: str,
    method: str,
    seed: int = 0,
    pretrain_epochs: int | None = None,
    epochs: int | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """One curve of Figure 9: ``method`` is a name of ``CURVES``, or "FCAE-KMS" for the fully trained code alone.

    Returns
    -------
    accuracy and nmi_max of the last epoch, accuracy_early (after five), and by epoch ``accuracies`` and ``nmis``.
    """
    setting = CURVES.get(method, {})
    arrays = trained(dataset, seed, device, pretrain_epochs=pretrain_epochs, epochs=epochs, **setting)
    accuracies, nmis = (arrays[name][:1] if method == "FCAE-KMS" else arrays[name] for name in ("accuracy", "nmi"))
    return {
        "accuracy": accuracies[-1],
        "nmi_max": nmis[-1],
        "accuracy_early": accuracies[min(5, len(accuracies) - 1)],
        "accuracies": accuracies,
        "nmis": nmis,
    }


def _check(known: tuple[str, ...]) -> Callable[..., None]:
    def check(
        dataset: str, method: str, seed: int, pretrain_epochs: int | None = None, epochs: int | None = None, **_: Any
    ) -> None:
        """Refuse what cannot be right before any work is done."""
        choose("data set", dataset, datasets.names())
        choose("method", method, known)
        for name, value, least in (("seed", seed, 0), ("pretrain_epochs", pretrain_epochs, 0), ("epochs", epochs, 1)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise UsageError(f"{name} must be an integer from {least} on, got {value!r}")

    return check


cluster.check = _check(METHODS)  # type: ignore[attr-defined]
learning_curve.check = _check((*CURVES, "FCAE-KMS"))  # type: ignore[attr-defined]
