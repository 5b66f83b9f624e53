"""The four systems and k-means on a folder's images: fitted, capped where a small folder asks for it, kept, used again.

Every one of them gives each image a place in a space of its own (``embed``); new images join the cluster of their
neighbours there. What is kept are arrays, a network's weights and settings as JSON.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from clustlib._validation import unit_rows
from clustlib.images.grouping import rows_of

_LEAST_STEPS = 200  # of JULE in all: 500 images of 64 pixels end within 3 minutes on two cores; 20 epochs are 100
Embed = Callable[[np.ndarray], np.ndarray]


class Fitted(NamedTuple):
    """Clusters and what made them.

    Attributes
    ----------
    labels : (n,) int64.
    embedding : (n, d) float32; what new images are compared with.
    settings : JSON values that ``embed`` needs beside the arrays.
    arrays : name to array.
    weights : the state of a network, or None.
    notes : one sentence for each setting that a small folder did not allow.
    """

    labels: np.ndarray
    embedding: np.ndarray
    settings: dict[str, Any]
    arrays: dict[str, np.ndarray]
    weights: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class System:
    """``fit(images or vectors, k, seed, checkpoint, device)``; ``embedder`` makes ``embed`` of what was kept.

    ``reads`` is "vectors" (activations or pixels, as they are kept) or "images" (N, C, H, W) uint8.
    """

    reads: str
    fit: Callable[..., Fitted]
    embedder: Callable[[dict[str, Any], dict[str, np.ndarray], dict[str, Any] | None], Embed]


def kmeans(vectors: np.ndarray, k: int, seed: int, checkpoint: Path | None = None, device: str = "auto") -> Fitted:
    """K-means on the unit rows."""
    from clustlib.cluster.kmeans import KMeans

    rows = rows_of(vectors)
    return Fitted(KMeans(k, random_state=seed).fit(rows).labels_, rows, {}, {})


def _rows(settings: dict[str, Any], arrays: dict[str, np.ndarray], weights: dict[str, Any] | None) -> Embed:
    return rows_of


def gsnmf(vectors: np.ndarray, k: int, seed: int, checkpoint: Path | None = None, device: str = "auto") -> Fitted:
    """GSNMF on the l2-normalised activations (GSNMF-FCN-OTS) from a random start, then k-means on the coefficients."""
    from clustlib.cluster.kmeans import KMeans
    from clustlib.fcn.gsnmf import GSNMF

    rows = unit_rows(vectors)
    wanted, length = 1024, max(k, min(1024, len(rows) // 2, rows.shape[1]))
    notes = () if length == wanted else (f"GSNMF takes {length} components in place of {wanted:,}: {len(rows)} images",)
    how: dict[str, Any] = {"init": "random", "max_iter": 100, "transform_iter": 100, "random_state": seed}
    model = GSNMF(length, **how, device=device, checkpoint=checkpoint).fit(rows)
    embedding = unit_rows(model.embedding_)
    kmeans = KMeans(k, random_state=seed).fit(embedding)
    settings = {name: getattr(model, name) for name in ("l1", "l2", "transform_iter")}
    return Fitted(kmeans.labels_, embedding, settings, {"components": model.components_}, None, notes)


def _coefficients(settings: dict[str, Any], arrays: dict[str, np.ndarray], weights: dict[str, Any] | None) -> Embed:
    from clustlib.fcn.gsnmf import GSNMF

    basis = arrays["components"]
    model = GSNMF(len(basis), **settings, device="cpu")
    model.components_, model.n_features_in_ = basis, basis.shape[1]
    return lambda vectors: unit_rows(model.transform(unit_rows(vectors)))


def jule(images: np.ndarray, k: int, seed: int, checkpoint: Path | None = None, device: str = "auto") -> Fitted:
    """JULE, as in its paper but for what few images ask for: another start, and more epochs where steps are few."""
    from clustlib.jule.estimator import JULE
    from clustlib.jule.unrolling import periods_of

    usual = JULE()
    start, begun, notes = _start(images, k, usual)
    steps = periods_of(begun, k, usual.unrolling_rate) * -(-len(images) // usual.batch_size)
    epochs = max(usual.epochs, -(-_LEAST_STEPS // max(steps, 1)))
    if epochs > usual.epochs:
        notes += (f"JULE trains {epochs} epochs a period in place of {usual.epochs}: {len(images)} images",)
    how: dict[str, Any] = {"start": start, "epochs": epochs, "random_state": seed}
    model = JULE(k, **how, checkpoint=checkpoint, device=device).fit(images)
    settings = {"shape": list(images.shape[1:])}
    return Fitted(model.labels_, model.embedding_, settings, {}, model.network_.state_dict(), notes)


def _start(images: np.ndarray, k: int, usual: Any) -> tuple[str, int, tuple[str, ...]]:
    """Where JULE begins (section 3.6), with how many clusters, and why not as usual: it trains from more than k."""
    from clustlib.jule.unrolling import INITIAL_SIZE
    from clustlib.kernels import affinity_graph, initial_clusters

    rows, n = unit_rows(images), len(images)
    near = int(initial_clusters(affinity_graph(rows, min(usual.n_neighbors, n - 1), usual.a)).max()) + 1
    if near > k:
        return "neighbours", near, ()
    start, begun = ("kmeans", -(-n // INITIAL_SIZE)) if n > INITIAL_SIZE * k else ("singletons", n)
    return start, begun, (f"JULE begins with {begun:,} clusters ({start}) in place of {near}, of neighbours: k is {k}",)


def _jule_features(settings: dict[str, Any], arrays: dict[str, np.ndarray], weights: dict[str, Any] | None) -> Embed:
    from clustlib.jule.estimator import JULE
    from clustlib.jule.network import JuleNet

    model = JULE(device="cpu")
    model.image_shape_ = tuple(settings["shape"])
    model.network_ = JuleNet(*model.image_shape_)
    model.network_.load_state_dict(weights)
    model.network_.eval()
    return model.transform


def dbc(images: np.ndarray, k: int, seed: int, checkpoint: Path | None = None, device: str = "auto") -> Fitted:
    """DBC; stage I is shorter and its code whitened on fewer directions where there are few images."""
    from clustlib.dbc.estimator import DBC
    from clustlib.dbc.features import FCAEFeatures

    defaults = FCAEFeatures()
    notes = []
    whiten = defaults.whiten
    if isinstance(whiten, int) and whiten >= len(images):
        whiten = max(1, len(images) // 2)
        notes.append(f"DBC whitens {whiten} directions of its code in place of {defaults.whiten}: {len(images)} images")
    features = FCAEFeatures(whiten=whiten, epochs=min(defaults.epochs, 60), random_state=seed)
    model = DBC(k, features=features, random_state=seed, checkpoint=checkpoint, device=device).fit(images)
    facts: dict[str, Any] = {
        "shape": list(images.shape[1:]),
        "scaling": model.features_.scaling,
        "code": model.features_.code,
    }
    facts |= {"radius": model.radius}
    return Fitted(model.labels_, model.embedding_, facts, {}, model.model_.state_dict(), tuple(notes))


def _dbc_codes(settings: dict[str, Any], arrays: dict[str, np.ndarray], weights: dict[str, Any] | None) -> Embed:
    import torch

    from clustlib.dbc.estimator import DBC
    from clustlib.dbc.features import FCAEFeatures
    from clustlib.dbc.linear_code import with_code
    from clustlib.dbc.network import FCAE

    assert weights is not None
    plain = FCAE(tuple(settings["shape"]), code=settings["code"])
    network = with_code(plain, torch.zeros(plain.code_length, len(weights["features.0.weight"]), dtype=torch.double))
    network.load_state_dict(weights)
    model = DBC(radius=settings["radius"], device="cpu")
    model.features_, model.model_ = FCAEFeatures(scaling=settings["scaling"]), network.eval()
    return model.transform


def deepcluster(images: np.ndarray, k: int, seed: int, checkpoint: Path | None = None, device: str = "auto") -> Fitted:
    """DeepCluster with a quarter of AlexNet's filters; fewer components of its features where there are few images."""
    from clustlib.deepcluster.estimator import DeepCluster

    wanted, most = 64, max(1, min(len(images) - 1, len(images) // 4))
    notes: tuple[str, ...] = ()
    if most < wanted:
        notes = (f"DeepCluster keeps {most} components of its features in place of {wanted}: {len(images)} images",)
    options = {"width": 0.25, "kernel": 5, "stride": 2 if images.shape[2] >= 48 else 1}
    model = DeepCluster(
        k,
        network_options=options,
        epochs=30,
        batch_size=min(64, len(images)),
        n_components=min(wanted, most),
        random_state=seed,
        checkpoint=checkpoint,
        device=device,
    ).fit(images)
    settings = {
        "shape": list(images.shape[1:]),
        "options": options,
        "size": _crop(images),
        "outputs": model.network_.head.out_features,
    }
    whitening = {"mean": model.whitening_.mean.cpu().numpy(), "matrix": model.whitening_.matrix.cpu().numpy()}
    return Fitted(model.labels_, model.embedding_, settings, whitening, model.network_.state_dict(), notes)


def _crop(images: np.ndarray) -> int:
    from clustlib.networks.crops import central_box

    return central_box(*images.shape[2:])[2]


def _deepcluster_features(
    settings: dict[str, Any], arrays: dict[str, np.ndarray], weights: dict[str, Any] | None
) -> Embed:
    import torch

    from clustlib.deepcluster.estimator import DeepCluster
    from clustlib.deepcluster.network import AlexNetSobel
    from clustlib.kernels.whitening import Whitening

    assert weights is not None
    network = AlexNetSobel(settings["size"], **settings["options"])
    network.new_head(settings["outputs"])
    network.load_state_dict(weights)
    model = DeepCluster(device="cpu")
    model.network_, model._device = network, torch.device("cpu")
    model.whitening_ = Whitening(torch.from_numpy(arrays["mean"]), torch.from_numpy(arrays["matrix"]))
    return model.transform


SYSTEMS = {
    "kmeans": System("vectors", kmeans, _rows),
    "gsnmf": System("vectors", gsnmf, _coefficients),
    "jule": System("images", jule, _jule_features),
    "dbc": System("images", dbc, _dbc_codes),
    "deepcluster": System("images", deepcluster, _deepcluster_features),
}
