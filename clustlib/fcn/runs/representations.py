"""The rows of the FCN paper's tables: what each makes of a split's CNN features (section 4.2).

A function here takes a split and the run's parameters by name, learns from ``split.learn`` and returns the features of
both parts and what else is worth keeping; ``represent`` is the run that the tables share.
"""

import importlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clustlib import records
from clustlib.checkpoints import checkpoint_of
from clustlib.fcn.runs import protocol
from clustlib.fcn.runs.protocol import STAND_IN_CNN, Split
from clustlib.records.runs import bind

_HERE = "clustlib.fcn.runs.representations"
METHODS = {
    "CNN": f"{_HERE}:cnn_features",
    "PCA-CNN": f"{_HERE}:pca",
    "LLE-CNN": f"{_HERE}:locally_linear",
    "AE-CNN": f"{_HERE}:autoencoder",
    "NNAE-CNN": f"{_HERE}:nonnegative_autoencoder",
    "EP-CNN": f"{_HERE}:ensemble_projection",
    "NMF-FCN": f"{_HERE}:nmf_fcn",
    "GSNMF-FCN-OTS": f"{_HERE}:gsnmf_fcn",
    "GSNMF-FCN-FT": f"{_HERE}:fine_tuned_fcn",
}
FACTORISED = ("NMF-FCN", "GSNMF-FCN-OTS", "GSNMF-FCN-FT")
SEEDED = ("LLE-CNN", "AE-CNN", "NNAE-CNN", "EP-CNN", "GSNMF-FCN-FT")  # the others are the same for every seed
LLE_LIMIT = 5000  # samples: the eigenproblem of locally linear embedding is dense in them
_OF_FACTORISATION = (
    *("l1", "l2", "l21", "init", "basis_norm", "batch_size", "forget_factor"),
    *("max_iter", "transform_iter", "products", "epochs"),
)


@dataclass
class Represented:
    """Features of both parts, (N, L) float32, and the fit's history (passes or epochs)."""

    learn: np.ndarray
    cluster: np.ndarray
    history: list[float] = field(default_factory=list)


def represent(
    dataset: str,
    method: str,
    seed: int = 0,
    cnn: str = STAND_IN_CNN,
    size: int = 224,
    n_components: int = 1024,
    l1: float = 0.05,
    l2: float = 0.02,
    l21: float = 0.0,
    init: str = "nndsvd",
    basis_norm: str | None = "unit",
    batch_size: int | None = None,
    forget_factor: float = 0.7,
    max_iter: int = 50,
    transform_iter: int = 50,
    products: str = "float32",
    epochs: int = 5,
    learning_rate: float = 0.01,
    fine_tune_layers: int = 1,
    ae_epochs: int = 200,
    ae_patience: int | None = 20,
    ep_sets: int = 100,
    n_images: int | None = None,
    n_learn: int | None = None,
    device: str = "auto",
) -> dict[str, np.ndarray]:
    """Learn a representation from the one part of a data set and apply it to both.

    Parameters
    ----------
    ae_patience : epochs without a smaller held-out error after which an auto-encoder stops; None trains all of them.
    The others are those of the methods' estimators.

    Returns
    -------
    ``learn`` (N, L) float32; ``cluster`` (N', L), absent where both parts are the same images; ``history``
    (passes,): the objective (factorisations) or the loss (auto-encoders), with fine-tuning the loss per image after
    the objectives; ``seconds`` (): of learning and applying, without the extraction of the CNN features.
    """
    params = dict(locals())
    split = protocol.split(dataset, n_images, n_learn)
    module, name = METHODS[method].split(":")
    _extract(split, method, params)
    clock = time.perf_counter()
    found = getattr(importlib.import_module(module), name)(split, params)
    seconds = np.array(time.perf_counter() - clock)
    _forget(checkpoint_of(represent, params))
    made = {"learn": found.learn, "history": np.asarray(found.history, np.float64)}
    if split.cluster is not split.learn:
        made["cluster"] = found.cluster
    return {**made, "seconds": seconds}


def _forget(checkpoint: Path) -> None:
    """Remove the checkpoint of a fit that has ended, and that of its factorisation: 200 MB each on MNIST."""
    for file in (checkpoint, checkpoint.with_name(f"{checkpoint.name}.factors")):
        file.unlink(missing_ok=True)


def _uses(params: dict[str, Any]) -> list[str]:
    """The code that the chosen method adds to a run's sources."""
    return [METHODS[params["method"]]]


def settings_of(dataset: str, method: str, **settings: Any) -> dict[str, Any]:
    """All parameters of :func:`represent`: those that are given, and the defaults of the rest.

    What the method does not read is at its default too, so that runs that are the same share one artifact.
    """
    standard = bind(represent, {"dataset": dataset, "method": method})
    params = bind(represent, {"dataset": dataset, "method": method, **settings})
    unread: list[str] = []
    if method not in FACTORISED:
        unread += _OF_FACTORISATION
    if method != "GSNMF-FCN-FT":
        unread += ["epochs", "learning_rate", "fine_tune_layers"]
    if method in ("CNN", "EP-CNN"):
        unread.append("n_components")
    if method not in ("AE-CNN", "NNAE-CNN"):
        unread += ["ae_epochs", "ae_patience"]
    if method != "EP-CNN":
        unread.append("ep_sets")
    if method not in SEEDED and not (params["batch_size"] or params["init"] == "random"):
        unread.append("seed")
    params |= {name: standard[name] for name in unread}
    return params | ({"l1": 0.0, "l2": 0.0, "l21": 0.0} if method == "NMF-FCN" else {})


def _extract(split: Split, method: str, params: dict[str, Any]) -> None:
    """Have the CNN features in the cache before the clock starts."""
    for part in {id(part): part for part in (split.learn, split.cluster)}.values():
        _features(part, params, hidden=params["fine_tune_layers"] if method == "GSNMF-FCN-FT" else 0)


def _features(part: protocol.Part, params: dict[str, Any], hidden: int = 0) -> np.ndarray:
    return protocol.features(part, params["cnn"], params["size"], hidden, params["device"])


def _unit(split: Split, params: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """l2-normalised CNN features of both parts (section 3.3)."""
    from clustlib._validation import unit_rows

    learn = unit_rows(_features(split.learn, params))
    return learn, learn if split.cluster is split.learn else unit_rows(_features(split.cluster, params))


def cnn_features(split: Split, params: dict[str, Any]) -> Represented:
    """The last hidden layer's activations as they are."""
    learn, cluster = (np.asarray(_features(part, params)) for part in (split.learn, split.cluster))
    return Represented(learn, cluster)


def pca(split: Split, params: dict[str, Any]) -> Represented:
    """Principal components, as many as there are images to learn from or activations where more are asked for."""
    from sklearn.decomposition import PCA

    learn, cluster = _unit(split, params)
    return _applied(PCA(min(params["n_components"], *learn.shape), svd_solver="full"), learn, cluster)


def locally_linear(split: Split, params: dict[str, Any]) -> Represented:
    """Locally linear embedding with 12 neighbours; of at most ``LLE_LIMIT`` samples, as many as can be solved densely.

    The paper's 1,024 dimensions are cut to one less than the samples.
    """
    from sklearn.manifold import LocallyLinearEmbedding

    learn, cluster = _unit(split, params)
    used = np.random.default_rng(params["seed"]).permutation(len(learn))[:LLE_LIMIT]
    model = LocallyLinearEmbedding(
        n_neighbors=12, n_components=min(params["n_components"], len(used) - 1), eigen_solver="dense"
    ).fit(learn[np.sort(used)])
    embedding = model.transform(learn)
    return Represented(embedding, embedding if cluster is learn else model.transform(cluster))


def autoencoder(split: Split, params: dict[str, Any], nonnegative: bool = False) -> Represented:
    """A linear auto-encoder's code."""
    from clustlib.fcn.linear_autoencoder import LinearAutoencoder

    model = LinearAutoencoder(
        params["n_components"],
        nonnegative=nonnegative,
        epochs=params["ae_epochs"],
        patience=params["ae_patience"],
        random_state=params["seed"],
        device=params["device"],
    )
    represented = _applied(model, *_unit(split, params))
    represented.history = [entry["loss"] for entry in model.history_]
    return represented


def nonnegative_autoencoder(split: Split, params: dict[str, Any]) -> Represented:
    """The same with non-negative weights."""
    return autoencoder(split, params, nonnegative=True)


def ensemble_projection(split: Split, params: dict[str, Any]) -> Represented:
    """100 sets of 30 prototypes: 3,000 dimensions."""
    from clustlib.fcn.ensemble_projection import EnsembleProjection

    return _applied(EnsembleProjection(params["ep_sets"], random_state=params["seed"]), *_unit(split, params))


def gsnmf_fcn(split: Split, params: dict[str, Any]) -> Represented:
    """GSNMF on the frozen features."""
    from clustlib.fcn.gsnmf import GSNMF

    names = [name for name in GSNMF().get_params() if name in params]
    checkpoint = checkpoint_of(represent, params)
    model = GSNMF(**{name: params[name] for name in names}, random_state=params["seed"], checkpoint=checkpoint)
    learn, cluster = _unit(split, params)
    model.fit(learn)
    coefficients = model.transform(learn)  # as a new image's are found: a classifier must see one kind of feature
    history = [entry["objective"] for entry in model.history_]
    return Represented(coefficients, coefficients if cluster is learn else model.transform(cluster), history)


def nmf_fcn(split: Split, params: dict[str, Any]) -> Represented:
    """The same without penalties."""
    return gsnmf_fcn(split, {**params, "l1": 0.0, "l2": 0.0, "l21": 0.0})


def fine_tuned_fcn(split: Split, params: dict[str, Any]) -> Represented:
    """GSNMF and the last hidden layers, trained in turns."""
    from clustlib.fcn.estimator import FCN

    names = [name for name in FCN().get_params() if name in params and name != "batch_size"]
    model = FCN(
        **{name: params[name] for name in names},
        network=params["cnn"],
        fine_tune=True,
        random_state=params["seed"],
        checkpoint=checkpoint_of(represent, params),
    )
    layers = params["fine_tune_layers"]
    inner = _features(split.learn, params, hidden=layers)
    model.fit_features(inner)
    coefficients = model.transform_features(inner)
    other = _features(split.cluster, params, hidden=layers)
    cluster = coefficients if split.cluster is split.learn else model.transform_features(other)
    history = [float(entry["objective" if entry["stage"] == "factorise" else "loss"]) for entry in model.history_]
    return Represented(coefficients, cluster, history)


def _applied(model: Any, learn: np.ndarray, cluster: np.ndarray) -> Represented:
    model.fit(learn)
    features = np.asarray(model.transform(learn), np.float32)
    return Represented(features, features if cluster is learn else np.asarray(model.transform(cluster), np.float32))


records.declare(represent, uses=_uses)
