"""The scores against scikit-learn, brute force and their own algebra."""

import itertools
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linear_sum_assignment
from sklearn import manifold
from sklearn.metrics import normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from sklearn.neighbors import KNeighborsClassifier

from clustlib.errors import UsageError
from clustlib.metrics import accuracy, knn_purity, nmi, one_nn_error, purity, trustworthiness

AVERAGES = ["max", "arithmetic", "geometric", "min"]

bounded = settings(max_examples=60, deadline=None)


@st.composite
def labelings(draw, most_labels=6):
    """Two labelings of the same samples, with few to many labels on either side."""
    n = draw(st.integers(1, 40))
    sides = [hnp.arrays(np.int64, n, elements=st.integers(0, draw(st.integers(0, most_labels - 1)))) for _ in range(2)]
    return draw(sides[0]), draw(sides[1])


@st.composite
def relabelled(draw):
    """Two labelings, the same two under other names, and the same two in another order."""
    y, p = draw(labelings())
    names = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=6, max_size=6, unique=True)
    order = np.array(draw(st.permutations(range(len(y)))))
    renamed = [np.array(draw(names), dtype=np.int64)[side] for side in (y, p)]
    return (y, p), renamed, (y[order], p[order])


@st.composite
def clouds(draw):
    """Features without equal distances, labels, and a seed."""
    n, d = draw(st.integers(6, 40)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.normal(size=(n, d)), rng.integers(0, draw(st.integers(1, 4)), n), rng


# ---------------------------------------------------------------- accuracy


@pytest.mark.parametrize("labels, clusters", [(1, 30), (30, 1), (7, 7), (10, 400), (400, 10), (300, 300)])
def test_accuracy_agrees_with_the_dense_hungarian_algorithm(labels, clusters):
    rng = np.random.default_rng(labels)
    y, p = rng.integers(0, labels, 3000), rng.integers(0, clusters, 3000)
    p[:1000] = y[:1000] % clusters  # neither independent nor equal
    table = contingency_matrix(y, p)
    assert accuracy(y, p) == table[linear_sum_assignment(table, maximize=True)].sum() / 3000


def test_accuracy_by_hand():
    assert accuracy([0, 0, 1, 1], [1, 1, 0, 0]) == 1.0
    assert accuracy([0, 0, 1, 1], [0, 1, 2, 3]) == 0.5  # two of four clusters find a label
    assert accuracy([0, 1, 2, 3], [0, 0, 0, 0]) == 0.25
    assert accuracy([0, 0, 0, 1], [5, 5, 7, 7]) == 0.75
    # a greedy matching takes the 3 first and stays there; the best takes 2 + 2
    assert accuracy([0] * 3 + [0] * 2 + [1] * 2, [0] * 3 + [1] * 2 + [0] * 2) == 4 / 7


@bounded
@given(labelings())
def test_accuracy_has_its_bounds(pair):
    y, p = pair
    most = max(len(set(y.tolist())), len(set(p.tolist())))
    assert 1 / most - 1e-12 <= accuracy(y, p) <= purity(y, p) <= 1


# ---------------------------------------------------------------- mutual information and purity


@bounded
@given(labelings(), st.sampled_from(AVERAGES))
def test_nmi_is_scikit_learns(pair, average):
    assert nmi(*pair, average) == pytest.approx(normalized_mutual_info_score(*pair, average_method=average), abs=1e-9)


@pytest.mark.parametrize("average", AVERAGES)
def test_nmi_of_one_cluster(average):
    assert nmi([3, 3, 3], [8, 8, 8], average) == 1.0
    assert nmi([3, 3, 3], [0, 1, 2], average) == 0.0
    assert nmi([0, 1, 2], [3, 3, 3], average) == 0.0
    assert nmi([4], [9], average) == 1.0


@pytest.mark.parametrize("average", AVERAGES)
def test_nmi_of_equal_and_of_independent_partitions(average):
    y = np.repeat(np.arange(7), 13)
    assert nmi(y, -5 * y, average) == 1.0
    assert nmi(np.repeat([0, 1], 6), np.tile([0, 1, 2], 4), average) == pytest.approx(0, abs=1e-12)


def test_nmi_by_hand():
    """Four labels, each split in two clusters: I = H(y) = log 4 and H(p) = log 8."""
    y, p = np.repeat(np.arange(4), 10), np.repeat(np.arange(8), 5)
    expected = {"max": 2 / 3, "arithmetic": 4 / 5, "geometric": (2 / 3) ** 0.5, "min": 1}
    assert {a: nmi(y, p, a) for a in AVERAGES} == pytest.approx(expected)


@bounded
@given(labelings())
def test_the_averages_are_ordered(pair):
    scores = [nmi(*pair, average) for average in AVERAGES]
    assert all(low <= high + 1e-12 for low, high in itertools.pairwise(scores))
    assert scores[0] >= 0 and scores[-1] <= 1


def test_nmi_names_its_average():
    with pytest.raises(TypeError):
        nmi([0, 1], [0, 1])
    with pytest.raises(UsageError, match=r"average must be one of 'max'.*'mean'"):
        nmi([0, 1], [0, 1], "mean")


@bounded
@given(labelings())
def test_purity_counts_the_commonest_label_of_each_cluster(pair):
    y, p = pair
    assert purity(y, p) == sum(np.bincount(y[p == c]).max() for c in set(p.tolist())) / len(y)


def test_purity_is_one_when_each_sample_is_a_cluster():
    assert purity([0, 0, 1], [0, 1, 2]) == 1.0
    assert purity([0, 1, 2], [0, 0, 1]) == pytest.approx(2 / 3)  # not symmetric


# ---------------------------------------------------------------- labels are names


@bounded
@given(relabelled())
def test_names_and_order_do_not_matter(cases):
    (y, p), renamed, reordered = cases
    for score in (accuracy, purity, *(lambda y, p, a=a: nmi(y, p, a) for a in AVERAGES)):
        assert score(*renamed) == pytest.approx(score(y, p), abs=1e-12)
        assert score(*reordered) == pytest.approx(score(y, p), abs=1e-12)


@bounded
@given(labelings())
def test_matching_and_information_are_symmetric(pair):
    y, p = pair
    assert accuracy(y, p) == accuracy(p, y)
    for average in AVERAGES:
        assert nmi(y, p, average) == pytest.approx(nmi(p, y, average), abs=1e-12)


def spellings():
    y = np.array([0, 0, 1, 1, 2, 2])
    yield "list", y.tolist()
    yield "tuple", tuple(y)
    yield "uint8", y.astype(np.uint8)
    yield "int8", (y - 1).astype(np.int8)
    yield "bigger than int64", y.astype(np.uint64) + np.uint64(2**64 - 4)
    yield "neighbours beyond float64", [2**63, 2**63, 2**63 + 1, 2**63 + 1, -1, -1]
    yield "python integers of any size", [10**30, 10**30, 10**30 + 1, 10**30 + 1, -(10**30), -(10**30)]
    yield "whole floats", y.astype(float)
    yield "list of whole floats", [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]
    yield "torch", torch.tensor(y)
    yield "torch uint8", torch.tensor(y, dtype=torch.uint8)
    yield "torch bfloat16 with a gradient", torch.tensor(y, dtype=torch.bfloat16, requires_grad=True)
    yield "pandas", pd.Series(y, index=list("abcdef"))
    yield "pandas nullable", pd.Series(y, dtype="Int64")
    yield "strided", np.repeat(y, 2)[::2]


@pytest.mark.parametrize("labels", [pytest.param(labels, id=name) for name, labels in spellings()])
def test_any_spelling_of_integers(labels):
    p = [7, 7, -3, 7, 7, 9]
    reference = [0, 0, 1, 1, 2, 2]
    for first, second, y, q in ((labels, p, reference, p), (p, labels, p, reference)):
        assert accuracy(first, second) == accuracy(y, q)
        assert purity(first, second) == purity(y, q)
        assert nmi(first, second, "max") == pytest.approx(nmi(y, q, "max"), abs=1e-12)
    features = np.arange(6.0)[:, None]
    assert knn_purity(features, labels, 2) == knn_purity(features, reference, 2)


def test_booleans_are_labels():
    assert accuracy([True, False, True], [0, 1, 0]) == 1.0


@pytest.mark.parametrize(
    "labels, message",
    [
        ([], "empty"),
        ([0, 1], "differ in length: 2 and 3"),
        ([[0, 1, 2]], r"one-dimensional, got shape \(1, 3\)"),
        ([[0], [1, 2]], "ragged"),
        (3, "one-dimensional"),
        ([0, 1, np.nan], "must be integers, got nan"),
        (np.array([0, 1, np.inf]), "integers"),
        ([0, 1, 0.5], "must be integers, got 0.5"),
        (np.array([0.0, 1.5, 2.0]), "integers"),
        (["a", "b", "c"], "must be integers, got a"),
        ([0, 1, None], "must be integers, got None"),
        (pd.Series([0, 1, None], dtype="Int64"), "integers"),
        (np.array([0, 1, 2j]), "integers"),
    ],
)
def test_labels_that_cannot_be_scored(labels, message):
    good = [0, 1, 2]
    scores = (accuracy, purity, lambda y, p: nmi(y, p, "max"))
    for score, pair in itertools.product(scores, ((labels, good), (good, labels))):
        with pytest.raises(ValueError, match=message.split(":")[0]) as caught:
            score(*pair)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError):
        knn_purity(np.eye(3), labels, 1)
    with pytest.raises(ValueError):
        one_nn_error(np.eye(3), labels)


# ---------------------------------------------------------------- neighbours


def brute_force_knn_purity(features, y, k):
    distances = np.linalg.norm(features[:, None] - features[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    return np.mean(y[np.argsort(distances, axis=1)[:, :k]] == y[:, None])


@bounded
@given(clouds(), st.integers(1, 5))
def test_knn_purity_is_the_mean_share(cloud, k):
    features, y, rng = cloud
    assert knn_purity(features, y, k) == pytest.approx(brute_force_knn_purity(features, y, k), abs=1e-12)
    order = rng.permutation(len(y))
    assert knn_purity(features[order], y[order], k) == pytest.approx(knn_purity(features, y, k), abs=1e-12)
    assert 0 <= knn_purity(features, -7 * y, k) <= 1


def test_knn_purity_for_several_k():
    rng = np.random.default_rng(0)
    features, y = rng.normal(size=(50, 3)), rng.integers(0, 3, 50)
    ks = [40, 1, 5, 49]
    assert knn_purity(features, y, ks) == pytest.approx([brute_force_knn_purity(features, y, k) for k in ks])
    counts = np.bincount(y)
    assert knn_purity(features, y, 49) == pytest.approx((counts * (counts - 1)).sum() / (50 * 49))
    assert isinstance(knn_purity(features, y, np.int64(3)), float)


def test_a_sample_is_not_its_own_neighbour():
    """Duplicates lie at distance zero of each other and must still not be counted as themselves."""
    features, y = np.repeat(np.eye(3, 4), 2, axis=0), np.array([0, 1, 0, 1, 0, 1])
    assert knn_purity(features, y, 1) == 0.0
    assert one_nn_error(features, y) == 1.0


def test_images_of_bytes_do_not_wrap_around():
    features = np.array([[0], [255], [1], [254]], dtype=np.uint8)
    assert knn_purity(features, [0, 1, 0, 1], 1) == 1.0
    assert knn_purity(torch.tensor(features), torch.tensor([0, 1, 0, 1]), 1) == 1.0


@pytest.mark.parametrize("k", [0, 5, -1, 1.5, [], [1, 9], [[1]], "2"])
def test_k_out_of_range(k):
    with pytest.raises(UsageError, match="k must be between 1 and 4"):
        knn_purity(np.eye(5), np.arange(5), k)


@bounded
@given(clouds())
def test_one_nn_error_is_scikit_learns_classifier(cloud):
    features, y, rng = cloud
    test, truth = rng.normal(size=(9, features.shape[1])), rng.integers(0, 5, 9)  # a label that was never seen
    wrong = 1 - KNeighborsClassifier(1).fit(features, y).score(test, truth)
    assert one_nn_error(features, y, test, truth) == pytest.approx(wrong, abs=1e-12)
    assert one_nn_error(features, y.astype(np.uint8), test, truth.astype(np.int32)) == pytest.approx(wrong, abs=1e-12)
    assert one_nn_error(features, y) == pytest.approx(1 - brute_force_knn_purity(features, y, 1), abs=1e-12)
    assert one_nn_error(features, y, features, y) == 0.0


def test_one_nn_error_checks_its_sides():
    X, y = np.eye(4), np.arange(4)
    with pytest.raises(UsageError, match="together"):
        one_nn_error(X, y, X)
    with pytest.raises(UsageError, match="together"):
        one_nn_error(X, y, test_labels=y)
    with pytest.raises(ValueError, match="width: 4 and 3"):
        one_nn_error(X, y, X[:, :3], y)
    with pytest.raises(ValueError, match="test features and labels differ"):
        one_nn_error(X, y, X, y[:2])
    with pytest.raises(ValueError, match="NaN"):
        one_nn_error(X * np.nan, y)
    assert one_nn_error(X[:1], y[:1], X, y) == 0.75  # one training sample is enough beside a test set


# ---------------------------------------------------------------- trustworthiness


@bounded
@given(clouds(), st.integers(1, 2))
def test_trustworthiness_is_scikit_learns(cloud, k):
    X, _, rng = cloud
    embedding = rng.normal(size=(len(X), 2))
    expected = manifold.trustworthiness(X, embedding, n_neighbors=k)
    assert trustworthiness(X, embedding, k) == pytest.approx(expected, abs=1e-12)
    order = rng.permutation(len(X))
    assert trustworthiness(X[order], embedding[order], k) == pytest.approx(expected, abs=1e-12)
    assert trustworthiness(X, 3 * X, k) == 1.0
    assert 0 <= expected <= 1


def test_trustworthiness_over_several_blocks():
    """3 000 samples are read in three blocks of rows."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 20)).astype(np.float32)
    embedding = X[:, :2] + rng.normal(size=(3000, 2)).astype(np.float32)
    expected = manifold.trustworthiness(X.astype(np.float64), embedding, n_neighbors=12)
    assert trustworthiness(X, embedding, 12) == pytest.approx(expected, abs=1e-9)
    assert trustworthiness(torch.tensor(X), torch.tensor(embedding), 12) == trustworthiness(X, embedding, 12)


def test_equal_distances_share_the_lowest_rank():
    """The corners of a square: both adjacent corners have rank 1, the opposite one rank 3."""
    square = np.array([[0, 0], [0, 1], [1, 1], [1, 0]])
    across = np.array([[0.0], [10.0], [1.0], [11.0]])  # nearest in the embedding is the opposite corner
    along = np.array([[0.0], [1.0], [11.0], [10.0]])
    assert trustworthiness(square, along, 1) == 1.0
    assert trustworthiness(square, across, 1) == pytest.approx(1 - 2 / (4 * 1 * (8 - 3 - 1)) * 4 * 2)


def test_trustworthiness_checks_its_input():
    X = np.random.default_rng(0).normal(size=(10, 3))
    for k in (0, 5, -1, 1.5, True):
        with pytest.raises(UsageError, match="n_neighbors must be"):
            trustworthiness(X, X, k)
    with pytest.raises(ValueError, match="X and embedding differ in length: 10 and 9"):
        trustworthiness(X, X[:9], 2)
    with pytest.raises(ValueError, match="shape"):
        trustworthiness(X, X[:, 0], 2)


# ---------------------------------------------------------------- size and cost


@pytest.mark.parametrize("labels, clusters", [(10, 10), (1000, 10_000), (10, 1_000_000), (1_000_000, 1_000_000)])
def test_a_million_points(labels, clusters):
    """About a second each on one core; the bound leaves room for a busy machine."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, labels, 1_000_000)
    p = y[::-1] if labels == clusters == 10 else rng.integers(0, clusters, 1_000_000)
    if labels == 1_000_000:
        y = rng.permutation(1_000_000)
        p = 10**15 - 3 * y
    for score in (accuracy, purity, lambda y, p: nmi(y, p, "geometric")):
        start = time.process_time()
        value = score(y, p)
        assert time.process_time() - start < 5
        assert 0 <= value <= 1 and (value == 1.0) == (labels == 1_000_000)


def test_the_import_is_light():
    code = "import sys, clustlib.metrics; print(*{'scipy', 'sklearn', 'torch', 'pandas', 'faiss'} & set(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8"
    ).stdout
    assert loaded.strip() == ""


@pytest.mark.parametrize("kind", ["sparse", "meta"])
def test_labels_that_no_array_holds_are_refused(kind):
    y = torch.tensor([0, 1, 1])
    with pytest.raises(UsageError, match="labels must hold numbers"):
        nmi(y.to_sparse() if kind == "sparse" else y.to(kind), y, average="max")
