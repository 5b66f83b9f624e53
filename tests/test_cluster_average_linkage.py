import itertools
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import is_valid_linkage, linkage
from scipy.spatial.distance import pdist
from sklearn.base import clone
from sklearn.datasets import load_digits

from clustlib.cluster._rnn_linkage import sort_merges
from clustlib.cluster.average_linkage import AverageLinkage, cut, pairwise_distances

KiB = 1024


def naive_average_linkage(X):
    """Heights and partitions from the definition: search all pairs of clusters for the smallest mean distance."""
    D = np.sqrt(((X[:, None] - X[None]) ** 2).sum(axis=2))
    clusters, heights, partitions = [[i] for i in range(len(X))], [], []
    while len(clusters) > 1:
        pairs = itertools.combinations(range(len(clusters)), 2)
        height, i, j = min((D[np.ix_(clusters[i], clusters[j])].mean(), i, j) for i, j in pairs)
        clusters[i] = clusters[i] + clusters.pop(j)
        heights.append(height)
        partitions.append({frozenset(c) for c in clusters})
    return np.array(heights), partitions


def as_sets(labels):
    return {frozenset(np.flatnonzero(labels == c)) for c in np.unique(labels)}


def low_memory(X, n_clusters=2, passes=3):
    """Fit with so little memory that some passes are needed before the table fits."""
    working = 8 * len(X) * (X.shape[1] + 3 * 16)
    left = int(len(X) * 0.85**passes)
    return AverageLinkage(n_clusters, method="low_memory", max_memory=working + 2 * left**2).fit(X)


@pytest.mark.parametrize("fit", [lambda X: AverageLinkage(2, method="scipy").fit(X), low_memory])
@given(seed=st.integers(0, 10_000), n=st.integers(12, 40))
@settings(max_examples=8, deadline=None)
def test_equals_the_definition_merge_for_merge(fit, seed, n):
    X = np.random.default_rng(seed).normal(size=(n, 3))
    heights, partitions = naive_average_linkage(X)
    model = fit(X)
    np.testing.assert_allclose(model.distances_, heights, rtol=1e-5)
    for partition in partitions:
        assert as_sets(model.labels_at(len(partition))) == partition


def test_low_memory_equals_scipy_on_digits():
    X = load_digits().data
    expected = linkage(pdist(X), "average")
    model = low_memory(X, 10, passes=4)
    assert len(model.history_) >= 3  # it did need passes
    assert is_valid_linkage(model.linkage_matrix_)
    np.testing.assert_allclose(model.distances_, expected[:, 2], rtol=1e-6)
    for k in (2, 5, 10, 40, 200):
        np.testing.assert_array_equal(model.labels_at(k), cut(expected[:, :2].astype(int), k))


def test_low_memory_is_within_its_rounds_and_monotone():
    model = low_memory(load_digits().data[:600], passes=5)
    counts = [entry["n_clusters"] for entry in model.history_]
    assert counts == sorted(counts, reverse=True)
    assert (np.diff(model.distances_) >= 0).all()


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_cut_gives_nested_partitions_of_every_size(seed):
    X = np.random.default_rng(seed).normal(size=(25, 2))
    model = AverageLinkage(3).fit(X)
    finer = model.labels_at(25)
    for k in range(24, 0, -1):
        labels = model.labels_at(k)
        assert set(labels) == set(range(k))
        assert len(set(zip(finer, labels))) == k + 1  # each coarser cluster is a union of finer ones
        finer = labels


def test_distances_are_those_of_scipy_also_for_nearly_equal_points():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 20)) + 100
    X[150:] = X[:150] + 1e-9 * rng.normal(size=(150, 20))
    np.testing.assert_allclose(pairwise_distances(X, block=64), pdist(X), rtol=1e-5)


def test_permuting_the_samples_permutes_the_labels():
    rng = np.random.default_rng(3)
    X, order = rng.normal(size=(80, 4)), rng.permutation(80)
    for method in ("scipy", "low_memory"):
        a = AverageLinkage(6, method=method).fit(X)
        b = AverageLinkage(6, method=method).fit(X[order])
        assert as_sets(a.labels_) == {frozenset(order[list(c)]) for c in as_sets(b.labels_)}


def test_auto_changes_to_low_memory_when_scipy_does_not_fit():
    X = np.random.default_rng(0).normal(size=(400, 2))
    assert AverageLinkage(5).fit(X).history_ == []
    model = AverageLinkage(5, max_memory=1000 * KiB).fit(X)
    assert model.history_
    np.testing.assert_array_equal(model.labels_, AverageLinkage(5).fit(X).labels_)


def test_memory_error_says_what_it_needs():
    X = np.random.default_rng(0).normal(size=(400, 2))
    with pytest.raises(MemoryError, match="low_memory"):
        AverageLinkage(5, method="scipy", max_memory=1000 * KiB).fit(X)
    with pytest.raises(MemoryError, match="GiB beside its table"):
        AverageLinkage(5, method="low_memory", max_memory=KiB).fit(X)
    line = 2.0 ** np.arange(-500, 500)[:, None]  # ever growing gaps: one reciprocal pair per pass
    with pytest.raises(MemoryError, match="too few reciprocal"):
        AverageLinkage(5, method="low_memory", max_memory=500 * KiB).fit(line)


@pytest.mark.parametrize("method", ["scipy", "low_memory"])
def test_duplicates_and_constant_data(method):
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(6, 3)), 9, axis=0)[rng.permutation(54)]
    model = AverageLinkage(6, method=method).fit(X)
    np.testing.assert_allclose(model.distances_[:48], 0)
    assert len(np.unique(np.column_stack([X, model.labels_]), axis=0)) == 6
    constant = AverageLinkage(4, method=method).fit(np.ones((30, 2)))
    assert set(constant.labels_) == {0, 1, 2, 3}
    assert (constant.distances_ == 0).all()


def test_sorting_keeps_children_before_parents_when_rounding_inverts_heights():
    Z = np.array([[0, 1, 1.0, 2], [4, 2, 1.0 - 1e-12, 3], [5, 3, 2.0, 4]])
    ordered = sort_merges(Z.copy())
    assert is_valid_linkage(ordered)
    assert (np.diff(ordered[:, 2]) >= 0).all()


@pytest.mark.parametrize("method", ["auto", "low_memory"])
def test_layouts_and_integers(method):
    X = load_digits().data[:200]
    expected = AverageLinkage(5, method=method).fit_predict(X)
    for variant in (X.astype(np.int32), np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(AverageLinkage(5, method=method).fit_predict(variant), expected)


@pytest.mark.parametrize("method", ["scipy", "low_memory"])
def test_one_sample_two_samples_and_as_many_clusters_as_samples(method):
    assert AverageLinkage(1, method=method).fit([[1.0]]).labels_.tolist() == [0]
    two = AverageLinkage(1, method=method).fit([[0.0], [3.0]])
    assert two.distances_.tolist() == [3.0]
    assert AverageLinkage(3, method=method).fit_predict([[0.0], [3.0], [9.0]]).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.full((5, 2), np.nan), "NaN"),
        (np.full((5, 2), -np.inf), "infinite"),
        (np.zeros((2, 2)), "more than the 2 samples"),
        (np.zeros((5, 2, 2)), "shape"),
    ],
)
def test_bad_features(X, message):
    with pytest.raises(ValueError, match=message):
        AverageLinkage(3).fit(X)


def test_bad_method_and_bad_cut():
    with pytest.raises(ValueError, match="method"):
        AverageLinkage(2, method="ward").fit(np.eye(4))
    model = AverageLinkage(2).fit(np.eye(4))
    for k in (0, 5):
        with pytest.raises(ValueError, match="n_clusters"):
            model.labels_at(k)


def test_clone_keeps_the_parameters():
    model = AverageLinkage(7, max_memory=5.0)
    assert clone(model).get_params() == model.get_params()


@pytest.mark.skipif("CLUSTLIB_DATA" not in os.environ, reason="needs CLUSTLIB_DATA")
@pytest.mark.parametrize(("name", "published"), [("cmu-pie", 0.545), ("coil-20", 0.512)])
def test_equals_table_3_where_the_data_are_the_papers(name, published):
    from clustlib.datasets import load
    from clustlib.metrics import nmi

    images = load(name)
    labels = AverageLinkage(len(np.unique(images.labels))).fit_predict(images.pixels("l2"))
    assert nmi(images.labels, labels, average="geometric") == pytest.approx(published, abs=0.001)
