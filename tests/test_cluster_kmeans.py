import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_digits, make_blobs

from clustlib.cluster.kmeans import KMeans


def distortion(X, labels):
    """Sum of squared distances to the clusters' means, from the definition, in float64."""
    X = X.astype(np.float64)
    return sum(((X[labels == c] - X[labels == c].mean(axis=0)) ** 2).sum() for c in np.unique(labels))


def lloyd(X, centres, iterations=200):
    for _ in range(iterations):
        labels = np.argmin(((X[:, None] - centres[None]) ** 2).sum(axis=2), axis=1)
        centres = np.array([X[labels == c].mean(axis=0) for c in range(len(centres))])
    return labels, centres


@given(st.integers(0, 10_000), st.integers(2, 5))
@settings(max_examples=15, deadline=None)
def test_result_is_a_fixed_point_of_lloyd_and_inertia_is_the_distortion(seed, k):
    X = np.random.default_rng(seed).normal(size=(60, 3))
    model = KMeans(k, n_init=3, tol=0, random_state=seed).fit(X)
    labels, centres = lloyd(X, model.cluster_centers_, iterations=3)
    np.testing.assert_array_equal(labels, model.labels_)
    np.testing.assert_allclose(centres, model.cluster_centers_, atol=1e-10)
    assert model.inertia_ == pytest.approx(distortion(X, model.labels_), rel=1e-9)


def test_keeps_the_restart_with_the_smallest_distortion():
    X = np.random.default_rng(0).normal(size=(200, 5))
    model = KMeans(8, n_init=10, init="random", random_state=0).fit(X)
    found = [entry["distortion"] for entry in model.history_]
    assert len(found) == 10
    assert max(found) > min(found)  # the starts really differ
    assert model.inertia_ == min(found)


def test_finds_the_optimum_of_a_brute_force_search():
    X = np.random.default_rng(1).normal(size=(10, 2))
    splits = ((np.arange(1, 2**9)[:, None] >> np.arange(10)) & 1).astype(int)
    best = min(distortion(X, labels) for labels in splits)
    assert KMeans(2, n_init=30, tol=0, random_state=0).fit(X).inertia_ == pytest.approx(best, rel=1e-9)


def test_deterministic_per_seed_and_different_between_seeds():
    X = load_digits().data
    a, b, c = (KMeans(10, n_init=2, init="random", random_state=s).fit(X) for s in (0, 0, 1))
    np.testing.assert_array_equal(a.labels_, b.labels_)
    assert a.history_ == b.history_ != c.history_


@pytest.mark.parametrize("init", ["random", "k-means++"])
def test_separated_blobs(init):
    X, y = make_blobs(300, centers=4, cluster_std=0.1, random_state=0)
    labels = KMeans(4, init=init, random_state=0).fit_predict(X)
    assert len(set(zip(labels, y))) == 4


def test_predict_repeats_the_labels():
    X = load_digits().data.astype(np.float32)
    model = KMeans(10, n_init=2, random_state=0).fit(X)
    np.testing.assert_array_equal(model.predict(X), model.labels_)


def test_layouts_and_integers_give_the_same_labels():
    X = load_digits().data[:300]
    expected = KMeans(10, random_state=0).fit_predict(X.astype(np.float32))
    for variant in (X.astype(np.uint8), np.asfortranarray(X.astype(np.float32)), np.repeat(X, 2, axis=1)[:, ::2]):
        assert (KMeans(10, random_state=0).fit_predict(variant) == expected).mean() > 0.99


def test_one_sample_and_one_cluster():
    assert KMeans(1).fit([[1.0, 2.0]]).labels_.tolist() == [0]


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
@pytest.mark.parametrize("X", [np.ones((20, 3)), np.repeat([[0.0, 0], [1, 1]], 10, axis=0)])
def test_fewer_distinct_points_than_clusters_leaves_clusters_empty(X):
    labels = KMeans(3, random_state=0).fit_predict(X)
    assert len(np.unique(np.column_stack([X, labels]), axis=0)) == len(np.unique(X, axis=0))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.full((5, 2), np.nan), "NaN"),
        (np.full((5, 2), np.inf), "infinite"),
        (np.zeros((2, 2)), "more than the 2 samples"),
        (np.zeros(5), "shape"),
        (np.zeros((0, 3)), "0 sample"),
        (np.array([["a", "b"]] * 5), "numeric"),
    ],
)
def test_bad_features(X, message):
    with pytest.raises(ValueError, match=message):
        KMeans(3).fit(X)


@pytest.mark.parametrize("settings_", [{"init": "kmeans"}, {"n_init": 0}, {"n_clusters": 0}, {"n_clusters": 2.0}])
def test_bad_settings(settings_):
    with pytest.raises(ValueError):
        KMeans(**{"n_clusters": 2, **settings_}).fit(np.random.default_rng(0).normal(size=(10, 2)))


def test_clone_keeps_the_parameters():
    model = KMeans(7, init="random", n_init=3)
    assert clone(model).get_params() == model.get_params()


@pytest.mark.skipif("CLUSTLIB_DATA" not in os.environ, reason="needs CLUSTLIB_DATA")
def test_mnist_test_is_where_k_means_is_known_to_be():
    from clustlib.datasets import load
    from clustlib.metrics import accuracy, nmi

    images = load("mnist-test")
    labels = KMeans(10, n_init=3, random_state=0).fit_predict(images.pixels("l2"))
    assert accuracy(images.labels, labels) == pytest.approx(0.55, abs=0.04)
    assert nmi(images.labels, labels, average="geometric") == pytest.approx(0.54, abs=0.04)
