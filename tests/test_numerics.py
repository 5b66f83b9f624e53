"""Numbers that are hard to tell apart: far from the origin, groups far from each other, wide integers, tiny units."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from clustlib import GSNMF, cluster, kernels
from clustlib._validation import measured_from, origin_of
from clustlib.errors import UsageError
from clustlib.kernels.differences import mend
from clustlib.kernels.linkage.isolated import Centroids, cheapest_by_ward
from clustlib.kernels.whitening import pca_whiten
from clustlib.metrics import knn_purity, one_nn_error, trustworthiness
from clustlib.transfer import svm_accuracy, voc
from clustlib.transfer.coates import random_patches, standardised_svm_accuracy
from clustlib.transfer.retrieval import region_grid

LINE = np.array([[0.0], [1], [3], [3.5], [7], [7.4]]) * 1e-4
TWINS = np.array([0, 0, 1, 1, 2, 2])
GRID = np.arange(8)[:, None] * 0.1
GROUPS = np.concatenate([GRID, 5 + GRID, 10_000 + GRID])
BLOBS = np.random.default_rng(0).normal(size=(30, 2)) * 0.05 + np.repeat([[0.0, 0], [4, 0], [0, 9]], 10, axis=0)
ESTIMATORS = [
    cluster.KMeans(3, random_state=0),
    cluster.AverageLinkage(3),
    cluster.AverageLinkage(3, method="low_memory"),
    cluster.GraphLinkage(3, n_neighbors=4),
    cluster.SpectralNJW(3, random_state=0),
    cluster.SelfTuningSpectral(3, n_neighbors=4, random_state=0),
    cluster.LandmarkSpectral(3, n_nearest=30, random_state=0),
    cluster.NormalizedCuts(3, random_state=0),
]
each_estimator = pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: f"{type(e).__name__}")


def same_partition(one, other):
    return adjusted_rand_score(one, other) == 1


# ------------------------------------------------------------------ far from the origin


@pytest.mark.parametrize("offset", [0, 1, 50_000, 1e8, 1e10])
def test_neighbours_do_not_change_with_the_origin(offset):
    rows = LINE + offset
    assert one_nn_error(rows, TWINS) == 0
    assert one_nn_error(rows, TWINS, rows, TWINS) == 0
    assert knn_purity(rows, TWINS, 1) == 1
    assert trustworthiness(rows, LINE, 2) == 1


@each_estimator
@pytest.mark.parametrize(("offset", "dtype"), [(1e9, np.float64), (3e4, np.float32)])
def test_clusters_do_not_change_with_the_origin(estimator, offset, dtype):
    rows = (BLOBS + offset).astype(dtype)
    assert same_partition(estimator.fit_predict(rows), np.repeat([0, 1, 2], 10))


def test_new_rows_far_from_the_origin_go_to_the_centre_they_went_to_in_the_fit():
    rows = BLOBS + 1e9
    model = cluster.KMeans(3, random_state=0).fit(rows)
    np.testing.assert_array_equal(model.predict(rows), model.labels_)
    expected = [rows[model.labels_ == c].mean(axis=0) for c in range(3)]
    np.testing.assert_allclose(model.cluster_centers_, expected, rtol=1e-15, atol=1e-6)


@pytest.mark.parametrize("backend", ["faiss", "torch"])
def test_k_means_of_float32_far_from_the_origin(backend):
    rows = (BLOBS + 3e4).astype(np.float32)
    near = kernels.kmeans(rows - np.float32(3e4), 3, seed=1, backend=backend)
    far = kernels.kmeans(rows, 3, seed=1, backend=backend)
    np.testing.assert_array_equal(far.labels, near.labels)
    np.testing.assert_allclose(far.centroids, near.centroids + 3e4, rtol=1e-6)


def test_squared_distances_of_tensors_far_from_the_origin():
    x = torch.from_numpy(BLOBS.astype(np.float32))
    far = kernels.squared_distances(x.double() + 1e9, x.double() + 1e9)
    wanted = np.square(BLOBS[:, None] - BLOBS[None]).sum(axis=2)
    np.testing.assert_allclose(far.numpy(), wanted, atol=1e-5)


def test_whitening_far_from_the_origin():
    rows = torch.from_numpy(np.random.default_rng(1).normal(size=(50, 4)) * 1e-3)
    near, far = pca_whiten([rows])(rows), pca_whiten([rows + 1e5])(rows + 1e5)
    assert far.dtype == torch.float32
    np.testing.assert_allclose(np.abs(far.numpy()), np.abs(near.numpy()), atol=1e-3)


def test_ordinary_rows_are_not_moved():
    for rows in (BLOBS, BLOBS + 30, np.full((5, 2), 1e9), np.arange(12, dtype=np.uint8).reshape(4, 3)):
        assert origin_of(rows) is None
    assert origin_of(BLOBS + 1e4) is not None


# ------------------------------------------------------------------ groups far from each other


@pytest.mark.parametrize("unit", [1.0, 1e-8, 1e8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["KMeans", "AverageLinkage", "SpectralNJW", "SelfTuningSpectral", "NormalizedCuts"])
def test_groups_stay_apart_beside_a_third_one_far_away(name, dtype, unit):
    options = {} if name == "AverageLinkage" else {"random_state": 0}
    labels = getattr(cluster, name)(3, **options).fit_predict((GROUPS * unit).astype(dtype))
    assert same_partition(labels, np.repeat([0, 1, 2], 8))


def test_neighbours_within_groups_that_lie_far_apart():
    rows = np.concatenate([LINE, LINE + 1, LINE + 1e6])
    labels = np.concatenate([TWINS, TWINS + 3, TWINS + 6])
    assert one_nn_error(rows, labels) == 0
    assert one_nn_error(rows, labels, rows[::-1], labels[::-1]) == 0


def test_distances_that_products_lose_come_from_differences():
    X = np.concatenate([LINE, LINE + 1e6])
    x2 = np.square(X).sum(axis=1)
    exact = np.square(X[:, None] - X[None]).sum(axis=2)
    D = x2[:, None] + x2 - 2 * X @ X.T
    assert np.abs(D - exact).max() > 1e-5  # what there is to mend
    mend(D, X, X, x2, x2)
    near = exact < 1e-3
    np.testing.assert_allclose(D[near], exact[near], rtol=1e-6, atol=1e-20)


class _Forest:
    """As many clusters as points, none merged."""

    def __init__(self, n):
        self.node = self.label = self.parent = np.arange(n)
        self.done = np.zeros(1, np.int64)
        self.children = np.zeros((n - 1, 2), np.int64)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nearest_centroids_and_ward_within_groups_that_lie_far_apart(dtype):
    points = np.array([[0.0], [4e-3], [5e-3], [1.0], [1e4]], dtype)
    forest = _Forest(5)
    centroids = Centroids(points, forest)
    assert cheapest_by_ward(forest, centroids) == (1, 2)
    assert [centroids.nearest(c)[1] for c in range(5)] == [1, 2, 1, 2, 3]


# ------------------------------------------------------------------ wide integers


@pytest.mark.parametrize("base", [0, 2**24, 1_600_000_000, 2**53, 10**18, 2**62])
def test_wide_integers_keep_their_differences(base):
    rows = np.array([[0], [10], [60], [70]]) + base
    for estimator in ESTIMATORS[:2]:
        assert same_partition(clone(estimator).set_params(n_clusters=2).fit_predict(rows), [0, 0, 1, 1])
    np.testing.assert_array_equal(kernels.knn(rows, 1)[0].ravel(), [1, 0, 3, 2])
    assert one_nn_error(rows, [0, 0, 1, 1]) == 0
    model = cluster.KMeans(2, random_state=0).fit(rows)
    np.testing.assert_array_equal(model.predict(rows), model.labels_)
    np.testing.assert_array_equal(model.predict(rows + 2), model.labels_)


def test_neighbouring_integers_are_two_rows():
    assert set(cluster.KMeans(2, random_state=0).fit_predict([[2**24], [2**24 + 1]])) == {0, 1}


def test_differences_of_integers_at_both_ends_of_their_range():
    rows = np.array([[2**64 - 3], [2**64 - 1]], np.uint64)
    np.testing.assert_array_equal(measured_from(rows, origin_of(rows)).ravel(), [0, 2])
    wide = np.array([[-(2**63)], [2**63 - 1]])
    np.testing.assert_array_equal(measured_from(wide, origin_of(wide)).ravel(), [-(2.0**63), 2.0**63])


# ------------------------------------------------------------------ tiny units


def test_scores_of_an_svm_do_not_change_with_the_unit():
    rows, labels = BLOBS - [2, 4], np.repeat([0, 1, 2], 10)
    assert svm_accuracy(rows * 1e-15, labels, rows * 1e-15, labels) == svm_accuracy(rows, labels, rows, labels)


@each_estimator
@pytest.mark.parametrize("unit", [1e-170, 1e-80, 1e-40, 1e-23, 1e-19])
def test_rows_too_small_for_their_squares_are_refused_or_clustered_right(estimator, unit):
    try:
        found = estimator.fit_predict(BLOBS * unit)
    except UsageError as error:
        assert "features are too small" in str(error) and len(str(error)) <= 200
    else:
        assert isinstance(estimator, cluster.AverageLinkage)
        assert same_partition(found, np.repeat([0, 1, 2], 10))


def test_new_rows_may_be_as_small_as_they_like():
    model = cluster.KMeans(3, random_state=0).fit(BLOBS)
    assert set(model.predict(BLOBS[:10] * 1e-30)) == {model.predict([[0.0, 0.0]])[0]}
    assert one_nn_error(BLOBS, np.repeat([0, 1, 2], 10), BLOBS[:10] * 1e-30, np.zeros(10, int)) == 0


@pytest.mark.parametrize("unit", [2.0**-170, 2.0**170])
@pytest.mark.parametrize("method", ["scipy", "low_memory"])
def test_average_linkage_is_the_same_tree_in_any_unit(method, unit):
    tree, other = (cluster.AverageLinkage(3, method=method).fit(BLOBS * u).linkage_matrix_ for u in (1.0, unit))
    np.testing.assert_array_equal(other[:, [0, 1, 3]], tree[:, [0, 1, 3]])
    np.testing.assert_allclose(other[:, 2] / unit, tree[:, 2], rtol=1e-6)


@pytest.mark.parametrize(
    ("model", "grows"),
    [
        (cluster.LocalityPreservingNMF(3, n_neighbors=4, n_init=2, max_iter=30, random_state=0), "embedding_"),
        (cluster.LocalityPreservingNMF(3, variant="released", n_init=2, random_state=0), "embedding_"),
        (cluster.DeepSemiNMF(3, layers=(2,), max_iter=30, random_state=0), None),
    ],
)
def test_factorisations_have_no_floor_that_small_rows_fall_under(model, grows):
    rows = np.abs(BLOBS) / 16
    unit = 2.0**-40
    near, far = (clone(model).fit(rows * u) for u in (1.0, unit))
    np.testing.assert_array_equal(far.labels_, near.labels_)
    if grows:
        np.testing.assert_allclose(far.embedding_ / unit, near.embedding_, rtol=1e-4, atol=1e-6)
    else:
        np.testing.assert_allclose(far.embedding_, near.embedding_, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(far.factors_[0] / unit, near.factors_[0], rtol=1e-3, atol=1e-5)
    size = "objective" if grows else "residual"
    grown = 1 / unit if getattr(model, "variant", "") == "released" else unit  # its weights are inverse squares
    assert far.history_[0][size] == pytest.approx(near.history_[0][size] * grown, rel=1e-3)


def test_a_penalty_that_leaves_nothing_is_told():
    with pytest.warns(ConvergenceWarning, match="the coefficients vanish: l1=0.05 is too large for features"):
        GSNMF(3, init="random", random_state=0, device="cpu").fit(np.abs(BLOBS) * 1e-6)


# ------------------------------------------------------------------ fewer clusters than asked


def test_a_cluster_that_was_not_found_is_told():
    rows = np.random.default_rng(13).normal(size=(24, 2))
    with pytest.warns(ConvergenceWarning, match="found 4 clusters, fewer than n_clusters=5"):
        labels = cluster.NormalizedCuts(5, random_state=0).fit_predict(rows)
    assert len(np.unique(labels)) == 4


@each_estimator
def test_more_clusters_than_distinct_rows_are_told_and_no_row_is_split(estimator):
    rows = np.repeat(np.array([[0.0, 1], [4, 0]]), 6, axis=0)
    options = {"initial": "singletons"} if isinstance(estimator, cluster.GraphLinkage) else {}
    model = type(estimator)(**{**estimator.get_params(), "n_clusters": 3, **options})
    with pytest.warns(ConvergenceWarning, match=r"n_clusters=3 is more than the 2 distinct rows|found 2 clusters"):
        labels = model.fit_predict(rows)
    if not isinstance(estimator, cluster.AverageLinkage | cluster.GraphLinkage):
        assert same_partition(labels, np.repeat([0, 1], 6))


@each_estimator
def test_nothing_is_told_where_all_is_well(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        assert len(set(estimator.fit_predict(BLOBS))) == 3


# ------------------------------------------------------------------ units


@pytest.mark.parametrize("unit", [2.0**-55, 2.0**-30, 2.0**45, 2.0**60])
@pytest.mark.parametrize("penalties", [{"l1": 0.0}, {"l1": 2.0**-6}, {"l1": 0.0, "l21": 2.0**-6}])
def test_gsnmf_in_another_unit_gives_the_same_factors(unit, penalties):
    rows = np.random.default_rng(2).random((30, 8)).astype(np.float32)
    settings = {"l2": 0.1, "init": "random", "max_iter": 20, "random_state": 0}
    near = GSNMF(3, **settings, **penalties).fit(rows)
    scaled = {name: value * unit for name, value in penalties.items()}
    if max(scaled.values()) > 1e15:
        pytest.skip("a penalty as large is refused")
    far = GSNMF(3, **settings, **scaled).fit(rows * np.float32(unit))
    np.testing.assert_allclose(far.embedding_ / unit, near.embedding_, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(far.components_, near.components_, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(
        far.transform(rows * np.float32(unit)) / unit, near.transform(rows), rtol=1e-3, atol=1e-5
    )
    assert far.history_[-1]["objective"] == pytest.approx(near.history_[-1]["objective"] * unit**2, rel=1e-4)


@pytest.mark.parametrize("apart", [1e4, 1e5, 1e6])
@pytest.mark.parametrize("seed", range(3))
def test_k_means_of_float32_tells_near_groups_apart_beside_a_far_one(apart, seed):
    rows = np.concatenate([GRID, 5 + GRID, apart + GRID]).astype(np.float32)
    model = cluster.KMeans(3, random_state=seed).fit(rows)
    assert adjusted_rand_score(np.repeat([0, 1, 2], 8), model.labels_) == 1
    np.testing.assert_array_equal(model.predict(rows), model.labels_)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_squared_distances_of_close_rows_beside_far_ones(dtype):
    x = torch.tensor([[g, 0.0] for g in GROUPS[:, 0].tolist()], dtype=dtype, requires_grad=True)
    d2 = kernels.squared_distances(x, x)
    wanted = np.square(x.detach().double().numpy()[:, None] - x.detach().double().numpy()[None]).sum(axis=2)
    np.testing.assert_allclose(d2.detach().numpy(), wanted, rtol=3e-3)
    assert not d2.diagonal().any()
    (slope,) = torch.autograd.grad(d2[0, 1:8].sum(), x)
    np.testing.assert_allclose(slope[1:8, 0].numpy(), 2 * GRID[1:, 0], rtol=2e-3)


# ------------------------------------------------------------------ half precision, small and unsigned integers


@pytest.mark.parametrize("normalisation", ["boosted", "soft", "none"])
def test_boosted_targets_of_half_precision(normalisation):
    scores = np.repeat([[0.9, 0.1], [0.8, 0.2]], 50_000, axis=0).astype(np.float16)
    wanted = kernels.boosted_target(scores.astype(np.float64), normalisation=normalisation)
    for given in (scores, torch.from_numpy(scores), torch.from_numpy(scores).bfloat16()):
        found = kernels.boosted_target(given, normalisation=normalisation)
        assert found.dtype == given.dtype
        found = found.float().numpy() if isinstance(found, torch.Tensor) else found
        np.testing.assert_allclose(found, wanted, atol=5e-3)


def test_boxes_and_scores_of_any_numbers():
    box, other = np.array([[0, 0, 199, 199]]), np.array([[50, 0, 249, 199]])
    for kind in ("f2", "u1", "u2", "i2", "f4", "f8"):
        found = voc.overlaps(box.astype(kind), other.astype(kind))
        assert found.item() == pytest.approx(0.6)
    scores, truth = np.array([[0], [10], [200]]), np.array([[0], [0], [1]])
    for kind in ("u1", "u8", "i1", "f2"):
        assert voc.mean_average_precision(np.minimum(scores, 100).astype(kind), truth) == 1
    assert voc.mean_average_precision(scores > 100, truth) == 1
    objects = voc.Objects(np.array([[0, 0, 9, 9.0]], np.float32), np.array([0]), np.array([False]))
    for score in (np.uint8, np.uint64, float):
        found = [voc.Detection(0, np.array([0, 0, 9, 9.0]), score(value)) for value in (200, 0)]
        assert voc.detection_precision(found, [objects], 0) == 1
    assert voc.mean_intersection_over_union([np.ones((2, 2), np.uint64)], [np.ones((2, 2), np.int64)]) == 1


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint16, np.int64])
def test_region_grids_of_numpy_s_integers(kind):
    sides = (100, 120) if kind in (np.uint8, np.int8) else (300, 400)
    found = region_grid(kind(sides[0]), kind(sides[1]), np.int8(3))
    assert found == region_grid(*sides)
    assert {type(value) for region in found for value in region} == {int}


@pytest.mark.parametrize("offset", [0, 2**40, 2**60])
def test_standardised_machines_of_wide_integers(offset):
    random, y = np.random.default_rng(0), np.repeat([0, 1], 20)
    rows = np.concatenate([random.integers(0, 20, (20, 2)), random.integers(60, 80, (20, 2))])
    assert standardised_svm_accuracy(rows + offset, y, rows + offset, y) == 1


def test_the_history_of_released_factors_in_another_unit():
    rows = np.abs(np.random.default_rng(0).normal(size=(40, 5))) + 0.1
    how = {"variant": "released", "n_components": 2, "n_init": 1, "max_iter": 20, "random_state": 0}
    for unit in (1.0, 2.0**-14, 1e-4):
        model = cluster.LocalityPreservingNMF(2, **how).fit(rows * unit)
        made, weights = model.embedding_ @ model.components_.T, 1 / (rows * unit @ (rows * unit).sum(0))
        wanted = (weights * (rows * unit * np.log(rows * unit / made) - rows * unit + made).sum(1)).sum()
        assert model.history_[-1]["objective"] == pytest.approx(wanted, rel=1e-6)


def test_pictures_of_0_to_1_are_no_pictures_of_0_to_255():
    pictures = np.random.default_rng(0).random((4, 1, 12, 12))
    with pytest.raises(UsageError, match="0 to 255"):
        random_patches(pictures, 10, 5)
    assert random_patches(pictures * 255, 10, 5).shape == (10, 1, 5, 5)


def test_rows_of_another_width_are_not_whitened():
    with pytest.raises(UsageError, match=r"\(n, 2\)"):
        pca_whiten([torch.rand(5, 2)])(torch.rand(5, 3))
