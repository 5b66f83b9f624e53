"""Factorised convolutional networks: GSNMF on a CNN's last hidden layer (Gui et al., 2017, section 3)."""

import os
import warnings
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from clustlib._validation import (
    check_n_clusters,
    check_numbers,
    check_parameters,
    choices,
    integers,
    numbers,
    unit_rows,
    whole,
)
from clustlib.checkpoints import Checkpoint, content_hash, identity
from clustlib.errors import DataCorrupt, UsageError
from clustlib.fcn.gsnmf import CONSTRAINTS, GSNMF
from clustlib.saving import System, state_of, weights_of


class FCN(System, TransformerMixin, BaseEstimator):
    """A pretrained CNN whose l2-normalised last hidden activations are factorised; optionally that layer is trained.

    With the defaults this is GSNMF-FCN-OTS, with ``l1=0, l2=0`` NMF-FCN, with ``fine_tune=True`` GSNMF-FCN-FT. The
    book's tables have the paper's ``n_components=1024`` and ``init="nndsvd"``, and ``transform_iter=50``. The defaults
    do not: with those the clusters of a few hundred photographs are far worse than the activations' own.

    Parameters
    ----------
    n_clusters : int or None
        Clusters of the fitted images for ``labels_``; None clusters nothing.
    network : {"efficientnet-lite0", "efficientnet-lite2", "squeezenet", "vgg16"}
        See :func:`clustlib.fcn.weights.pretrained`. The paper's is VGG-16.
    weights : {"imagenet", "random"}
    size : int
        Images are resized to this many pixels a side; the paper's 224.
    n_components : int or None
        L. None: a quarter of the activations, as the paper's 1,024 are of VGG-16's, and no more than there are images.
    transform_iter : int
        Updates of an image's coefficients with the basis fixed, for the fitted images as for new ones. 0 leaves X Wᵀ,
        the one product that "fed forward" can mean.
    compare : {"span", "coefficients"}
        What k-means compares images by: the part of their l2-normalised activations that the basis spans, which loses
        nothing that the basis can express, or the coefficients, as the paper does.
    l1, l2, init, basis_norm, forget_factor, max_iter, tol, products
        Of the factorisation, see :class:`clustlib.GSNMF`. It is fitted to all images at once.
    fine_tune : bool
        After the factorisation, alternate (section 3.3): of each mini-batch compute the activations X, update W and H
        by Eq. (6), hold both and take a step of gradient descent on |X - H W|² in the last hidden layers.
    fine_tune_layers : {1, 2}
        How many of the last hidden layers are trained. 1: VGG-16's fc7, as in the paper's tables, SqueezeNet's two last
        expansions, the last convolution of the others. 2: the layer below as well, which are fc6, the squeeze before
        the expansions, the last inverted residual.
    epochs, learning_rate, batch_size
        Of the fine-tuning; the paper gives 256 images and says nothing of the other two.
    random_state : int, RandomState or None
    device : str
    engine : {"auto", "openvino", "torch"}
        What extracts features on a processor, see :func:`clustlib.fcn.extraction.extract`.
    cache : path or None
        A folder that keeps extracted features by content.
    checkpoint : path or None
        A file, written during the factorisation and after every epoch; a killed fit resumes from it exactly.

    Attributes
    ----------
    embedding_ : (n_images, n_components)
        Coefficients of the fitted images, found as a new image's are. Those that the updates of both factors left are
        ``factorisation_.embedding_``.
    labels_ : (n_images,) int64; cluster_centers_ : (n_clusters, at most n_components)
        Of k-means on the l2-normalised rows that ``compare`` names, where ``n_clusters`` is given.
    factorisation_ : GSNMF
    network_ : the network, its last hidden layers as they were trained.
    history_ : list of dict
        ``{"stage": "factorise", "iteration", "objective", "seconds"}``, then
        ``{"stage": "fine-tune", "epoch", "loss"}`` with the mean over images of |x - h W|², then, with ``n_clusters``,
        ``{"stage": "cluster", "of", "labels", "inertia"}`` for k-means on the l2-normalised "activations" as they are
        and on what ``compare`` names: where the two differ much, look at both.

    Warns
    -----
    UserWarning : more components are asked for than images or activations can fill, so that nothing is condensed.

    References
    ----------
    Gui et al., "Factorized convolutional networks: unsupervised fine-tuning for image clustering", WACV 2018.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **{name: rule for name, rule in CONSTRAINTS.items() if name != "l21"},
        "n_clusters": [integers(1), None],
        "n_components": [integers(1), None],
        "network": "no_validation",  # clustlib.fcn.weights.pretrained names what it knows
        "weights": "no_validation",
        "size": [integers(32)],
        "compare": [choices("span", "coefficients")],
        "fine_tune": ["boolean"],
        "fine_tune_layers": [integers(1, 2)],
        "epochs": [integers(1)],
        "learning_rate": [numbers(0, closed="neither")],
        "batch_size": [integers(1)],
        "engine": [choices("auto", "openvino", "torch")],
        "cache": [str, os.PathLike, None],
    }

    def __init__(
        self,
        n_clusters: int | None = None,
        *,
        network: str = "efficientnet-lite0",
        weights: str = "imagenet",
        size: int = 224,
        n_components: int | None = None,
        l1: float = 0.05,
        l2: float = 0.02,
        init: str = "random",
        basis_norm: str | None = "unit",
        forget_factor: float = 0.7,
        max_iter: int = 50,
        tol: float = 1e-4,
        transform_iter: int = 0,
        products: str = "float32",
        compare: str = "span",
        fine_tune: bool = False,
        fine_tune_layers: int = 1,
        epochs: int = 5,
        learning_rate: float = 0.01,
        batch_size: int = 256,
        random_state: Any = None,
        device: str = "auto",
        engine: Literal["auto", "openvino", "torch"] = "auto",
        cache: str | Path | None = None,
        checkpoint: str | Path | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.network = network
        self.weights = weights
        self.size = size
        self.n_components = n_components
        self.l1 = l1
        self.l2 = l2
        self.init = init
        self.basis_norm = basis_norm
        self.forget_factor = forget_factor
        self.max_iter = max_iter
        self.tol = tol
        self.transform_iter = transform_iter
        self.products = products
        self.compare = compare
        self.fine_tune = fine_tune
        self.fine_tune_layers = fine_tune_layers
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.random_state = random_state
        self.device = device
        self.engine = engine
        self.cache = cache
        self.checkpoint = checkpoint

    @whole
    def fit(self, images: Any, y: Any = None) -> Self:
        """Learn from images (N, C, H, W), uint8 or floats in 0..1, C 1 or 3; an ``ImageSet``, or a folder of files.

        Raises
        ------
        ValueError : wrong rank, no images, NaN, fewer images than clusters, a setting that cannot be right.
        DataMissing : the network's weights are not on this machine.
        PackageMissing : OpenVINO is asked for and not installed.
        """
        check_parameters(self)
        return self.fit_features(self._extract(images))

    def transform(self, images: Any) -> np.ndarray:
        """Coefficients (N, n_components) of new images, the basis held fixed."""
        check_is_fitted(self)
        return self.transform_features(self._extract(images))

    @whole
    def fit_features(self, features: np.ndarray) -> Self:
        """:meth:`fit` on features already extracted: activations (N, M), or with ``fine_tune`` the trunk's output."""
        check_parameters(self)
        features = features if self.fine_tune else check_numbers(features, name="features")
        if self.n_clusters is not None:
            check_n_clusters(self.n_clusters, len(features))
        self._load_network()
        X = unit_rows(self._activations(features))
        path = Checkpoint(self.checkpoint, {}).path
        factors = path and path.with_name(f"{path.name}.factors")
        self.factorisation_ = GSNMF(**self._settings(self._length(X)), checkpoint=factors).fit(X)
        self.history_: list[dict[str, Any]] = [
            {"stage": "factorise", **entry} for entry in self.factorisation_.history_
        ]
        if self.fine_tune:
            self._fine_tune(features, path)
        self.embedding_ = self.transform_features(features)
        if self.n_clusters is not None:
            self._cluster(X, self._rows(features), self.n_clusters)
        return self

    def _length(self, X: np.ndarray) -> int:
        """L for activations X (N, M)."""
        if self.n_components is None:
            return max(1, min(len(X), X.shape[1] // 4))
        if self.n_components > min(X.shape):
            warnings.warn(
                f"{self.n_components:,} components are more than {len(X):,} images of {X.shape[1]:,} activations can "
                "fill: the factorisation condenses nothing, and k-means on the activations may do better",
                stacklevel=4,
            )
        return self.n_components

    def _cluster(self, activations: np.ndarray, rows: np.ndarray, n_clusters: int) -> None:
        """k-means on the activations as they are, and on the rows whose clusters are kept."""
        from clustlib.cluster.kmeans import KMeans

        for name, compared in {"activations": activations, self.compare: rows}.items():
            kmeans = KMeans(n_clusters, random_state=self.random_state).fit(compared)
            labels, inertia = kmeans.labels_, float(kmeans.inertia_)
            self.history_.append({"stage": "cluster", "of": name, "labels": labels, "inertia": inertia})
        self.labels_, self.cluster_centers_ = kmeans.labels_, kmeans.cluster_centers_

    def _rows(self, features: np.ndarray) -> np.ndarray:
        """What k-means compares, l2-normalised (N, at most n_components)."""
        if self.compare == "coefficients":
            return unit_rows(self.transform_features(features))
        from scipy.linalg import orth

        span = orth(self.factorisation_.components_.T.astype(np.float64)).astype(np.float32)
        return unit_rows(unit_rows(self._activations(features)) @ span)

    def predict(self, images: Any) -> np.ndarray:
        """The clusters (N,) int64 of new images: the nearest centre of each one's row that ``compare`` names."""
        from sklearn.metrics import pairwise_distances_argmin

        check_is_fitted(self)
        if not hasattr(self, "cluster_centers_"):
            raise UsageError("n_clusters=None clusters nothing: fit with a number of clusters to predict")
        rows = self._rows(self._extract(images))
        return pairwise_distances_argmin(rows, self.cluster_centers_).astype(np.int64)

    def transform_features(self, features: np.ndarray) -> np.ndarray:
        """:meth:`transform` on features already extracted."""
        check_is_fitted(self)
        features = features if self.fine_tune else check_numbers(features, reset=False, name="features")
        return self.factorisation_.transform(unit_rows(self._activations(features)))

    def _settings(self, n_components: int) -> dict[str, Any]:
        """Those of the factorisation."""
        own = ("n_components", "batch_size", "checkpoint")
        same = [name for name in GSNMF().get_params() if hasattr(self, name) and name not in own]
        return {"n_components": n_components, **{name: getattr(self, name) for name in same}}

    def _load_network(self) -> None:
        self.network_ = self._pretrained()

    def _pretrained(self) -> Any:
        """The network as it comes, its head the layers that are trained where any are."""
        from clustlib.fcn.weights import pretrained

        network: Any = pretrained(self.network, self.weights)
        network.trained_layers = self.fine_tune_layers if self.fine_tune else 1
        return network

    def _extract(self, images: Any) -> np.ndarray:
        """What the factorisation is given: the activations, or what goes into the layers that are trained.

        The trunk never changes, so new images may pass through the fitted network's.
        """
        from clustlib.fcn.extraction import extract

        network = self._pretrained()
        how: dict[str, Any] = {"device": self.device, "engine": self.engine, "cache": self.cache}
        return extract(images, network, size=self.size, hidden=self.fine_tune, **how)

    def _activations(self, features: np.ndarray) -> np.ndarray:
        from clustlib.fcn.extraction import activations

        return activations(features, self.network_, self.device) if self.fine_tune else features

    def _fine_tune(self, hidden: np.ndarray, path: Path | None) -> None:
        from clustlib.fcn.fine_tuning import FineTuning

        # a fit of one layer is that of a checkpoint that is older than the setting
        beside = ("epochs", "n_clusters", "engine", *(["fine_tune_layers"] if self.fine_tune_layers == 1 else []))
        same = {} if path is None else identity(self, beside, data=content_hash(hidden))
        tuning = FineTuning(self, hidden, Checkpoint(path, same))
        self.history_ += tuning.run()
        self.factorisation_.embedding_ = tuning.H.cpu().numpy()
        self.factorisation_.components_ = tuning.W.cpu().numpy()

    def _fitted(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Of the network only the layers that are trained: the rest comes with its weights."""
        arrays = {"components": self.factorisation_.components_, **weights_of(self.network_.last_hidden)}
        if hasattr(self, "cluster_centers_"):
            arrays["cluster_centers"] = self.cluster_centers_
        return {}, arrays

    def _try_out(self) -> None:
        """The widths alone: an image would go through the whole network, and into the cache."""
        basis, width = self.factorisation_.components_, self.network_.n_features
        centres = getattr(self, "cluster_centers_", basis).shape[1:]
        if basis.shape[1:] != (width,) or basis.min() < 0 or centres not in ((width,), (len(basis),)):
            raise DataCorrupt(f"its basis {basis.shape} or its centres do not fit {width} activations")

    def _restore(self, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self._load_network()
        self.network_.last_hidden.load_state_dict(state_of(arrays))
        self.factorisation_ = GSNMF(**self._settings(len(arrays["components"])))
        self.factorisation_.components_ = arrays["components"]
        self.factorisation_.n_features_in_ = arrays["components"].shape[1]
        if "cluster_centers" in arrays:
            self.cluster_centers_ = arrays["cluster_centers"]
