"""DBC's tables and learning curves: what is trained, once per data set, seed and setting, and what is read off it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from clustlib import datasets, metrics, records
from clustlib._validation import check_integer
from clustlib.checkpoints import checkpoint_of
from clustlib.metrics import scores
from clustlib.published.tables import choose

METHODS = ("KMS", "FCAE-KMS", "DBC")
STARTS = ("full", "half", "random")
# the settings of figure 9, by the names of its curves; what is not said is our default
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
    """How a data set is trained; book/dbc/findings.md tells how that was chosen."""

    pretrain_epochs: int
    epochs: int
    whiten: int = 60


RECIPES = {
    "digits": Recipe(6, 10, whiten=30),
    "mnist": Recipe(4, 20),
    "mnist-test": Recipe(20, 50),
    "usps": Recipe(15, 60),
    "usps-11000": Recipe(15, 60),
    "coil-20": Recipe(10, 20),
}
USUAL = Recipe(15, 50)


def decay_over(epochs: int) -> float:
    """The factor by which the learning rate falls from epoch to epoch: to 0.04 of itself over all of them."""
    return 0.04 ** (1 / max(epochs, 1))


def recipe(dataset: str, pretrain_epochs: int | None = None, epochs: int | None = None) -> Recipe:
    """The data set's recipe, with the epochs that are given in place of its own."""
    own = RECIPES.get(dataset, USUAL)
    chosen = {"pretrain_epochs": pretrain_epochs, "epochs": epochs}
    return Recipe(**{**asdict(own), **{name: value for name, value in chosen.items() if value is not None}})


def train_autoencoder(
    dataset: str, seed: int, pretrain_epochs: int, whiten: int, device: str = "auto"
) -> dict[str, np.ndarray]:
    """Stage I on a data set.

    Returns
    -------
    ``weights.<name>`` of the network, ``codes`` (N, whiten), ``loss`` and ``seconds`` an epoch.
    """
    file = checkpoint_of(train_autoencoder, locals())
    from clustlib.dbc.features import FCAEFeatures

    images = datasets.load(dataset).images
    settings: dict[str, Any] = {"epochs": pretrain_epochs, "whiten": whiten, "random_state": seed, "device": device}
    features = FCAEFeatures(checkpoint=file, **settings).fit(images)
    file.unlink(missing_ok=True)
    weights = {f"weights.{name}": value.cpu().numpy() for name, value in features.model_.state_dict().items()}
    by_epoch = {name: np.array([epoch[name] for epoch in features.history_]) for name in ("loss", "seconds")}
    return {**weights, "codes": features.embedding_, **by_epoch}


def features_of(dataset: str, arrays: Mapping[str, np.ndarray], whiten: int, device: str = "auto") -> Any:
    """The fitted :class:`clustlib.FCAEFeatures` behind the arrays of :func:`train_autoencoder`."""
    from clustlib.dbc.features import FCAEFeatures

    prefix = "weights."
    weights = {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
    return FCAEFeatures(whiten=whiten, device=device).restore(datasets.load(dataset).images, weights)


def watched(images: datasets.ImageSet) -> np.ndarray:
    """Indices of the test images (of all, where there is no such part): those that figure 6 looks at."""
    return np.flatnonzero(images.split == "test") if "test" in images.parts else np.arange(len(images))


def drawn(images: datasets.ImageSet) -> np.ndarray:
    """2,000 of the watched images, in order: those whose codes figure 7 shows."""
    return np.sort(np.random.default_rng(0).permutation(watched(images))[:WATCHED])


def monitor(images: datasets.ImageSet) -> Callable[[int, np.ndarray, np.ndarray], dict[str, Any]]:
    """What is noted of every epoch for the figures; the labels are for scores only and steer nothing."""
    import torch

    seen, kept = watched(images), drawn(images)
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
        return noted | ({"codes": torch.from_numpy(codes[kept])} if epoch in epochs else {})

    return note


def train(
    dataset: str,
    seed: int,
    pretrain_epochs: int,
    epochs: int,
    whiten: int,
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
    file = checkpoint_of(train, locals())
    from clustlib.dbc.estimator import DBC

    images = datasets.load(dataset)
    length = {"full": pretrain_epochs, "half": (pretrain_epochs + 1) // 2, "random": 0}[start]
    shared: dict[str, Any] = {"dataset": dataset, "seed": seed, "whiten": whiten, "device": device}
    stage_1 = records.artifact(train_autoencoder, pretrain_epochs=length, **shared)
    model = DBC(
        images.n_classes,
        features=features_of(dataset, stage_1, whiten, device),
        alpha=alpha,
        normalisation=normalisation,
        epochs=epochs,
        decay=decay_over(epochs),
        random_state=seed,
        device=device,
        checkpoint=file,
    ).fit(images.images, monitor=monitor(images))
    file.unlink(missing_ok=True)
    return arrays_of(model)


def arrays_of(model: Any) -> dict[str, np.ndarray]:
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


def trained(dataset: str, seed: int, chosen: Recipe, device: str = "auto", **setting: Any) -> dict[str, np.ndarray]:
    """The arrays of :func:`train`, computed once."""
    return records.artifact(train, dataset=dataset, seed=seed, device=device, **asdict(chosen), **setting)


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
    accuracy, nmi_max, nmi_geometric, purity, n_clusters, ``labels`` (N,) uint8; of trained rows training_seconds; of
    DBC epochs_run; of FCAE-KMS reconstruction and the same scores of other starts (:mod:`clustlib.dbc.start`):
    ``_even``, the most even restart; ``_start``, on averaged codes, which DBC goes on from; ``_both``.
    """
    images = datasets.load(dataset)
    chosen = recipe(dataset, pretrain_epochs, epochs)
    more: dict[str, float] = {}
    if method == "KMS":
        from clustlib.cluster.kmeans import KMeans

        labels = KMeans(images.n_classes, random_state=seed).fit(images.pixels("unit")).labels_
    elif method == "FCAE-KMS":
        labels, more = _kmeans_on_codes(images, dataset, seed, chosen, device)
    else:
        arrays = trained(dataset, seed, chosen, device)
        labels = arrays["labels"]
        more = {"epochs_run": len(arrays["accuracy"]) - 1.0, "training_seconds": float(arrays["seconds"].sum())}
    return {**scores(images.labels, labels), **more, "labels": labels.astype(np.uint8)}


def _kmeans_on_codes(
    images: datasets.ImageSet, dataset: str, seed: int, chosen: Recipe, device: str
) -> tuple[np.ndarray, dict[str, float]]:
    """K-means on the whitened code, and the scores of the other ways to start from it."""
    from clustlib.dbc.estimator import DBC
    from clustlib.dbc.start import averaged, kmeans_start

    shared: dict[str, Any] = {"dataset": dataset, "seed": seed, "whiten": chosen.whiten, "device": device}
    stage_1 = records.artifact(train_autoencoder, pretrain_epochs=chosen.pretrain_epochs, **shared)
    codes, plain = stage_1["codes"], DBC()
    distortion_labels = kmeans_start(codes, images.n_classes, plain.n_init, "distortion", seed)
    smooth = averaged(codes, plain.n_neighbors, plain.smoothing, device)
    more = {"reconstruction": float(stage_1["loss"][-1]) if len(stage_1["loss"]) else 0.0}
    for name, points, choice in (("even", codes, "even"), ("start", smooth, plain.start), ("both", smooth, "even")):
        labels = kmeans_start(points, images.n_classes, plain.n_init, choice, seed)
        more |= {f"{metric}_{name}": value for metric, value in scores(images.labels, labels).items()}
    return distortion_labels, {**more, "training_seconds": float(stage_1["seconds"].sum())}


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
    arrays = trained(dataset, seed, recipe(dataset, pretrain_epochs, epochs), device, **setting)
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
            if value is not None:
                check_integer(name, value, least)

    return check


def own_epochs(params: Mapping[str, Any]) -> dict[str, int]:
    """What None stands for in a run's epochs: the data set's recipe. K-means on pixels trains nothing."""
    own = recipe(params["dataset"])
    return {} if params.get("method") == "KMS" else {"pretrain_epochs": own.pretrain_epochs, "epochs": own.epochs}


check_cluster = _check(METHODS)
records.declare(cluster, check=check_cluster, fills=own_epochs)
records.declare(learning_curve, check=_check((*CURVES, "FCAE-KMS")), fills=own_epochs)
