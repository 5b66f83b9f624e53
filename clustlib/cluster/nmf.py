"""Clustering by matrix factorisation, rows "NMF-LP" and "NMF-D" of JULE's tables."""

from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils import check_random_state

from clustlib._arrays import shown
from clustlib._validation import check_features, check_integer, check_parameters, choices, integers, numbers
from clustlib.cluster._rows import in_units, measured_in, settled
from clustlib.errors import UsageError

_LEAST = 1e-3  # where the largest number is smaller, the floors under denominators could be felt


class LocalityPreservingNMF(ClusterMixin, BaseEstimator):
    """Cai et al.'s LPNMF: X ≈ V U' under the KL divergence, with V smooth along a nearest-neighbour graph.

    Objective: Σ_i w_i D(x_i || U v_i) + ``alpha`` Σ_k v_k' L log v_k, whose second term is the symmetrised KL
    divergence between the codes of neighbours. k-means on the codes V gives the labels.

    Parameters
    ----------
    n_clusters : int
    variant : {"published", "released"}
        "published": ``alpha`` 100, ``n_components`` = ``n_clusters``, w_i = 1, at most 300 iterations. "released":
        ``alpha`` 0, which leaves no locality at all, 10 components for every data set, w_i = 1 / x_i'(Σ_j x_j)
        (normalised-cut weights), 50 iterations.
    n_components, alpha, max_iter : int, float, int or None
        None: as the variant says.
    n_neighbors : int
        Of the 0/1 graph, made symmetric.
    n_init : int
        Starts (k-means centres); after 30 iterations the best goes on alone.
    tol : float
        "published" ends when an iteration changes the objective by a smaller share.
    random_state : int, RandomState or None

    Attributes
    ----------
    labels_ : (n_samples,) int64
    embedding_ : (n_samples, n_components) float64
        V, with the columns of U scaled to unit length.
    components_ : (n_features, n_components) float64
        U.
    n_iter_ : int
    history_ : list of dict
        ``{"iteration", "objective", "divergence", "roughness"}`` of the start that was kept.

    Notes
    -----
    With ``alpha`` above 0 the authors replace log(a / b) by 1 - b / a in V's update, so the objective is not bound to
    fall in every iteration; with ``alpha`` 0 it is.

    References
    ----------
    Cai, He, Wang, Bao, Han, "Locality preserving nonnegative matrix factorization", IJCAI 2009.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_clusters": [integers(1)],
        "variant": [choices("published", "released")],
        "n_components": [integers(1), None],
        "alpha": [numbers(0), None],
        "n_neighbors": [integers(1)],
        "n_init": [integers(1)],
        "max_iter": [integers(1), None],
        "tol": [numbers(0)],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        variant: Literal["published", "released"] = "published",
        n_components: int | None = None,
        alpha: float | None = None,
        n_neighbors: int = 5,
        n_init: int = 10,
        max_iter: int | None = None,
        tol: float = 1e-5,
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.variant = variant
        self.n_components = n_components
        self.alpha = alpha
        self.n_neighbors = n_neighbors
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Cluster ``X`` of shape (n_samples, n_features), no value below 0.

        Raises
        ------
        ValueError
            Negative, NaN or infinite values, wrong rank, fewer samples than clusters or components, no more samples
            than ``n_neighbors`` where the graph is used, unknown variant, ``n_init`` or ``max_iter`` below 1.
        """
        from clustlib.cluster._kl_nmf import KLFactors, best_start, normalised_cut_weights, zero_one_laplacian
        from clustlib.cluster.kmeans import KMeans

        check_parameters(self)
        released = self.variant == "released"
        X = check_features(X, self.n_clusters, nonnegative=True, estimator=self)
        rank = self.n_components if self.n_components is not None else (10 if released else self.n_clusters)
        alpha = self.alpha if self.alpha is not None else (0.0 if released else 100.0)
        max_iter = self.max_iter if self.max_iter is not None else (50 if released else 300)
        self._check(len(X), rank, alpha)
        X, unit = in_units(X, _LEAST)
        random = check_random_state(self.random_state)
        laplacian = zero_one_laplacian(X, self.n_neighbors) if alpha > 0 else None
        weights = normalised_cut_weights(X) if released else np.ones(len(X))
        factors: KLFactors = best_start(X, rank, weights, alpha, laplacian, self.n_init, min(30, max_iter), random)
        factors.iterate(max_iter - len(factors.history), 0.0 if released else self.tol)
        embedding, self.components_ = factors.normalised()
        grows = 1 / unit if released else unit  # the weights of normalised cuts are inverse squares of the rows
        self.history_ = measured_in(factors.history, grows, "objective", "divergence")
        self.history_ = measured_in(self.history_, unit, "roughness")
        self.n_iter_ = len(factors.history)
        kmeans = KMeans(self.n_clusters, random_state=random).fit(embedding)
        self.embedding_ = embedding * unit
        self.labels_ = settled(kmeans.labels_, self.n_clusters, X)
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags

    def _check(self, n_samples: int, rank: int, alpha: float) -> None:
        if rank > n_samples:
            raise UsageError(f"n_components={rank} must be between 1 and the {n_samples} samples")
        if alpha > 0 and self.n_neighbors >= n_samples:
            raise UsageError(f"n_neighbors={self.n_neighbors} must be at least 1 and below the {n_samples} samples")


class DeepSemiNMF(ClusterMixin, BaseEstimator):
    """Trigeorgis et al.'s deep semi-NMF: X' ≈ Z_1 Z_2 ... Z_m H_m with H_m ≥ 0; k-means on H_m gives the labels.

    Layer by layer semi-NMF from NNDSVD starts, then all layers together: Z_i by least squares,
    H_m by the multiplicative rule of Ding et al.

    Parameters
    ----------
    n_clusters : int
    layers : tuple of int
        Widths k_1 .. k_m; each is cut to what its input's rank allows.
    max_iter : int
        Iterations at most, of each layer's pre-training and of the joint training.
    tol : float
        Either ends when the residual norm falls by less than ``tol`` times max(1, norm).
    random_state : int, RandomState or None
        Of the randomised SVD that starts a layer and of the final k-means.

    Attributes
    ----------
    labels_ : (n_samples,) int64
    embedding_ : (n_samples, k_m)
        H_m transposed.
    factors_ : list of arrays
        Z_1 (n_features, k_1), Z_2 (k_1, k_2), ...
    layers_ : tuple of int
        The widths used.
    n_iter_ : int
        Of the joint training.
    history_ : list of dict
        ``{"stage", "iteration", "residual"}``: Frobenius norm of X' - Z_1 .. Z_m H_m, stage "layer 1", .., "joint".

    Notes
    -----
    The released code is the paper's algorithm, hence no ``variant``.

    References
    ----------
    Trigeorgis, Bousmalis, Zafeiriou, Schuller, "A deep semi-NMF model for learning hidden representations", ICML 2014;
    Ding, Li, Jordan, "Convex and semi-nonnegative matrix factorizations", PAMI 2010.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_clusters": [integers(1)],
        "layers": ["array-like"],
        "max_iter": [integers(1)],
        "tol": [numbers(0)],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        layers: tuple[int, ...] = (160, 160),
        max_iter: int = 500,
        tol: float = 1e-5,
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.layers = layers
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Cluster ``X`` of shape (n_samples, n_features); values may be negative.

        Raises
        ------
        ValueError
            NaN or infinite values, wrong rank, fewer samples than clusters, an empty or non-positive ``layers``.
        """
        from clustlib.cluster._semi_nmf import joint_training, semi_nmf
        from clustlib.cluster.kmeans import KMeans

        check_parameters(self)
        self._check_layers()
        X = check_features(X, self.n_clusters, estimator=self)
        X, unit = in_units(X, _LEAST)
        random = check_random_state(self.random_state)
        self.history_: list[dict[str, Any]] = []
        factors, H = [], X.T
        for number, width in enumerate(self.layers, 1):
            Z, H, residuals = semi_nmf(H, min(width, *H.shape), self.max_iter, self.tol, random)
            factors.append(Z)
            self.history_ += [{"stage": f"layer {number}", **entry} for entry in residuals]
        self.factors_, H, residuals = joint_training(X.T, factors, H, self.max_iter, self.tol)
        self.history_ += [{"stage": "joint", **entry} for entry in residuals]
        self.history_ = measured_in(self.history_, unit, "residual")
        self.factors_[0] = self.factors_[0] * unit
        self.n_iter_ = int(residuals[-1]["iteration"])
        self.embedding_ = np.ascontiguousarray(H.T)
        self.layers_ = tuple(Z.shape[1] for Z in self.factors_)
        max_iter = max(100, len(X) // 100)
        kmeans = KMeans(self.n_clusters, max_iter=max_iter, random_state=random).fit(self.embedding_)
        self.labels_ = settled(kmeans.labels_, self.n_clusters, X)
        return self

    def _check_layers(self) -> None:
        """Of which the constraints know only that they are a sequence."""
        if np.ndim(self.layers) != 1 or not len(self.layers):
            raise UsageError(f"layers must be a sequence of widths, got {shown(self.layers)}")
        for number, width in enumerate(self.layers):
            check_integer(f"layers[{number}]", width, 1)
