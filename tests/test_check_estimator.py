"""scikit-learn's own checks of an estimator, and its tools around one."""

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from clustlib import DBC, FCN, GSNMF, JULE, DeepCluster, FCAEFeatures, cluster
from clustlib.fcn.ensemble_projection import EnsembleProjection
from clustlib.fcn.linear_autoencoder import LinearAutoencoder
from clustlib.jule.deep_autoencoder import DeepAutoencoder
from clustlib.jule.estimator import PatchJULE

# small fits: the checks are about the contract, on tables of 20 to 150 rows
ESTIMATORS = [
    cluster.KMeans(3, n_init=2),
    cluster.AverageLinkage(3),
    cluster.GraphLinkage(3, n_neighbors=5),
    cluster.SpectralNJW(3),
    cluster.SelfTuningSpectral(3, n_neighbors=5),
    cluster.LandmarkSpectral(3),
    cluster.NormalizedCuts(3),
    cluster.LocalityPreservingNMF(3, n_init=2, max_iter=40),
    cluster.DeepSemiNMF(3, layers=(8, 4), max_iter=30),
]
# parts of the four systems that take rows
PARTS = [
    GSNMF(3, init="random", max_iter=10, device="cpu"),
    LinearAutoencoder(2, epochs=2, device="cpu"),
    EnsembleProjection(2, n_prototypes=2, n_members=2, n_hypotheses=2),
    # it learns values in [0, 1] and refuses all others, which most checks give it: they are scaled first
    make_pipeline(MinMaxScaler(clip=True), DeepAutoencoder(2, hidden=(4,), epochs=1, device="cpu")),
]
# images are no tables: of these scikit-learn checks the constructor, the tags, cloning and what is said before a fit
SYSTEMS = [FCN(), FCAEFeatures(), DBC(), JULE(), PatchJULE(), DeepCluster()]
_ALTERNATED = (
    "the fit's coefficients alternated with the basis; those of the final basis are others, as transform has them"
)
_PIPELINE = "a pipeline fits the steps that it was given"
# class name -> {check: why it cannot pass}
EXPECTED = {
    "GSNMF": {"check_transformer_general": _ALTERNATED, "check_transformer_data_not_an_array": _ALTERNATED},
    "Pipeline": {
        "check_estimators_overwrite_params": _PIPELINE,
        "check_dont_overwrite_parameters": _PIPELINE,
        "check_transformer_preserve_dtypes": "a pipeline does not hand on that its last step gives float32",
    },
    "LocalityPreservingNMF": {
        "check_clustering": "it standardises its blobs, and a non-negative factorisation refuses what is below 0",
    },
}


def _expected(estimator):
    return EXPECTED.get(type(estimator).__name__, {})


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([*ESTIMATORS, *PARTS, *SYSTEMS], expected_failed_checks=_expected)
def test_check_estimator(estimator, check):
    check(estimator)


def test_every_estimator_of_the_module_is_checked():
    assert {type(estimator).__name__ for estimator in ESTIMATORS} == set(cluster.__all__)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_grid_search_over_numpy_integers(estimator):
    X, y = make_blobs(60, centers=3, cluster_std=0.3, random_state=0)
    X = (X - X.min()) / (X.max() - X.min())

    def score(model, rows, labels):
        return adjusted_rand_score(labels, model.fit_predict(rows))

    search = GridSearchCV(estimator, {"n_clusters": np.arange(2, 4)}, scoring=score, cv=2, error_score="raise")
    found = search.fit(X, y)
    assert isinstance(found.best_params_["n_clusters"], np.integer)
    assert len(np.unique(found.best_estimator_.labels_)) == found.best_params_["n_clusters"]
