"""Factorised convolutional networks: GSNMF on a CNN's last hidden layer (Gui et al., 2017, section 3)."""

from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from clustlib._validation import check_integer, unit_rows
from clustlib.checkpoints import Checkpoint, content_hash
from clustlib.errors import UsageError
from clustlib.fcn.gsnmf import GSNMF


class FCN(TransformerMixin, BaseEstimator):
    """A pretrained CNN whose l2-normalised last hidden activations are factorised; optionally that layer is trained.

    With the defaults this is GSNMF-FCN-OTS, with ``l1=0, l2=0`` NMF-FCN, with ``fine_tune=True`` GSNMF-FCN-FT.

    Parameters
    ----------
    n_clusters : int or None
        Clusters of the fitted images for ``labels_``; None clusters nothing.
    network : {"efficientnet-lite0", "vgg16"}
        See :func:`clustlib.fcn.weights.pretrained`. The paper's is VGG-16.
    weights : {"imagenet", "random"}
    size : int
        Images are resized to this many pixels a side; the paper's 224.
    n_components, l1, l2, init, basis_norm, forget_factor, max_iter, tol, transform_iter, products
        Of the factorisation, see :class:`clustlib.GSNMF`. It is fitted to all images at once.
    fine_tune : bool
        After the factorisation, alternate (section 3.3): of each mini-batch compute the activations X, update W and H
        by Eq. (6), hold both and take a step of gradient descent on |X - H W|² in the last hidden layer.
    epochs, learning_rate, batch_size
        Of the fine-tuning; the paper gives 256 images and says nothing of the other two.
    random_state : int, RandomState or None
    device : str
    cache : path or None
        A folder that keeps extracted features by content.
    checkpoint : path or None
        A file, written during the factorisation and after every epoch; a killed fit resumes from it exactly.

    Attributes
    ----------
    embedding_ : (n_images, n_components)
        Coefficients of the fitted images.
    labels_ : (n_images,) int64
        Of k-means on the l2-normalised embedding, where ``n_clusters`` is given.
    factorisation_ : GSNMF
    network_ : the network, its last hidden layer as it was trained.
    history_ : list of dict
        ``{"stage": "factorise", "iteration", "objective", "seconds"}``, then
        ``{"stage": "fine-tune", "epoch", "loss"}`` with the mean over images of |x - h W|².

    References
    ----------
    Gui et al., "Factorized convolutional networks: unsupervised fine-tuning for image clustering", ICCVW 2017.
    """

    def __init__(
        self,
        n_clusters: int | None = None,
        *,
        network: str = "efficientnet-lite0",
        weights: str = "imagenet",
        size: int = 224,
        n_components: int = 1024,
        l1: float = 0.05,
        l2: float = 0.02,
        init: str = "nndsvd",
        basis_norm: str | None = "unit",
        forget_factor: float = 0.7,
        max_iter: int = 100,
        tol: float = 1e-4,
        transform_iter: int = 100,
        products: str = "float32",
        fine_tune: bool = False,
        epochs: int = 5,
        learning_rate: float = 0.01,
        batch_size: int = 256,
        random_state: Any = None,
        device: str = "auto",
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
        self.fine_tune = fine_tune
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.random_state = random_state
        self.device = device
        self.cache = cache
        self.checkpoint = checkpoint

    def fit(self, images: Any, y: Any = None) -> Self:
        """Learn from images (N, C, H, W), uint8 or float in 0..255, C 1 or 3.

        Raises
        ------
        ValueError : wrong rank, no images, NaN, fewer images than clusters, a setting that cannot be right.
        DataMissing : the network's weights are not on this machine.
        """
        return self.fit_features(self._extract(images))

    def transform(self, images: Any) -> np.ndarray:
        """Coefficients (N, n_components) of new images, the basis held fixed."""
        return self.transform_features(self._extract(images))

    def fit_features(self, features: np.ndarray) -> Self:
        """:meth:`fit` on features already extracted: activations (N, M), or with ``fine_tune`` the trunk's output."""
        from clustlib._validation import check_n_clusters

        self._check()
        if self.n_clusters is not None:
            check_n_clusters(self.n_clusters, len(features))
        self._load_network()
        X = unit_rows(self._activations(features))
        path = None if self.checkpoint is None else Path(self.checkpoint)
        settings = {name: getattr(self, name) for name in GSNMF().get_params() if hasattr(self, name)}
        settings |= {"batch_size": None, "checkpoint": path and path.with_name(f"{path.name}.factors")}
        self.factorisation_ = GSNMF(**settings).fit(X)
        self.history_: list[dict[str, Any]] = [
            {"stage": "factorise", **entry} for entry in self.factorisation_.history_
        ]
        if self.fine_tune:
            self._fine_tune(features, path)
        self.embedding_ = self.factorisation_.embedding_
        if self.n_clusters is not None:
            from clustlib.cluster.kmeans import KMeans

            found = KMeans(self.n_clusters, random_state=self.random_state).fit(unit_rows(self.embedding_))
            self.labels_ = found.labels_
        return self

    def transform_features(self, features: np.ndarray) -> np.ndarray:
        """:meth:`transform` on features already extracted."""
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        return self.factorisation_.transform(unit_rows(self._activations(features)))

    def _check(self) -> None:
        for name in ("epochs", "batch_size"):
            check_integer(name, getattr(self, name), 1)
        if not 0 < self.learning_rate < float("inf"):
            raise UsageError(f"learning_rate must be positive, got {self.learning_rate!r}")

    def _load_network(self) -> None:
        from clustlib.fcn.weights import pretrained

        self.network_ = pretrained(self.network, self.weights)

    def _extract(self, images: Any) -> np.ndarray:
        """What the factorisation is given: the activations, or what goes into the layer that is trained.

        The trunk never changes, so new images may pass through the fitted network's.
        """
        from clustlib.fcn.extraction import extract
        from clustlib.fcn.weights import pretrained

        network = pretrained(self.network, self.weights)
        return extract(images, network, size=self.size, hidden=self.fine_tune, device=self.device, cache=self.cache)

    def _activations(self, features: np.ndarray) -> np.ndarray:
        from clustlib.fcn.extraction import activations

        return activations(features, self.network_, self.device) if self.fine_tune else features

    def _fine_tune(self, hidden: np.ndarray, path: Path | None) -> None:
        from clustlib.fcn.fine_tuning import FineTuning

        identity: dict[str, Any] = {}
        if path is not None:
            kept = ("device", "cache", "checkpoint", "epochs", "n_clusters", "random_state")
            settings = {name: value for name, value in self.get_params().items() if name not in kept}
            identity = {**settings, "random_state": str(self.random_state), "data": content_hash(hidden)}
        tuning = FineTuning(self, hidden, Checkpoint(path, identity))
        self.history_ += tuning.run()
        self.factorisation_.embedding_ = tuning.H.cpu().numpy()
        self.factorisation_.components_ = tuning.W.cpu().numpy()
