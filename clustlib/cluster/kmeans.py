"""K-means with restarts, the row every table starts with."""

import warnings
from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils import check_random_state

from clustlib._validation import (
    check_n_clusters,
    check_numbers,
    check_parameters,
    choices,
    integers,
    measured_from,
    numbers,
    origin_of,
    warn_of_fewer,
    whole,
)

_RESOLVED = 2.0**-16  # of the largest squared distance from the middle: what products in float32 still tell apart


class KMeans(ClusterMixin, BaseEstimator):
    """Lloyd's algorithm from ``n_init`` starts; the start with the smallest distortion wins.

    scikit-learn does the iterations; this class adds the restart history, a progress bar and the tables' settings.

    Parameters
    ----------
    n_clusters : int
    n_init : int
        Number of restarts; the papers use 10.
    init : {"k-means++", "random"}
        "random" starts from samples drawn without replacement, as the code released with JULE does.
    max_iter : int
        Iterations per restart at most.
    tol : float
        A restart ends when the squared move of the centres falls below ``tol`` times the mean feature variance;
        0 iterates until no label changes.
    random_state : int, RandomState or None

    Attributes
    ----------
    labels_ : (n_samples,) int64
    cluster_centers_ : (n_clusters, n_features)
    inertia_ : float
        Distortion: the sum of squared distances of the samples to their centres.
    n_iter_ : int
        Iterations of the best restart.
    history_ : list of dict
        One ``{"restart", "distortion", "n_iter"}`` per restart.

    Notes
    -----
    With fewer distinct samples than ``n_clusters`` the surplus clusters stay empty, with a ``ConvergenceWarning``.

    References
    ----------
    MacQueen, "Some methods for classification and analysis of multivariate observations", 1967; row "K-means" of
    JULE's Tables 3 and 10.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_clusters": [integers(1)],
        "n_init": [integers(1)],
        "init": [choices("k-means++", "random")],
        "max_iter": [integers(1)],
        "tol": [numbers(0)],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        n_init: int = 10,
        init: Literal["k-means++", "random"] = "k-means++",
        max_iter: int = 300,
        tol: float = 1e-4,
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_init = n_init
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    @whole
    def fit(self, X: Any, y: Any = None) -> Self:
        """Cluster ``X`` of shape (n_samples, n_features).

        Raises
        ------
        ValueError
            NaN or infinite values, wrong rank, fewer samples than clusters, a parameter out of its range.
        """
        check_parameters(self)
        X = check_numbers(X, estimator=self)
        check_n_clusters(self.n_clusters, len(X))
        self._origin = origin_of(X)
        X = measured_from(X, self._origin)
        seeds = check_random_state(self.random_state).randint(np.iinfo(np.int32).max, size=self.n_init)
        best, history = self._restarts(X, seeds)
        if X.dtype == np.float32 and _are_lost(X, best.labels_, best.cluster_centers_):
            best, history = self._restarts(X.astype(np.float64), seeds)
        self._best = best
        self.history_ = history
        self.labels_ = best.labels_.astype(np.int64)
        self.cluster_centers_ = best.cluster_centers_ if self._origin is None else best.cluster_centers_ + self._origin
        self.inertia_ = float(best.inertia_)
        self.n_iter_ = int(best.n_iter_)
        warn_of_fewer(self.labels_, self.n_clusters)
        return self

    def _restarts(self, X: np.ndarray, seeds: np.ndarray) -> tuple[Any, list[dict[str, float]]]:
        """The fit of the smallest distortion, one a seed, and ``history_``."""
        from sklearn.cluster import KMeans as Lloyd
        from sklearn.exceptions import ConvergenceWarning
        from tqdm.auto import tqdm

        best: Any = None
        history: list[dict[str, float]] = []
        for restart, seed in enumerate(tqdm(seeds, desc="k-means restarts", leave=False, delay=2)):
            with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):  # said once, of the best
                run = Lloyd(
                    self.n_clusters,
                    init=self.init,
                    n_init=1,
                    max_iter=self.max_iter,
                    tol=self.tol,
                    random_state=int(seed),
                ).fit(X)
            history.append({"restart": restart, "distortion": float(run.inertia_), "n_iter": int(run.n_iter_)})
            if best is None or run.inertia_ < best.inertia_:
                best = run
        return best, history

    def predict(self, X: Any) -> np.ndarray:
        """Index of the nearest centre for each row of ``X``, (n_samples,) int64."""
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        X = measured_from(check_numbers(X, estimator=self, reset=False), self._origin)
        return self._best.predict(X.astype(self._best.cluster_centers_.dtype, copy=False)).astype(np.int64)


def _are_lost(X: np.ndarray, labels: np.ndarray, centers: np.ndarray) -> bool:
    """Whether a cluster of different rows is narrower than float32 tells rows apart that lie as far out as the rest."""
    middle = X.mean(axis=0, dtype=np.float64)
    narrowest, furthest = np.inf, 0.0
    for cluster, center in enumerate(centers):
        rows = X[labels == cluster].astype(np.float64)
        if len(rows):
            furthest = max(furthest, np.square(rows - middle).sum(axis=1).max())
        if len(rows) and np.ptp(rows, axis=0).any():
            narrowest = min(narrowest, np.square(rows - center).sum(axis=1).mean())
    return narrowest < _RESOLVED * furthest
