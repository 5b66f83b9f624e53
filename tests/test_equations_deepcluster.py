"""DeepCluster: the kernels against the paper's equations."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from clustlib import metrics
from clustlib.deepcluster import equations
from clustlib.kernels import draw_epoch, kmeans, pca_whiten
from clustlib.kernels.lloyd import assign

seeds = st.integers(0, 10**6)


def features(seed: int, N: int = 40, d: int = 4) -> np.ndarray:
    """Rows of a small grid, some twice."""
    rows = np.random.default_rng(seed).integers(-3, 4, (N, d)).astype(float)
    rows[1] = rows[0]
    return rows


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_eq_1_is_the_cross_entropy_that_is_trained_on(seed):
    scores, y = features(seed, d=5), np.random.default_rng(seed).integers(0, 5, 40)
    expected = F.cross_entropy(torch.tensor(scores), torch.tensor(y))
    assert equations.classification_loss(scores, y) == pytest.approx(float(expected))


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(1, 6))
def test_assignment_is_to_the_nearest_centroid_and_its_distance_that_of_eq_2(seed, k):
    rows = features(seed)
    C = rows[:: len(rows) // k][:k]
    labels, distances = assign(torch.tensor(rows), torch.tensor(C))[:2]
    np.testing.assert_array_equal(labels, equations.assignments(rows, C))
    assert float(distances.mean()) == pytest.approx(equations.kmeans_objective(rows, C), abs=1e-9)


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(1, 6), st.sampled_from(["faiss", "torch"]))
def test_kmeans_ends_where_eq_2_says_it_stands(seed, k, backend):
    rows = features(seed)
    if backend == "faiss":
        pytest.importorskip("faiss")
    found = kmeans(rows.astype(np.float32), k, n_iter=60, seed=seed, backend=backend)
    reached = equations.kmeans_objective(rows, found.centroids.astype(float))
    assert reached == pytest.approx(found.objective[-1], rel=1e-5, abs=1e-6)
    if len(np.unique(found.labels)) == k:
        again = equations.centroids(rows, found.labels)
        np.testing.assert_allclose(found.centroids, again, atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(1, 4))
def test_whitening_is_that_of_section_3_4(seed, n_components):
    rows = features(seed) * [8, 4, 2, 1] @ np.linalg.qr(np.random.default_rng(seed).normal(size=(4, 4)))[0]
    found = pca_whiten([torch.tensor(rows)], n_components)
    expected = equations.whitened(rows, n_components)
    turned = found(torch.tensor(rows), normalise=False).numpy()
    signs = np.sign(np.sum(turned * expected, axis=0))
    np.testing.assert_allclose(turned * signs, expected, atol=2e-3)
    apart = np.linalg.norm(expected, axis=1) > 0.1  # else the rounding of the features is all there is
    unit = found(torch.tensor(rows)).numpy() * signs
    np.testing.assert_allclose(unit[apart], equations.normalised(expected[apart]), atol=2e-2)


@settings(deadline=None, max_examples=20)
@given(seeds)
def test_an_epoch_draws_every_image_as_often_as_section_3_3_says(seed):
    y = np.random.default_rng(seed).choice(4, 40, p=[0.6, 0.2, 0.15, 0.05])
    random = np.random.default_rng(seed)
    counts = sum(np.bincount(draw_epoch(y, random).images, minlength=40) for _ in range(400))
    expected = equations.draw_probability(y)
    assert expected.sum() == pytest.approx(1)
    np.testing.assert_allclose(counts / counts.sum(), expected, rtol=0.3)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=30))
def test_nmi_over_the_geometric_mean_is_that_of_section_4_1(pairs):
    A, B = np.array(pairs).T
    if len(np.unique(A)) > 1 and len(np.unique(B)) > 1:  # else a division by an entropy of 0
        assert metrics.nmi(A, B, average="geometric") == pytest.approx(equations.nmi(A, B), abs=1e-12)
