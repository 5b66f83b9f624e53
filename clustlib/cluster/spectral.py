"""Spectral clustering, rows "SC-NJW", "SC-ST", "SC-LS" and "N-Cuts" of JULE's tables.

``variant="published"`` is the cited paper's algorithm; ``variant="released"`` is what the code released with JULE runs.
"""

from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils import check_random_state

from clustlib._arrays import shown
from clustlib._device import resolve
from clustlib._validation import check_features, check_parameters, choices, integers, numbers
from clustlib.cluster._discrete import align, normalise_rows, scatter_ratio_kmeans
from clustlib.cluster._rows import settled
from clustlib.errors import UsageError

GiB = 1 << 30
TINY = 1e-37  # of a squared distance: its root is still a normal number of float32, and so is one over it
Variant = Literal["published", "released"]
_SHARED: dict[str, list[Any]] = {
    "n_clusters": [integers(1)],
    "variant": [choices("published", "released")],
    "random_state": ["random_state"],
    "max_memory": [numbers(0, float("inf"), closed="both")],
}


class SpectralNJW(ClusterMixin, BaseEstimator):
    """Ng, Jordan and Weiss: k-means on the row-normalised leading eigenvectors of D^-1/2 W D^-1/2.

    W_ij = exp(-D_ij / s) for squared distances D, with s = ``scale`` mean(D).

    Parameters
    ----------
    n_clusters : int
    variant : {"published", "released"}
        "published": W_ii = 0, k-means from 10 starts. "released": W_ii = 1, one start. With a narrow kernel W_ii = 1
        gives every outlier an eigenvalue next to 1, and the leading eigenvectors become single samples.
    scale : float or sequence of float
        Share of the mean squared distance; the released code's 0.05. Of several, the one whose rows k-means clusters
        most tightly is taken, as the paper does.
    random_state : int, RandomState or None
    device : str
        Where affinities are computed: "auto" (CUDA if there is one), "cpu", "cuda".
    max_memory : float
        Bytes of affinities that are kept; what exceeds them, every pass of the eigensolver computes again (70,000
        samples: 9.8 GB in all).

    Attributes
    ----------
    labels_ : (n_samples,) int64
    embedding_ : (n_samples, n_clusters) float64
        Row-normalised eigenvectors.
    eigenvalues_ : (n_clusters,) float64
    scale_ : float
    history_ : list of dict
        ``{"scale", "pass", "residual"}`` per pass over the affinities and ``{"scale", "distortion"}`` per scale.

    References
    ----------
    Ng, Jordan, Weiss, "On spectral clustering: analysis and an algorithm", NIPS 2001.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_SHARED,
        "scale": [numbers(0, closed="neither"), "array-like"],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        variant: Variant = "published",
        scale: Any = 0.05,
        random_state: Any = None,
        device: str = "auto",
        max_memory: float = GiB,
    ) -> None:
        self.n_clusters = n_clusters
        self.variant = variant
        self.scale = scale
        self.random_state = random_state
        self.device = device
        self.max_memory = max_memory

    def fit(self, X: Any, y: Any = None) -> Self:
        """Cluster ``X`` of shape (n_samples, n_features).

        Raises
        ------
        ValueError
            NaN or infinite values, wrong rank, fewer samples than clusters, unknown variant, scale not positive.
        """
        from clustlib.cluster._affinity import Gaussian, SquaredDistances
        from clustlib.cluster._eigenvectors import NormalisedAffinity
        from clustlib.cluster.kmeans import KMeans

        check_parameters(self)
        released = self.variant == "released"
        device, scales = resolve(self.device), self._scales()
        X = check_features(X, self.n_clusters, translate=True, estimator=self)
        random = check_random_state(self.random_state)
        distances = SquaredDistances(X, device)
        self.history_: list[dict[str, float]] = []
        tightest = np.inf
        for scale in scales:
            reach = np.full(len(X), max(scale * distances.mean, TINY) ** -0.5, np.float32)
            graph = NormalisedAffinity(distances, Gaussian(reach), self.max_memory, self_weight=float(released))
            values, V, passes = graph.leading(self.n_clusters, random)
            rows = normalise_rows(V)
            final = KMeans(self.n_clusters, n_init=1 if released else 10, random_state=random).fit(rows)
            self.history_ += [{"scale": scale, **entry} for entry in passes]
            self.history_.append({"scale": scale, "distortion": final.inertia_})
            if final.inertia_ < tightest:
                tightest, self.scale_ = final.inertia_, scale
                labels, self.embedding_, self.eigenvalues_ = final.labels_, rows, values
        self.labels_ = settled(labels, self.n_clusters, X)
        return self

    def _scales(self) -> list[float]:
        """The scales to try, of which the constraints know only that they are a number or a sequence."""
        try:
            scales = [float(scale) for scale in np.atleast_1d(self.scale)]
        except (TypeError, ValueError):
            scales = []
        if not scales or not all(0 < scale < np.inf for scale in scales):
            raise UsageError(f"scale must be a positive number, or several, got {shown(self.scale)}")
        return scales


class SelfTuningSpectral(ClusterMixin, BaseEstimator):
    """Zelnik-Manor and Perona: locally scaled affinities W_ij = exp(-D_ij / (σ_i σ_j)), W_ii = 0.

    σ_i is the distance to the ``n_neighbors``-th nearest neighbour.

    Parameters
    ----------
    n_clusters : int
    variant : {"published", "released"}
        "published": the eigenvectors are rotated to the smallest alignment cost and each sample takes its largest
        coordinate. "released": the toolbox's 50-start k-means on the normalised rows; the rotation that the released
        code also computes is thrown away there, and σ_i σ_j is at least 0.004.
    n_neighbors : int or None
        None: 7 as published, 75 as released.
    random_state, device, max_memory
        As in ``SpectralNJW``.

    Attributes
    ----------
    labels_ : (n_samples,) int64
    embedding_ : (n_samples, n_clusters) float64
        Rotated eigenvectors ("published") or row-normalised ones ("released").
    eigenvalues_ : (n_clusters,) float64
    cost_ : float
        Alignment cost per sample, 1 at best ("published"); within over across scatter ("released").
    history_ : list of dict
        ``{"pass", "residual"}`` per pass over the affinities, then ``{"iteration", "cost"}`` of the rotation.

    References
    ----------
    Zelnik-Manor, Perona, "Self-tuning spectral clustering", NIPS 2004.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {**_SHARED, "n_neighbors": [integers(1), None]}

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        variant: Variant = "published",
        n_neighbors: int | None = None,
        random_state: Any = None,
        device: str = "auto",
        max_memory: float = GiB,
    ) -> None:
        self.n_clusters = n_clusters
        self.variant = variant
        self.n_neighbors = n_neighbors
        self.random_state = random_state
        self.device = device
        self.max_memory = max_memory

    def fit(self, X: Any, y: Any = None) -> Self:
        """Cluster ``X`` of shape (n_samples, n_features).

        Raises
        ------
        ValueError
            NaN or infinite values, wrong rank, fewer samples than clusters, no more samples than ``n_neighbors``.
        """
        from clustlib.cluster._affinity import Gaussian, SquaredDistances
        from clustlib.cluster._eigenvectors import NormalisedAffinity
        from clustlib.kernels.neighbours import knn

        check_parameters(self)
        released = self.variant == "released"
        device = resolve(self.device)
        n_neighbors = self.n_neighbors if self.n_neighbors is not None else (75 if released else 7)
        X = check_features(X, self.n_clusters, translate=True, estimator=self)
        if n_neighbors >= len(X):
            raise UsageError(f"n_neighbors={n_neighbors} must be at least 1 and below the {len(X)} samples")
        random = check_random_state(self.random_state)
        distances = SquaredDistances(X, device)
        _, nearest = knn(X, n_neighbors, device=str(device))
        reach = np.maximum(nearest[:, -1], TINY) ** -0.5
        limit = 1 / 0.004 if released and reach.max() ** 2 > 1 / 0.004 else np.inf
        graph = NormalisedAffinity(distances, Gaussian(reach, limit=limit), self.max_memory)
        self.eigenvalues_, V, passes = graph.leading(self.n_clusters, random)
        self.history_: list[dict[str, float]] = list(passes)
        if released:
            self.embedding_ = normalise_rows(V)
            labels, self.cost_ = scatter_ratio_kmeans(V, self.n_clusters, random)
        else:
            self.embedding_, costs = align(V)
            labels = np.argmax(self.embedding_**2, axis=1)
            self.cost_ = costs[-1] / len(X)
            self.history_ += [{"iteration": i, "cost": cost} for i, cost in enumerate(costs)]
        self.labels_ = settled(labels, self.n_clusters, X)
        return self


class LandmarkSpectral(ClusterMixin, BaseEstimator):
    """Chen and Cai's LSC-K: spectral embedding through ``n_landmarks`` k-means centres; linear in the samples.

    Each sample is a convex combination of its ``n_nearest`` landmarks with Gaussian weights of bandwidth h; the
    embedding is made of the left singular vectors of that sparse matrix with its columns scaled by their sums^-1/2.

    Parameters
    ----------
    n_clusters : int
    variant : {"published", "released"}
        "published": 1000 landmarks, h the mean distance to a landmark, the first k vectors. "released": 500 landmarks,
        h the mean *squared* distance, vectors 2 .. k+1 with rows normalised. k-means from 10 starts ends both.
    n_landmarks : int or None
        None: 1000 as published, 500 as released; never more than there are samples.
    n_nearest : int
    random_state : int, RandomState or None

    Attributes
    ----------
    labels_ : (n_samples,) int64
    embedding_ : (n_samples, n_clusters) float64
    singular_values_ : (n_clusters,) float64
    landmarks_ : (n_landmarks, n_features)

    References
    ----------
    Chen, Cai, "Large scale spectral clustering with landmark-based representation", AAAI 2011.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_SHARED,
        "n_landmarks": [integers(1), None],
        "n_nearest": [integers(1)],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        variant: Variant = "published",
        n_landmarks: int | None = None,
        n_nearest: int = 5,
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.variant = variant
        self.n_landmarks = n_landmarks
        self.n_nearest = n_nearest
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Cluster ``X`` of shape (n_samples, n_features).

        Raises
        ------
        ValueError
            NaN or infinite values, wrong rank, fewer samples than clusters, fewer landmarks than vectors needed.
        """
        from clustlib.cluster._landmarks import codes, left_singular_vectors, pick_landmarks
        from clustlib.cluster.kmeans import KMeans

        check_parameters(self)
        released = self.variant == "released"
        X = check_features(X, self.n_clusters, translate=True, estimator=self)
        asked = self.n_landmarks if self.n_landmarks is not None else (500 if released else 1000)
        wanted = min(asked, len(X))
        if wanted < self.n_clusters:
            raise UsageError(f"n_landmarks={wanted} must be at least n_clusters={self.n_clusters}")
        random = check_random_state(self.random_state)
        self.landmarks_ = pick_landmarks(X, wanted, random)
        Z = codes(X, self.landmarks_, self.n_nearest, squared_bandwidth=released)
        U, values = left_singular_vectors(Z, self.n_clusters + released)
        if released:
            U, values = normalise_rows(U[:, 1:]), values[1:]
        self.embedding_, self.singular_values_ = U, values
        found = KMeans(self.n_clusters, init="random", max_iter=100, random_state=random).fit(U)
        self.labels_ = settled(found.labels_, self.n_clusters, X)
        return self


class NormalizedCuts(ClusterMixin, BaseEstimator):
    """Shi and Malik's normalised cuts into k parts, with Yu and Shi's rotation to a partition.

    Parameters
    ----------
    n_clusters : int
    variant : {"published", "released"}
        "published": W_ij = exp(-d_ij² / σ²) for distances d, σ = ``scale`` max(d), eigenproblem (D - W) u = λ D u.
        "released": the squared distances were handed to a function that squares again, so W_ij = exp(-(d_ij² / s)²)
        with s = ``scale`` max(d²); values below 1e-6 are dropped, 0.5 is added to the diagonal and 1 to the degrees.
    scale : float or None
        None: 0.15 as published (the paper: 10 to 20 percent of the range of distances), 0.05 as released.
    random_state, device, max_memory
        As in ``SpectralNJW``. The thresholded affinities are kept as a sparse matrix where they fit.

    Attributes
    ----------
    labels_ : (n_samples,) int64
    embedding_ : (n_samples, n_clusters) float64
        D^-1/2 times the eigenvectors of the normalised affinity.
    eigenvalues_ : (n_clusters,) float64
        Of the normalised affinity, 1 - λ.
    history_ : list of dict
        ``{"pass", "residual"}`` per pass over the affinities.

    References
    ----------
    Shi, Malik, "Normalized cuts and image segmentation", PAMI 2000; Yu, Shi, "Multiclass spectral clustering",
    ICCV 2003.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {**_SHARED, "scale": [numbers(0, closed="neither"), None]}

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        variant: Variant = "published",
        scale: float | None = None,
        random_state: Any = None,
        device: str = "auto",
        max_memory: float = GiB,
    ) -> None:
        self.n_clusters = n_clusters
        self.variant = variant
        self.scale = scale
        self.random_state = random_state
        self.device = device
        self.max_memory = max_memory

    def fit(self, X: Any, y: Any = None) -> Self:
        """Cluster ``X`` of shape (n_samples, n_features).

        Raises
        ------
        ValueError
            NaN or infinite values, wrong rank, fewer samples than clusters, scale not positive.
        """
        from sklearn.cluster._spectral import discretize

        from clustlib.cluster._affinity import Gaussian, SquaredDistances
        from clustlib.cluster._eigenvectors import NormalisedAffinity

        check_parameters(self)
        released = self.variant == "released"
        device = resolve(self.device)
        scale = self.scale if self.scale is not None else (0.05 if released else 0.15)
        X = check_features(X, self.n_clusters, translate=True, estimator=self)
        random = check_random_state(self.random_state)
        distances = SquaredDistances(X, device)
        largest = distances.maximum()
        reach = np.full(len(X), max((scale if released else scale**2) * largest, TINY) ** -0.5, np.float32)
        kernel = Gaussian(reach, power=2, threshold=1e-6) if released else Gaussian(reach)
        graph = NormalisedAffinity(
            distances, kernel, self.max_memory, self_weight=float(released), offset=0.5 * released
        )
        self.eigenvalues_, V, self.history_ = graph.leading(self.n_clusters, random)
        self.embedding_ = V / np.sqrt(graph.degrees)[:, None]
        rows = self.embedding_ / np.linalg.norm(self.embedding_, axis=0)
        rows[~rows.any(axis=1)] = TINY  # a sample that no vector reaches is equally far from every part
        self.labels_ = settled(discretize(rows, random_state=random), self.n_clusters, X)
        return self
