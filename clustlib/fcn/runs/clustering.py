"""Clustering and classifying on top of the representations: tables 1 to 5 and figures 1 and 3."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from clustlib import datasets, metrics, records
from clustlib._validation import check_integer, check_seed
from clustlib.errors import UsageError
from clustlib.fcn.runs import protocol
from clustlib.fcn.runs.protocol import STAND_IN_CNN
from clustlib.fcn.runs.representations import METHODS, represent, settings_of
from clustlib.fcn.weight_files import NETWORKS
from clustlib.metrics import compact
from clustlib.published.tables import choose
from clustlib.records.runs import taking

SHARES_OF_K = (0.5, 0.75, 1.25, 1.5, 2.0)
SC_SCALE = 0.5  # bandwidth of the spectral clustering in mean squared distances; the paper gives none


@taking(represent)
def cluster_features(dataset: str, method: str, seed: int = 0, **settings: Any) -> dict[str, Any]:
    """Learn a representation on one part of a data set, cluster the l2-normalised features of the other (section 4.3).

    Parameters
    ----------
    dataset : a registered name. method : a label of ``representations.METHODS``. seed : of the representation where it
        has one, and of both clusterings.
    The others are those of ``representations.represent``.

    Returns
    -------
    accuracy_kmeans, nmi_kmeans, accuracy_sc, nmi_sc (NMI over the larger entropy, Eq. 8), zeros (share of features
    within 1e-6 of 0), dimension, training_seconds, objective (last one, 0 where there is none); ``labels_kmeans`` and
    ``labels_sc`` (N,) uint8, ``history``.
    """
    params = settings_of(dataset, method, seed=seed, **settings)
    arrays = records.artifact(represent, **params)
    features = unit_features(arrays)
    truth = protocol.split(dataset, params["n_images"], params["n_learn"]).cluster.labels
    history = arrays["history"]
    return {
        **clustered_both_ways(features, truth, seed, params["device"]),
        "zeros": zeros(features),
        "dimension": features.shape[1],
        "training_seconds": float(arrays["seconds"]),
        "objective": float(history[-1]) if len(history) else 0.0,
        "history": history.astype(np.float32),
    }


@taking(represent)
def cluster_into_k(dataset: str, method: str, seed: int = 0, **settings: Any) -> dict[str, float]:
    """:func:`cluster_features` with other numbers of clusters than there are classes (section 4.3).

    Returns
    -------
    accuracy and nmi of both clusterings, with ``_at_f`` behind each name for a number of clusters that is f times that
    of the classes, f in ``SHARES_OF_K``. For the accuracy a class has at most one cluster, and a cluster one class.
    """
    params = settings_of(dataset, method, seed=seed, **settings)
    features = unit_features(records.artifact(represent, **params))
    truth = protocol.split(dataset, params["n_images"], params["n_learn"]).cluster.labels
    out: dict[str, float] = {}
    for share in SHARES_OF_K:
        k = max(2, round(share * len(np.unique(truth))))
        scores = clustered_both_ways(features, truth, seed, params["device"], k)
        out |= {f"{name}_at_{share:g}": v for name, v in scores.items() if not isinstance(v, np.ndarray)}
    return out


def clustered_both_ways(
    features: np.ndarray, truth: np.ndarray, seed: int, device: str, n_clusters: int | None = None
) -> dict[str, Any]:
    """k-means and spectral clustering of features (N, L), by default into as many clusters as ``truth`` has classes.

    Returns
    -------
    accuracy, nmi and labels (N,) uint8, each with the clustering's name behind it.
    """
    from clustlib.cluster.kmeans import KMeans
    from clustlib.cluster.spectral import SpectralNJW

    n_clusters = n_clusters or len(np.unique(truth))
    models: dict[str, Any] = {
        "kmeans": KMeans(n_clusters, n_init=10, random_state=seed),
        "sc": SpectralNJW(n_clusters, scale=SC_SCALE, random_state=seed, device=device),
    }
    out: dict[str, Any] = {}
    for name, model in models.items():
        labels = model.fit(features).labels_
        out |= _scores(truth, labels, name)
        out[f"labels_{name}"] = compact(labels)
    return out


def zeros(features: np.ndarray) -> float:
    """The share of features within 1e-6 of 0."""
    return float((np.abs(features) < 1e-6).mean())


def _scores(truth: np.ndarray, labels: np.ndarray, name: str) -> dict[str, float]:
    return {
        f"accuracy_{name}": metrics.accuracy(truth, labels),
        f"nmi_{name}": metrics.nmi(truth, labels, average="max"),
    }


def classify_features(
    dataset: str,
    method: str,
    seed: int = 0,
    cnn: str = STAND_IN_CNN,
    size: int = 224,
    n_components: int = 1024,
    max_iter: int = 50,
    transform_iter: int = 50,
    C: float = 1.0,
    n_images: int | None = None,
    n_learn: int | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """A linear SVM on a representation, learnt with the labels of the part that the representation was learnt on.

    Where a data set has no held-out part, every second image of each class is held out from the SVM.

    Returns
    -------
    accuracy on the other part, training_seconds of the representation.
    """
    from clustlib.transfer.svm import svm_accuracy

    settings = {name: value for name, value in locals().items() if name not in ("C", "svm_accuracy")}
    made = records.artifact(represent, **settings_of(**settings))
    split = protocol.split(dataset, n_images, n_learn)
    learn, test = made["learn"], made.get("cluster")
    learn_labels, test_labels = split.learn.labels, split.cluster.labels
    if test is None:
        held = protocol.rank_in_class(learn_labels) % 2 == 1
        learn, test, learn_labels, test_labels = learn[~held], learn[held], learn_labels[~held], learn_labels[held]
    found = svm_accuracy(learn, learn_labels, test, test_labels, C=C, seed=seed)
    return {"accuracy": found, "training_seconds": float(made["seconds"])}


def embed_features(
    dataset: str,
    method: str,
    seed: int = 0,
    cnn: str = STAND_IN_CNN,
    size: int = 224,
    n_components: int = 1024,
    max_iter: int = 50,
    transform_iter: int = 50,
    perplexity: float = 30.0,
    n_points: int = 1000,
    n_images: int | None = None,
    n_learn: int | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """t-SNE of the l2-normalised features of the part that is clustered (Figure 1), of at most ``n_points`` images.

    Returns
    -------
    knn_purity of the plane (share of the 10 nearest neighbours with the image's label), ``points`` (n, 2) float32,
    ``labels`` (n,).
    """
    of_layout = ("perplexity", "n_points")
    settings = {name: value for name, value in dict(locals()).items() if name not in (*of_layout, "of_layout")}
    from sklearn.manifold import TSNE

    made = records.artifact(represent, **settings_of(**settings))
    features = unit_features(made)
    labels = protocol.split(dataset, n_images, n_learn).cluster.labels
    chosen = np.sort(np.random.default_rng(seed).permutation(len(labels))[:n_points])
    perplexity = min(perplexity, (len(chosen) - 1) / 3)
    points = TSNE(perplexity=perplexity, random_state=seed, init="pca").fit_transform(features[chosen])
    purity = metrics.knn_purity(points, labels[chosen], 10)
    return {
        "knn_purity": purity,
        "points": points.astype(np.float32),
        "labels": compact(labels)[chosen],
    }


def unit_features(made: dict[str, np.ndarray]) -> np.ndarray:
    """The l2-normalised rows of the part that is clustered (section 4.3)."""
    return unit(made.get("cluster", made["learn"]))


def unit(features: np.ndarray) -> np.ndarray:
    """Features with rows of length 1, float32; a row of zeros stays."""
    # lengths in the features' own precision: those of unit_rows, in float64, round the records' rows otherwise
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.ascontiguousarray(features / np.where(lengths == 0, 1, lengths), dtype=np.float32)


def _check(dataset: str, method: str, seed: int = 0, **settings: Any) -> None:
    """Refuse what cannot be right before any work is done."""
    choose("data set", dataset, datasets.names())
    choose("method", method, METHODS)
    check_seed(seed)
    if settings.get("cnn", STAND_IN_CNN) not in (*NETWORKS, "pixels"):
        raise UsageError(f"cnn must be {', '.join(NETWORKS)} or pixels, got {settings['cnn']!r}")
    for name in ("n_components", "max_iter", "epochs"):
        check_integer(name, settings.get(name, 1), 1)
    check_integer("fine_tune_layers", settings.get("fine_tune_layers", 1), 1, 2)
    check_integer("transform_iter", settings.get("transform_iter", 0), 0)
    check_integer("n_points", settings.get("n_points", 1000), 11)  # each has ten neighbours in the plane
    for name in ("l1", "l2", "l21"):
        if settings.get(name, 0) < 0:
            raise UsageError(f"{name} must not be negative, got {settings[name]!r}")


def _uses(params: dict[str, Any]) -> list[str]:
    """The code that the chosen method adds to a run's sources."""
    return [METHODS[params["method"]]]


records.declare(cluster_features, cluster_into_k, classify_features, embed_features, check=_check, uses=_uses)


# What the text of FCN leaves open, one departure from the tables' settings at a time: arguments of the run
# ``cluster_features``
FCN_CHOICES: dict[str, dict[str, Any]] = {
    "as in the tables": {},
    "roles of the penalties exchanged": {"l1": 0.02, "l2": 0.05},
    "an l2 weight of 1": {"l2": 1.0},
    "W scaled, H scaled back": {"basis_norm": "compensated"},
    "W bounded in the update": {"basis_norm": "ball"},
    "W left alone": {"basis_norm": None},
    "zeros of the start filled": {"init": "nndsvda"},
    "random start": {"init": "random"},
    "random start, no penalties": {"init": "random", "l1": 0.0, "l2": 0.0},
    "batches of 256": {"batch_size": 256},
    "batches of 256, the last one only": {"batch_size": 256, "forget_factor": 0.0},
    "10 updates": {"max_iter": 10},
    "200 updates": {"max_iter": 200},
    "10 updates for a new image": {"transform_iter": 10},
    "200 updates for a new image": {"transform_iter": 200},
}


def by_dataset(
    datasets: list[str], learn_at_most: Mapping[str, int], fn: Any = cluster_features, **settings: Any
) -> Any:
    """``records.grid`` over data sets, each learning from all its images or from as many as it is allowed."""
    runs = records.Runs()
    for name in datasets:
        runs += records.grid(fn, dataset=name, n_learn=learn_at_most.get(name), **settings)
    return runs


def penalty_grid(penalties: list[str], roles: str = "equation") -> list[tuple[str, float, float]]:
    """(name, l1, l2) of settings such as "paper setting", "lambda1 off" or "lambda2 at 0.1" (Figure 3).

    ``roles="equation"``: lambda1 weighs the squared l2 norm and lambda2 the l1 norm, as in Eq. (2); "text": the other
    way round, as in the sentences about it.
    """
    from clustlib.errors import UsageError

    if roles not in ("equation", "text"):
        raise UsageError(f'roles must be "equation" or "text", got {roles!r}')
    grid = []
    for name in penalties:
        values = {"lambda1": 0.02, "lambda2": 0.05}
        if name != "paper setting":
            which, _, value = name.partition(" ")
            if which not in values:
                raise UsageError(f'a setting is "paper setting", "lambda1 off", "lambda2 at 0.1", ...; got {name!r}')
            values[which] = 0.0 if value == "off" else float(value.removeprefix("at "))
        pair = (values["lambda2"], values["lambda1"])
        grid.append((name, *(pair if roles == "equation" else pair[::-1])))
    return grid
