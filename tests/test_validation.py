"""The input checks that every estimator shares, as each estimator's user meets them."""

import numpy as np
import pytest
import torch

import clustlib
from clustlib import cluster, datasets, kernels, metrics
from clustlib._images import check_images
from clustlib._validation import check_choice, check_features, check_integer, check_number
from clustlib.errors import UsageError
from clustlib.published.tables import choose
from clustlib.transfer.coates import random_patches

ESTIMATORS = [getattr(cluster, name) for name in cluster.__all__ if name != "AverageLinkage"]


def groups(scale: float) -> np.ndarray:
    """Three well-separated groups of twenty points, (60, 5) float32."""
    rows = np.random.default_rng(0).random((60, 5)) + np.repeat([0, 3, 6], 20)[:, None]
    return (rows * scale).astype(np.float32)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("bad", [1e19, 1e25, 1e37])
def test_rows_whose_squared_distances_overflow_are_refused_in_one_line(estimator, bad):
    with pytest.raises(ValueError, match="squared distances overflow float32"):
        estimator(3).fit(groups(bad))


@pytest.mark.parametrize("method", ["scipy", "low_memory"])
def test_average_linkage_computes_in_float64_and_takes_what_that_holds(method):
    model = cluster.AverageLinkage(3, method=method)
    assert np.bincount(model.fit(groups(1e37)).labels_).tolist() == [20, 20, 20]
    with pytest.raises(ValueError, match="squared distances overflow float64"):
        model.fit(groups(1).astype(np.float64) * 1e160)


def test_the_longest_rows_that_are_let_through_have_finite_squared_distances():
    largest = np.float32(4e18 / 5**0.5) * np.array([[1.0] * 5, [-1.0] * 5], np.float32) * np.float32(0.999)
    first, second = check_features(largest)
    assert np.isfinite(np.float32(((first - second) ** 2).sum()))
    with pytest.raises(ValueError, match="too large"):
        check_features(largest * np.float32(1.01))


@pytest.mark.parametrize("value", [True, 1.0, "1", None, -1])
def test_what_is_no_integer_is_refused_by_name(value):
    with pytest.raises(UsageError, match="epochs must be an integer from 0 on"):
        check_integer("epochs", value, 0)


def test_integers_of_numpy_are_integers():
    check_integer("epochs", np.int64(3), 3)


# ------------------------------------------------------------------ parameters


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (cluster.LocalityPreservingNMF(3, max_iter=0), "max_iter"),
        (cluster.LocalityPreservingNMF(3, n_components=0), "n_components"),
        (cluster.LocalityPreservingNMF(3, alpha=float("nan")), "alpha"),
        (cluster.SelfTuningSpectral(3, n_neighbors=0), "n_neighbors"),
        (cluster.LandmarkSpectral(3, n_landmarks=0), "n_landmarks"),
        (cluster.NormalizedCuts(3, scale=float("inf")), "scale"),
        (cluster.SpectralNJW(3, scale=[0.1, "wide"]), "scale"),
        (cluster.SpectralNJW(3, device="gpu"), "device"),
        (cluster.KMeans(3, n_init="auto"), "n_init"),
        (cluster.KMeans(3, n_init=True), "n_init"),
        (cluster.KMeans(3, random_state=np.random.default_rng(0)), "random_state"),
        (cluster.KMeans(np.arange(500)), "n_clusters"),
        (cluster.GraphLinkage(3, a=float("nan")), "a"),
        (cluster.GraphLinkage(3, linkage=None), "linkage"),
        (cluster.AverageLinkage(3, max_memory=-1), "max_memory"),
        (cluster.DeepSemiNMF(3, layers="wide"), "layers"),
        (cluster.DeepSemiNMF(3, layers=(4, 2.5)), "layers"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_parameter_that_cannot_be_right_is_named_in_one_line(model, name):
    with pytest.raises(UsageError) as caught:
        model.fit(groups(1))
    message = str(caught.value)
    assert name in message and "\n" not in message and len(message) <= 200


def test_numbers_and_choices():
    check_number("alpha", np.float32(0.5), most=1)
    check_number("alpha", 0, zero=True)
    for value in (0, -1, float("nan"), float("inf"), True, "1", None, 1.5):
        with pytest.raises(UsageError, match="alpha must be"):
            check_number("alpha", value, most=1)
    check_choice("norm", None, ("unit", None))
    for name in ("Unit", [], np.zeros(3), 1):
        with pytest.raises(UsageError, match="norm must be one of unit, None"):
            check_choice("norm", name, ("unit", None))


# ------------------------------------------------------------------ images


IMAGES = np.random.default_rng(0).integers(0, 256, (4, 3, 8, 8), dtype=np.uint8)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint16, np.uint64])
def test_whole_numbers_of_0_to_255_are_the_images_that_they_copy(dtype):
    same = check_images(IMAGES.astype(dtype))
    assert same.dtype == np.uint8
    np.testing.assert_array_equal(same, IMAGES)


def test_floats_of_0_to_1_stay_and_16_bits_are_brought_there():
    unit = (IMAGES / 255).astype(np.float32)
    assert check_images(unit.astype(np.float64)).dtype == np.float32
    np.testing.assert_array_equal(check_images(unit), unit)
    assert check_images(IMAGES[:, 0] > 7).max() == 1
    with pytest.warns(UserWarning, match="16 bits are divided by 65535"):
        deep = check_images(IMAGES.astype(np.uint16) * 257)
    np.testing.assert_allclose(deep, unit, atol=1e-6)


def one_bright_pixel():
    images = IMAGES / 255
    images[0, 0, 0, 0] = 1e19
    return images


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES.astype(np.float32), "floats in 0..1, got float32 from 0 to 255; divide by 255"),
        (one_bright_pixel(), "floats in 0..1, got float64 from 0 to 1e"),
        (IMAGES / 255 - 0.5, "floats in 0..1"),
        (IMAGES.astype(np.int64) - 1, "got int64 from -1 to"),
        (IMAGES.astype(np.int64) * 300, "got int64 from 0 to"),
        (np.full((4, 8, 8), np.nan), "NaN"),
        (IMAGES.transpose(0, 2, 3, 1), "channels last: images.transpose"),
        (IMAGES[0, 0], "N, C, H, W"),
        (IMAGES[:0], "no images"),
        ([["a"]], "must be numbers"),
        (None, "must be numbers"),
    ],
)
def test_images_on_another_scale_or_of_another_shape_are_refused(images, message):
    with pytest.raises(UsageError, match=message) as caught:
        check_images(images)
    assert len(str(caught.value)) <= 200


def test_what_has_no_scale_may_be_any_number_but_not_too_large():
    white = (IMAGES / 128 - 1).astype(np.float32)
    np.testing.assert_array_equal(check_images(white, scaled=False), white)
    for bad in (one_bright_pixel(), np.full((4, 8, 8), np.nan), np.full((4, 8, 8), np.inf)):
        with pytest.raises(UsageError, match="overflow float32"):
            check_images(bad, scaled=False)


# ------------------------------------------------------------------ what no array can hold


class Broken:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("first line\nsecond line")


UNHELD = [
    (torch.empty(5, 2, device="meta"), "must hold numbers"),
    (torch.eye(5).to_sparse(), "must hold numbers"),
    (torch.zeros(2, 5, dtype=torch.complex64).T.conj(), "numbers|Complex"),
    (Broken(), "must hold numbers: first line second line"),
    ([[1, 2], [3]], "must"),
    (np.ma.masked_array(np.eye(5), mask=np.eye(5) > 0), "5 masked values"),
]


@pytest.mark.parametrize(("bad", "message"), UNHELD)
@pytest.mark.parametrize("check", [check_features, check_images])
def test_what_no_array_can_hold_is_refused_in_one_line(check, bad, message):
    with pytest.raises(UsageError, match=message) as caught:
        check(bad)
    assert "\n" not in str(caught.value) and len(str(caught.value)) <= 200


def test_what_an_array_can_hold_is_taken_for_it():
    rows = np.arange(10.0).reshape(5, 2)
    kinds = [torch.bfloat16, torch.float16, torch.float8_e5m2, torch.int16]
    same = [torch.from_numpy(rows).to(kind) for kind in kinds[:2] + kinds[3:]]
    same += [torch.from_numpy(rows).requires_grad_(), np.ma.masked_array(rows, mask=rows > 99)]
    for X in same:
        np.testing.assert_array_equal(check_features(X), rows)
    assert check_features(torch.ones(3, 2).to(kinds[2])).dtype == np.float32


# ------------------------------------------------------------------ functions of the kernels


GRAPH = kernels.affinity_graph(groups(1), 4)
TREE = kernels.graph_linkage(GRAPH, kernels.initial_clusters(GRAPH))
LONG = np.zeros((20, 4))


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: kernels.merge_scores(np.eye(4), k_c=LONG), "k_c"),
        (lambda: kernels.merge_scores(np.eye(4), k_c=None), "k_c"),
        (lambda: kernels.merge_scores(np.eye(4), weight=float("nan")), "weight"),
        (lambda: kernels.merge_scores(None), "affinities"),
        (lambda: kernels.merge_scores(np.ones((3, 2))), "affinities"),
        (lambda: kernels.mutual_edges(None), "neighbours"),
        (lambda: kernels.mutual_edges(LONG), "neighbours"),
        (lambda: kernels.cluster_affinities(None, [0]), "graph"),
        (lambda: kernels.cluster_affinities(GRAPH, None), "labels"),
        (lambda: kernels.cluster_affinities(GRAPH, np.full(60, -1)), "labels"),
        (lambda: kernels.description_lengths("tree", LONG), "tree"),
        (lambda: kernels.description_lengths(TREE, kernels.mutual_edges(GRAPH.indices), price=LONG), "price"),
        (lambda: kernels.graph_linkage(LONG, [0]), "graph"),
        (lambda: kernels.nearest_neighbours(LONG, 3), "points"),
        (lambda: kernels.knn(groups(1), LONG), "k, the number"),
        (lambda: kernels.knn(groups(1), 3, device=10**30), "device"),
        (lambda: kernels.knn(groups(1), 3, device=LONG), "device"),
        (lambda: kernels.knn(groups(1), 3, backend=LONG), "backend"),
        (lambda: kernels.kmeans(groups(1), 3, device=LONG), "device"),
        (lambda: kernels.kmeans(groups(1), 3, split=LONG), "split"),
        (lambda: kernels.kmeans(groups(1), LONG), "n_clusters"),
        (lambda: metrics.nmi([0, 1], [0, 1], LONG), "average"),
        (lambda: metrics.knn_purity(groups(1), np.arange(60), "many"), "k "),
    ],
)
def test_a_function_s_argument_that_cannot_be_right_is_named_in_one_line(call, name):
    with pytest.raises(UsageError) as caught:
        call()
    assert name in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) <= 200


@pytest.mark.parametrize("name", ["nonsense", "x" * 500, "a\nb" * 90, None, 3])
@pytest.mark.parametrize(
    "call",
    [datasets.load, datasets.info, datasets.folder, lambda name: choose("data set", name, datasets.names())],
)
def test_an_unknown_name_is_one_line_whatever_its_length(call, name):
    with pytest.raises(UsageError, match="unknown data set") as error:
        call(name)
    assert len(str(error.value)) <= 200
    assert "\n" not in str(error.value)


def test_a_message_keeps_its_beginning_and_its_end():
    assert str(UsageError("short: it stays")) == "short: it stays"
    said = str(UsageError(f"seed {'9' * 1000} is wrong"))
    assert said.startswith("seed 999") and said.endswith("is wrong")
    assert len(said) <= 200


# ------------------------------------------------------------------ counts, numbers in containers, functions


@pytest.mark.parametrize("many", [2**31, 2**63, 10**30])
def test_whole_numbers_that_nothing_counts_to_are_refused(many):
    pictures = np.random.default_rng(0).integers(0, 256, (12, 1, 16, 16), dtype=np.uint8)
    calls = [
        lambda: cluster.KMeans(2, max_iter=many).fit(np.eye(4)),
        lambda: clustlib.JULE(2, epochs=many).fit(pictures),
        lambda: clustlib.DBC(2, epochs=many).fit(pictures),
        lambda: clustlib.DeepCluster(2, epochs=many).fit(pictures),
        lambda: clustlib.GSNMF(2, max_iter=many).fit(np.eye(4)),
        lambda: random_patches(pictures, many, 3),
    ]
    for call in calls:
        with pytest.raises(UsageError, match="2147483647"):
            call()


def test_numpy_s_numbers_within_a_parameter_become_python_s():
    given = {"filters": np.uint8(200), "features": np.int16(12)}
    pictures = np.random.default_rng(0).integers(0, 256, (60, 1, 16, 16), dtype=np.uint8)
    model = clustlib.JULE(2, network=given, epochs=1, random_state=0).fit(pictures)
    assert model.network_.top.out_features == 12
    assert {type(value) for value in model.network.values()} == {int}
    assert type(given["filters"]) is np.uint8


def test_what_a_fit_would_call_is_looked_at_before_the_work():
    pictures = np.random.default_rng(0).integers(0, 256, (12, 1, 16, 16), dtype=np.uint8)
    with pytest.raises(UsageError, match="monitor must be a function"):
        clustlib.DBC(2, epochs=1).fit(pictures, monitor=3)
    with pytest.raises(UsageError, match="after_epoch must be a function"):
        clustlib.DeepCluster(2, epochs=1).fit(pictures, after_epoch=3)
    for estimator in (clustlib.JULE(2, epochs=1), clustlib.DeepCluster(2, epochs=1)):
        with pytest.raises(UsageError, match="y must"):
            estimator.fit(pictures, [[1], [2, 3]])


def test_weights_of_another_network_are_one_line():
    pictures = np.random.default_rng(0).integers(0, 256, (12, 1, 16, 16), dtype=np.uint8)
    for weights in (None, {}, {"a": 3}, {"a": np.zeros(3)}, {"a": "text"}):
        with pytest.raises(UsageError, match="weights") as raised:
            clustlib.FCAEFeatures(whiten=2).restore(pictures, weights)
        assert len(str(raised.value)) <= 200
