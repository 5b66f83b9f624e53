"""DBC as it is written, and what the text leaves open: one function whose parameters are all that can be chosen."""

from typing import Any

import numpy as np

from clustlib import datasets, records
from clustlib.checkpoints import checkpoint_of
from clustlib.dbc.runs import choices, clustering
from clustlib.metrics import scores
from clustlib.published.tables import choose
from clustlib.records.runs import taking

METHODS = ("FCAE-KMS", "DBC")
_SEEN = 2000  # codes behind a silhouette
_AGAIN = 5  # further k-means whose agreement is the stability of a start


def fitted(dataset: str, seed: int, stage_1: dict[str, Any], device: str) -> tuple[Any, dict[str, np.ndarray]]:
    """The auto-encoder of these settings, trained once, and the arrays of ``choices.train_stage_1`` behind it."""
    from clustlib.dbc.features import FCAEFeatures

    trained = {name: value for name, value in stage_1.items() if name != "whiten"}
    arrays = records.artifact(choices.train_stage_1, dataset=dataset, seed=seed, device=device, **trained)
    weights = {name.removeprefix("weights."): array for name, array in arrays.items() if name.startswith("weights.")}
    settings = {name: stage_1[name] for name in ("scaling", "code", "unpooling", "normalised", "whiten")}
    return FCAEFeatures(**settings, device=device).restore(datasets.load(dataset).images, weights), arrays


def as_written(
    dataset: str,
    method: str,
    seed: int = 0,
    pretrain_epochs: int = 60,
    pretrain_optimizer: str = "sgd",
    pretrain_rate: float = 0.1,
    pretrain_weight_decay: float = 5e-4,
    pretrain_batch_size: int = 256,
    scaling: str = "rms",
    code: str = "bn-relu",
    unpooling: str = "switches",
    normalised: bool = True,
    whiten: int | None = None,
    n_init: int = 20,
    start: str = "distortion",
    smoothing: int = 0,
    discriminant: bool = False,
    radius: float | None = None,
    epochs: int = 40,
    optimizer: str = "sgd",
    learning_rate: float = 0.01,
    weight_decay: float = 5e-4,
    batch_size: int = 256,
    updates: int | None = None,
    center_rate: float = 1.0,
    decay: float = 1.0,
    settle: bool = False,
    frozen: bool = False,
    alpha: float = 2.0,
    v: float = 1.0,
    normalisation: str = "boosted",
    device: str = "auto",
) -> dict[str, Any]:
    """The paper's rows by its text alone; any parameter replaced is one trial of the search.

    Parameters
    ----------
    dataset : a registered name. seed : of the weights, the order of the images and k-means.
    method : "FCAE-KMS" (k-means on the code) or "DBC".
    pretrain_* , scaling, code, unpooling, normalised, whiten : of :class:`clustlib.FCAEFeatures`.
    n_init to normalisation : of :class:`clustlib.DBC`.

    Returns
    -------
    accuracy, nmi_max, nmi_geometric, purity, n_clusters, ``labels`` (N,) uint8; of DBC the same of its start with
    ``_start``, epochs_run and by epoch ``accuracies``, ``nmis``. training_seconds: of stage I for FCAE-KMS, of stage II
    for DBC. What a user without labels sees: reconstruction (mean squared error of a pixel), evenness (of the cluster
    sizes), silhouette (of 2,000 codes), stability (mean adjusted Rand index of the start and other k-means restarts)
    or changed (share of the images in the last epoch).
    """
    given = locals()
    stage_1 = settings(given)[0]
    images = datasets.load(dataset)
    features, arrays = fitted(dataset, seed, stage_1, device)
    told = {"reconstruction": float(arrays["loss"][-1]) if len(arrays["loss"]) else 0.0}
    if method == "FCAE-KMS":
        found, more = _kmeans(features.embedding_, images.n_classes, seed, start, n_init)
        codes, more = features.embedding_, {**more, "training_seconds": float(arrays["seconds"].sum())}
    else:
        both = records.artifact(train, **given)
        found, codes, more = both["labels"], both["codes"], _of_training(images, both)
    seen = _unlabelled(codes, found, images.n_classes)
    return {**scores(images.labels, found), **told, **seen, **more, "labels": found.astype(np.uint8)}


def settings(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters of :func:`as_written` as those of stage I (and ``whiten``) and those of :class:`clustlib.DBC`."""
    first = {name: given[f"pretrain_{name}"] for name in ("optimizer", "weight_decay", "batch_size", "epochs")}
    first |= {"learning_rate": given["pretrain_rate"], "pretrain_epochs": first.pop("epochs")}
    first |= {name: given[name] for name in ("scaling", "code", "unpooling", "normalised", "whiten")}
    aside = {"dataset", "method", "seed", "device", *first}
    own = {"learning_rate", "optimizer", "weight_decay", "batch_size"}
    names = (name for name in given if name in own or (name not in aside and not name.startswith("pretrain_")))
    return first, {name: given[name] for name in names}


@taking(as_written)
def train(**given: Any) -> dict[str, np.ndarray]:
    """Both stages with these settings, each trained once: the arrays of ``clustering.train``."""
    file = checkpoint_of(train, given)
    from clustlib.dbc.estimator import DBC

    stage_1, stage_2 = settings(given)
    images, seed, device = datasets.load(given["dataset"]), given["seed"], given["device"]
    features = fitted(given["dataset"], seed, stage_1, device)[0]
    own: dict[str, Any] = {"features": features, "random_state": seed, "device": device, "checkpoint": file}
    model = DBC(images.n_classes, **own, **stage_2).fit(images.images, monitor=clustering.monitor(images))
    file.unlink(missing_ok=True)
    return clustering.arrays_of(model)


def _kmeans(codes: np.ndarray, k: int, seed: int, start: str, n_init: int) -> tuple[np.ndarray, dict[str, float]]:
    """K-means on codes, and how well single restarts agree with it."""
    from sklearn.metrics import adjusted_rand_score

    from clustlib.dbc.start import kmeans_start

    labels = kmeans_start(codes, k, n_init, start, seed)
    others = (kmeans_start(codes, k, 1, "distortion", seed + 1000 + again) for again in range(_AGAIN))
    return labels, {"stability": float(np.mean([adjusted_rand_score(labels, other) for other in others]))}


def _of_training(images: datasets.ImageSet, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """What the record of a joint training says of its start and of its way."""
    start = {f"{name}_start": value for name, value in scores(images.labels, arrays["start_labels"]).items()}
    return {
        **start,
        "changed": float(np.nan_to_num(arrays["changed"][-1])),
        "epochs_run": len(arrays["accuracy"]) - 1.0,
        "training_seconds": float(arrays["seconds"].sum()),
        "accuracies": arrays["accuracy"],
        "nmis": arrays["nmi"],
    }


def _unlabelled(codes: np.ndarray, found: np.ndarray, n_clusters: int) -> dict[str, float]:
    """What can be said of clusters without a label."""
    from sklearn.metrics import silhouette_score

    from clustlib.dbc.start import evenness

    chosen = np.random.default_rng(0).permutation(len(codes))[:_SEEN]
    several = len(np.unique(found[chosen])) > 1
    silhouette = float(silhouette_score(codes[chosen], found[chosen])) if several else 0.0
    return {"evenness": evenness(found.astype(np.int64), n_clusters), "silhouette": silhouette}


def _check(dataset: str, method: str, seed: int = 0, **given: Any) -> None:
    """Refuse what cannot be right before any work is done."""
    choose("data set", dataset, datasets.names())
    choose("method", method, METHODS)
    clustering.check_cluster(dataset, method, seed)


records.declare(as_written, check=_check)
