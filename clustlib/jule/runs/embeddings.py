"""Few dimensions: figure 9 and tables 13 and 14 of JULE's talk."""

import importlib
import time
from typing import Any

import numpy as np

from clustlib import datasets, metrics, records
from clustlib._validation import check_integer
from clustlib.checkpoints import Checkpoint, checkpoint_of
from clustlib.errors import UsageError
from clustlib.jule.runs.clustering import check_fit, fit_of, fitted, seconds_of, settings, train_jule, uses_fit
from clustlib.published.tables import choose

BASELINES = ("PCA", "NCA", "Autoencoder")
# the talk says neither whether the last layer is narrow from the start nor whether its output has unit length
OURS = ("OURS", "OURS (not normalised)", "OURS (final clusters)", "OURS (PCA of 160-D)")
METHODS = (*BASELINES, *OURS)
NEIGHBOURS = 12  # of the trustworthiness
_AT_ONCE = 2000  # images whose lower features are in memory together


def low_dimensional(
    dataset: str,
    method: str,
    dimension: int = 2,
    seed: int = 0,
    epochs: int = 20,
    precision: str = "float32",
    autoencoder_epochs: int = 30,
    autoencoder_width: int = 2000,
    nca_images: int = 5000,
    reading: str = "default",
    device: str = "auto",
) -> dict[str, Any]:
    """An embedding in ``dimension`` numbers an image, and how well neighbours survive in it.

    Where the set has a train and a test part, PCA, NCA and the auto-encoder learn from the train part, the
    1-nearest-neighbour classifier knows its labels and errs on the test part, and the trustworthiness is the test
    part's. Elsewhere all images serve for both, and the error is that of leaving one out. JULE clusters all images, as
    everywhere in the paper. NCA alone reads labels to learn from.

    Parameters
    ----------
    method : one of ``METHODS``. "OURS": JULE's network with ``dimension`` features instead of 160; "OURS (not
        normalised)": before the layer that scales them to unit length; "OURS (final clusters)": such a network, trained
        only on the clusters that the fit behind table 3 ends with; "OURS (PCA of 160-D)": principal components of that
        fit's 160 features.
    epochs, precision : of JULE's fit.
    autoencoder_epochs, autoencoder_width : of the auto-encoder's; w stands for hidden layers of w/4, w/4 and w units.
    nca_images : NCA compares all pairs, so it learns from a random part of this size at most.
    reading : the variant of JULE behind "OURS (PCA of 160-D)"; the other ways from JULE to few dimensions are ours.

    Returns
    -------
    one_nn_error, trustworthiness (T(12) against the pixels), training_seconds; in two dimensions ``points`` (n, 2)
    float32 of the test part (else of all), up to 10,000, and their ``classes``.
    """
    images = datasets.load(dataset)
    tests = images.split == "test" if images.split is not None else np.ones(len(images), bool)
    learns = ~tests if images.split is not None else tests
    module, name = _MADE_BY[method].split(":")
    embed = getattr(importlib.import_module(module), name)
    how = {"epochs": epochs, "precision": precision, "nca_images": nca_images, "device": device}
    how |= {"autoencoder_epochs": autoencoder_epochs, "autoencoder_width": autoencoder_width, "reading": reading}
    embedding, seconds = embed(images, learns, dimension, seed, how)
    if images.split is None:
        error = metrics.one_nn_error(embedding, images.labels)
    else:
        error = metrics.one_nn_error(embedding[learns], images.labels[learns], embedding[tests], images.labels[tests])
    pixels = images.pixels("unit")[tests]
    result: dict[str, Any] = {
        "one_nn_error": error,
        "trustworthiness": metrics.trustworthiness(pixels, embedding[tests], NEIGHBOURS),
        "training_seconds": seconds,
    }
    if dimension == 2:
        shown = np.flatnonzero(tests)[:10_000]
        result |= {"points": embedding[shown].astype(np.float32), "classes": images.labels[shown].astype(np.uint8)}
    return result


def _pca(
    images: datasets.ImageSet, learns: np.ndarray, dimension: int, seed: int, how: dict[str, Any]
) -> tuple[np.ndarray, float]:
    from sklearn.decomposition import PCA

    return _fitted(PCA(dimension, svd_solver="covariance_eigh"), images.pixels("unit"), learns)


def _nca(
    images: datasets.ImageSet, learns: np.ndarray, dimension: int, seed: int, how: dict[str, Any]
) -> tuple[np.ndarray, float]:
    """NCA from the principal components on, as scikit-learn has it: at most 50 steps of L-BFGS."""
    from sklearn.neighbors import NeighborhoodComponentsAnalysis

    drawn = np.random.default_rng(seed).permutation(np.flatnonzero(learns))[: how["nca_images"]]
    model = NeighborhoodComponentsAnalysis(dimension, init="pca", random_state=seed)
    return _fitted(model, images.pixels("unit"), np.sort(drawn), images.labels)


def _autoencoder(
    images: datasets.ImageSet, learns: np.ndarray, dimension: int, seed: int, how: dict[str, Any]
) -> tuple[np.ndarray, float]:
    from clustlib.jule.deep_autoencoder import DeepAutoencoder

    epochs, width = how["autoencoder_epochs"], how["autoencoder_width"]
    named = {"autoencoder_epochs": epochs, "autoencoder_width": width, "dimension": dimension, "seed": seed}
    model = DeepAutoencoder(
        dimension,
        hidden=(width // 4, width // 4, width),
        epochs=epochs,
        random_state=seed,
        device=how["device"],
        checkpoint=checkpoint_of(low_dimensional, {"dataset": images.name, "method": "Autoencoder", **named}),
    )
    return _fitted(model, images.pixels("unit"), learns)


def _fitted(
    model: Any, rows: np.ndarray, learns: np.ndarray, labels: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """All rows through a model that was fitted on some of them, and the seconds of the fit."""
    started = time.perf_counter()
    model.fit(rows[learns], None if labels is None else labels[learns])
    seconds = time.perf_counter() - started
    return np.asarray(model.transform(rows), np.float32), seconds


def train_narrow(
    dataset: str, dimension: int, seed: int = 0, epochs: int = 20, precision: str = "float32", device: str = "auto"
) -> dict[str, np.ndarray]:
    """One fit of JULE with ``dimension`` features, as arrays for the cache.

    Returns
    -------
    ``scaled`` (N, d) float32, of unit length, and ``linear``, the same before that; ``seconds`` of the fit.
    """
    checkpoint = checkpoint_of(train_narrow, locals())
    images = datasets.load(dataset)
    chosen = settings(dataset, epochs=epochs) | {"network": {"features": dimension}}
    model = fitted(images.images, images.labels, seed, precision, device, checkpoint, **chosen)
    top = model.network_.top
    weight, bias = top.weight.detach().cpu().numpy(), top.bias.detach().cpu().numpy()
    parts = np.array_split(images.images, -(-len(images) // _AT_ONCE))
    linear = np.concatenate([model.transform(part, "top-1") @ weight.T + bias for part in parts])
    return {"scaled": model.embedding_, "linear": linear, "seconds": seconds_of(model)}


def _ours(
    images: datasets.ImageSet, learns: np.ndarray, dimension: int, seed: int, how: dict[str, Any]
) -> tuple[np.ndarray, float]:
    arrays = records.artifact(train_narrow, dataset=images.name, dimension=dimension, seed=seed, **_fit(how))
    return arrays["scaled"], float(arrays["seconds"])


def _ours_not_normalised(
    images: datasets.ImageSet, learns: np.ndarray, dimension: int, seed: int, how: dict[str, Any]
) -> tuple[np.ndarray, float]:
    arrays = records.artifact(train_narrow, dataset=images.name, dimension=dimension, seed=seed, **_fit(how))
    return arrays["linear"], float(arrays["seconds"])


def train_on_clusters(
    dataset: str, dimension: int, seed: int = 0, epochs: int = 20, precision: str = "float32", device: str = "auto"
) -> dict[str, np.ndarray]:
    """A network with ``dimension`` features on the clusters of the fit behind table 3, as arrays for the cache.

    One period of ``epochs`` epochs of triplets, from random weights. Returns ``scaled`` (N, d) float32 and ``seconds``,
    those of the fit included.
    """
    kept = Checkpoint(checkpoint_of(train_on_clusters, locals()), {"dataset": dataset, "seed": seed})
    import torch

    from clustlib import _device
    from clustlib.jule.estimator import JULE
    from clustlib.jule.network import JuleNet
    from clustlib.jule.triplet_training import Descent, TripletLoss, TripletTraining

    fit = records.artifact(train_jule, dataset=dataset, seed=seed, epochs=epochs, precision=precision, device=device)
    images, it = datasets.load(dataset), JULE()
    loss = TripletLoss(it.gamma, it.margin, it.n_negatives, it.negatives, it.gradient)
    descent = Descent(it.learning_rate, it.momentum, it.dampening, it.weight_decay, it.batch_size, precision)
    network = JuleNet(*images.shape, features=dimension, generator=torch.Generator().manual_seed(seed))
    training = TripletTraining(images.images, network, loss, descent, seed, _device.resolve(device))
    state = kept.load() or {"epochs": 0, "seconds": 0.0}
    if "training" in state:
        training.restore(state.pop("training"))
    while state["epochs"] < epochs:
        started = time.perf_counter()
        training.epoch(fit["OURS-RC"])
        state = {"epochs": state["epochs"] + 1, "seconds": state["seconds"] + time.perf_counter() - started}
        kept.save({**state, "training": training.state()})
    return {"scaled": training.features(), "seconds": np.array(state["seconds"] + float(fit["seconds"]))}


def _ours_on_clusters(
    images: datasets.ImageSet, learns: np.ndarray, dimension: int, seed: int, how: dict[str, Any]
) -> tuple[np.ndarray, float]:
    arrays = records.artifact(train_on_clusters, dataset=images.name, dimension=dimension, seed=seed, **_fit(how))
    return arrays["scaled"], float(arrays["seconds"])


def _ours_by_pca(
    images: datasets.ImageSet, learns: np.ndarray, dimension: int, seed: int, how: dict[str, Any]
) -> tuple[np.ndarray, float]:
    from sklearn.decomposition import PCA

    arrays = fit_of(images.name, seed, how["epochs"], how["precision"], how["reading"], how["device"])
    model = PCA(dimension, svd_solver="covariance_eigh").fit(arrays["embedding"])
    return np.asarray(model.transform(arrays["embedding"]), np.float32), float(arrays["seconds"])


def _fit(how: dict[str, Any]) -> dict[str, Any]:
    return {name: how[name] for name in ("epochs", "precision", "device")}


# by name, so that a record's sources are those of its own method
_MADE_BY = {
    "PCA": "clustlib.jule.runs.embeddings:_pca",
    "NCA": "clustlib.jule.runs.embeddings:_nca",
    "Autoencoder": "clustlib.jule.runs.embeddings:_autoencoder",
    "OURS": "clustlib.jule.runs.embeddings:_ours",
    "OURS (not normalised)": "clustlib.jule.runs.embeddings:_ours_not_normalised",
    "OURS (final clusters)": "clustlib.jule.runs.embeddings:_ours_on_clusters",
    "OURS (PCA of 160-D)": "clustlib.jule.runs.embeddings:_ours_by_pca",
}


def embeddings(
    dataset: list[str],
    methods: list[str],
    dimensions: list[int],
    seed: list[int],
    *,
    epochs: int,
    precision: str,
    autoencoder_epochs: int,
    autoencoder_width: int,
    nca_images: int,
    readings: list[str] | tuple[str, ...] = ("default",),
    **how: Any,
) -> records.Runs:
    """The runs of figure 9 and tables 13 and 14, each with the settings that its method reads.

    ``readings`` are the variants of JULE behind "OURS (PCA of 160-D)".
    """
    own: dict[str, dict[str, Any]] = {
        "NCA": {"nca_images": nca_images},
        "Autoencoder": {"autoencoder_epochs": autoencoder_epochs, "autoencoder_width": autoencoder_width},
        **{label: {"epochs": epochs, "precision": precision} for label in OURS},
    }
    own[OURS[-1]]["reading"] = list(readings)
    if not methods:
        raise UsageError("methods is empty: nothing to run")
    runs = records.Runs()
    for method in methods:
        seeds = seed[:1] if method == "PCA" else seed
        settings = own.get(method, {})
        runs += records.grid(
            low_dimensional, dataset=dataset, method=method, dimension=dimensions, seed=seeds, **settings, **how
        )
    return runs


def _check(dataset: str, method: str, dimension: int = 2, **others: Any) -> None:
    choose("method", method, METHODS)
    check_fit(dataset, **others)
    check_integer("dimension", dimension, 1)
    for name, least in (("autoencoder_epochs", 1), ("autoencoder_width", 4), ("nca_images", 1)):
        check_integer(name, others.get(name, least), least)


def _uses_narrow(params: dict[str, Any]) -> list[str]:
    return uses_fit(
        {"epochs": 20, **{name: params[name] for name in ("dataset", "epochs", "reading") if name in params}}
    )


def _uses(params: dict[str, Any]) -> list[str]:
    definitions = [_MADE_BY[params["method"]]]
    return definitions + _uses_narrow(params) if params["method"] in OURS else definitions


records.declare(train_narrow, train_on_clusters, uses=_uses_narrow)
records.declare(low_dimensional, check=_check, uses=_uses)
