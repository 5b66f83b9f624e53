import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.cluster._spectral import discretize
from sklearn.datasets import load_digits, make_blobs, make_moons
from sklearn.metrics import adjusted_rand_score

from clustlib.cluster._affinity import (
    BlockAffinity,
    Gaussian,
    SquaredDistances,
    affinity,
    degrees,
)
from clustlib.cluster._discrete import align, alignment_cost, scatter_ratio_kmeans
from clustlib.cluster._eigenvectors import leading_eigenvectors
from clustlib.cluster._landmarks import codes, left_singular_vectors
from clustlib.cluster.spectral import LandmarkSpectral, NormalizedCuts, SelfTuningSpectral, SpectralNJW

WITH_AFFINITY = [SpectralNJW, SelfTuningSpectral, NormalizedCuts]
ALL = [*WITH_AFFINITY, LandmarkSpectral]
VARIANTS = ["published", "released"]


def unit_rows(n=120, d=6, seed=0):
    X = np.abs(np.random.default_rng(seed).normal(size=(n, d)))
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def squared_distances(X):
    return ((X[:, None] - X[None]) ** 2).sum(axis=2)


def top_eigenvectors(M, k):
    values, vectors = np.linalg.eigh(M)
    return values[::-1][:k], vectors[:, ::-1][:, :k]


def same_subspace(U, V, tolerance=1e-4):
    cosines = np.linalg.svd(np.linalg.qr(U)[0].T @ np.linalg.qr(V)[0], compute_uv=False)
    return cosines.min() > 1 - tolerance


def small_estimator(cls, k=3, **options):
    if cls is SelfTuningSpectral:
        options.setdefault("n_neighbors", 7)
    return cls(k, random_state=0, **options)


# --- the definitions, in float64 -------------------------------------------------------------------------------------


def njw_reference(X, k, variant):
    D = squared_distances(X)
    W = np.exp(-D / (0.05 * D.mean()))
    if variant == "published":
        np.fill_diagonal(W, 0)
    root = np.sqrt(W.sum(axis=1))
    return top_eigenvectors(W / root / root[:, None], k)


def self_tuning_reference(X, k, n_neighbors, floor):
    D = squared_distances(X)
    local = np.sqrt(np.sort(D, axis=1)[:, n_neighbors])
    W = np.exp(-D / np.maximum(np.outer(local, local), floor))
    np.fill_diagonal(W, 0)
    root = np.sqrt(W.sum(axis=1))
    return top_eigenvectors(W / root / root[:, None], k)


def ncut_reference(X, k, variant):
    D = squared_distances(X)
    if variant == "published":
        W = np.exp(-D / (0.15**2 * D.max()))
        np.fill_diagonal(W, 0)
        degree = W.sum(axis=1)
    else:
        W = np.exp(-((D / (0.05 * D.max())) ** 2))
        W[W < 1e-6] = 0
        degree = W.sum(axis=1) + 1
        W += 0.5 * np.eye(len(X))
    root = np.sqrt(degree)
    values, V = top_eigenvectors(W / root / root[:, None], k)
    return values, V / root[:, None]


def landmark_reference(X, landmarks, k, r, variant):
    D = ((X[:, None] - landmarks[None]) ** 2).sum(axis=2)
    bandwidth = D.mean() if variant == "released" else np.sqrt(D).mean()
    Z = np.zeros_like(D)
    for i, row in enumerate(D):
        nearest = np.argsort(row)[:r]
        Z[i, nearest] = np.exp(-row[nearest] / (2 * bandwidth**2))
        Z[i] /= Z[i].sum()
    U, values, _ = np.linalg.svd(Z / np.sqrt(np.maximum(Z.sum(axis=0), 1e-24)), full_matrices=False)
    return U[:, :k], values[:k]


@pytest.mark.parametrize("variant", VARIANTS)
def test_njw_follows_the_definition(variant):
    X = unit_rows()
    values, V = njw_reference(X, 4, variant)
    model = SpectralNJW(4, variant=variant, random_state=0).fit(X)
    np.testing.assert_allclose(model.eigenvalues_, values, atol=1e-5)
    assert same_subspace(model.embedding_ * np.linalg.norm(V, axis=1)[:, None], V)
    np.testing.assert_allclose(np.linalg.norm(model.embedding_, axis=1), 1)


@pytest.mark.parametrize(("variant", "n_neighbors", "floor"), [("published", 7, 0), ("released", 75, 0.004)])
def test_self_tuning_follows_the_definition(variant, n_neighbors, floor):
    X = unit_rows(200)
    values, V = self_tuning_reference(X, 4, n_neighbors, floor)
    model = SelfTuningSpectral(4, variant=variant, random_state=0).fit(X)  # the defaults are 7 and 75
    np.testing.assert_allclose(model.eigenvalues_, values, atol=1e-5)
    assert same_subspace(model.embedding_ * np.linalg.norm(V, axis=1)[:, None], V)


def test_self_tuning_floor_of_the_released_code():
    X = 0.05 * np.random.default_rng(0).normal(size=(100, 2))  # σ_i σ_j on both sides of the floor
    values, _ = self_tuning_reference(X, 4, 40, 0.004)
    without, _ = self_tuning_reference(X, 4, 40, 0)
    model = SelfTuningSpectral(4, variant="released", n_neighbors=40, random_state=0).fit(X)
    np.testing.assert_allclose(model.eigenvalues_, values, atol=1e-5)
    assert np.abs(values - without).max() > 1e-3


@pytest.mark.parametrize("variant", VARIANTS)
def test_normalised_cuts_follow_the_definition(variant):
    X = unit_rows()
    values, U = ncut_reference(X, 4, variant)
    model = NormalizedCuts(4, variant=variant, random_state=0).fit(X)
    np.testing.assert_allclose(model.eigenvalues_, values, atol=1e-5)
    assert same_subspace(model.embedding_, U)


def test_ncut_value_of_the_vectors_is_their_eigenvalue():
    X = unit_rows()
    D = squared_distances(X)
    W = np.exp(-D / (0.15**2 * D.max()))
    np.fill_diagonal(W, 0)
    degree = W.sum(axis=1)
    model = NormalizedCuts(3, random_state=0).fit(X)
    for value, u in zip(model.eigenvalues_, model.embedding_.T):
        cut = 0.5 * (W * (u[:, None] - u) ** 2).sum()  # Rayleigh quotient of (D - W) u = λ D u
        assert cut / (degree * u**2).sum() == pytest.approx(1 - value, abs=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_landmark_spectral_follows_the_definition(variant):
    X = unit_rows(150)
    k, model = 4, LandmarkSpectral(4, variant=variant, n_landmarks=30, random_state=0).fit(X)
    U, values = landmark_reference(X, model.landmarks_, k + 1, 5, variant)
    if variant == "published":
        np.testing.assert_allclose(np.abs(model.embedding_), np.abs(U[:, :k]), atol=1e-6)
        np.testing.assert_allclose(model.singular_values_, values[:k], atol=1e-8)
    else:
        dropped = U[:, 1:] / np.linalg.norm(U[:, 1:], axis=1, keepdims=True)
        np.testing.assert_allclose(np.abs(model.embedding_), np.abs(dropped), atol=1e-6)
    assert values[0] == pytest.approx(1)  # the vector that "released" drops is the constant one


def test_landmark_codes_are_convex_and_at_the_nearest_landmarks():
    X = unit_rows(50)
    Z = codes(X, X[:8], 3, squared_bandwidth=True).toarray()
    np.testing.assert_allclose(Z.sum(axis=1), 1)
    assert ((Z > 0).sum(axis=1) == 3).all()
    assert (Z[np.arange(8), np.arange(8)] == Z[:8].max(axis=1)).all()


def test_singular_vectors_of_a_deficient_matrix_are_zero_not_noise():
    from scipy import sparse

    U, values = left_singular_vectors(sparse.csr_array(np.ones((6, 2)) / 2), 3)
    np.testing.assert_allclose(U[:, 1:], 0)
    np.testing.assert_allclose(values, [1, 0, 0], atol=1e-7)


# --- operators and eigensolver ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kernel",
    [
        {"power": 1},
        {"power": 2},
        {"power": 2, "threshold": 1e-2},
        {"power": 1, "limit": 1.5},
    ],
)
def test_kept_recomputed_and_sparse_affinities_are_the_definition(kernel, monkeypatch):
    monkeypatch.setattr("clustlib.cluster._affinity.BLOCK", 37)  # blocks that do not divide n
    X = unit_rows(200)
    reach = np.random.default_rng(1).uniform(0.8, 2, size=200).astype(np.float32)
    options = {"threshold": 0.0, "limit": np.inf, **kernel}
    W = np.exp(-((squared_distances(X) * np.minimum(np.outer(reach, reach), options["limit"])) ** options["power"]))
    W[options["threshold"] > W] = 0
    np.fill_diagonal(W, 0)
    distances, gaussian = SquaredDistances(X), Gaussian(reach, **kernel)
    U = np.random.default_rng(2).normal(size=(200, 3))
    forms = [BlockAffinity(distances, gaussian, memory) for memory in (0, 6e4, 1e9)]
    forms.append(affinity(distances, gaussian, 1e9))
    for form in [*forms, *forms]:  # the second product uses what the first has kept
        np.testing.assert_allclose(form @ U, W @ U, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(degrees(form), W.sum(axis=1), rtol=1e-5)


def test_the_form_follows_from_the_memory():
    distances = SquaredDistances(unit_rows(100))
    reach = np.full(100, 3, np.float32)
    assert isinstance(affinity(distances, Gaussian(reach), 1e8), BlockAffinity)
    assert affinity(distances, Gaussian(reach, threshold=0.1), 1e6).format == "csr"
    assert isinstance(affinity(distances, Gaussian(reach, threshold=0.1), 1e3), BlockAffinity)


def test_kept_blocks_stay_within_the_memory(monkeypatch):
    monkeypatch.setattr("clustlib.cluster._affinity.BLOCK", 10)
    W = BlockAffinity(SquaredDistances(unit_rows(100)), Gaussian(np.full(100, 3, np.float32)), 8000)
    W @ np.ones((100, 1))
    held = sum(block.nbytes for block in W.kept.values())
    assert 6000 < held <= 8000


def test_distances_mean_and_maximum():
    X = unit_rows(150)
    D = squared_distances(X)
    distances = SquaredDistances(X)
    assert distances.mean == pytest.approx(D.mean())
    assert distances.maximum() == pytest.approx(D.max(), rel=1e-5)
    np.testing.assert_allclose(distances.block(10, 30, 5), D[10:30, 5:], atol=1e-5)


@pytest.mark.parametrize("kind", ["plain", "outliers kept by their diagonal", "offset"])
def test_davidson_agrees_with_lapack(kind, monkeypatch):
    X = load_digits().data[:600]
    X = X / np.linalg.norm(X, axis=1, keepdims=True)
    distances = SquaredDistances(X)
    narrow = kind.startswith("outliers")
    scale = (0.05 if narrow else 0.1) * distances.mean
    W = affinity(distances, Gaussian(np.full(600, scale**-0.5, np.float32)), 1e9)
    d = degrees(W)
    A, B = {"plain": (d, d), "offset": (d + 0.5, d + 2)}.get(kind, (d, d + 1))
    exact, V, _ = leading_eigenvectors(W, A, B, 6, np.random.default_rng(0))
    monkeypatch.setattr("clustlib.cluster._eigenvectors.DENSE", 0)
    values, U, history = leading_eigenvectors(W, A, B, 6, np.random.default_rng(0))
    np.testing.assert_allclose(values, exact, atol=1e-5)
    np.testing.assert_allclose(U.T @ U, np.eye(6), atol=1e-6)
    assert same_subspace(U, V, 1e-5)
    assert history[-1]["residual"] <= 1e-3
    assert len(history) < 60


@pytest.mark.parametrize("n_vectors", [30, 59, 60])
def test_many_vectors_of_few_samples(n_vectors, monkeypatch):
    monkeypatch.setattr("clustlib.cluster._eigenvectors.DENSE", 0)
    distances = SquaredDistances(unit_rows(60))
    W = affinity(distances, Gaussian(np.full(60, 2, np.float32)), 1e9)
    values, V, _ = leading_eigenvectors(W, degrees(W), degrees(W), n_vectors, np.random.default_rng(0))
    assert values.shape == (n_vectors,)
    np.testing.assert_allclose(V.T @ V, np.eye(n_vectors), atol=1e-8)


def test_davidson_says_when_it_did_not_converge(monkeypatch):
    monkeypatch.setattr("clustlib.cluster._eigenvectors.DENSE", 0)
    distances = SquaredDistances(unit_rows(300))
    W = affinity(distances, Gaussian(np.full(300, 5, np.float32)), 1e9)
    from sklearn.exceptions import ConvergenceWarning

    with pytest.warns(ConvergenceWarning, match="did not converge in 2 passes"):
        leading_eigenvectors(W, degrees(W), degrees(W), 3, np.random.default_rng(0), max_passes=2)


@pytest.mark.parametrize("cls", WITH_AFFINITY)
def test_recomputing_the_affinity_changes_nothing(cls, monkeypatch):
    monkeypatch.setattr("clustlib.cluster._eigenvectors.DENSE", 100)
    X, _ = make_blobs(500, centers=4, n_features=8, random_state=0)
    kept = small_estimator(cls, 4).fit(X)
    recomputed = small_estimator(cls, 4, max_memory=0).fit(X)
    assert adjusted_rand_score(kept.labels_, recomputed.labels_) > 0.99


# --- rotations -------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.floats(0, 1.5))
@settings(max_examples=8, deadline=None)
def test_alignment_of_two_vectors_reaches_the_brute_force_minimum(seed, noise):
    rng = np.random.default_rng(seed)
    V = np.linalg.qr(np.eye(2)[rng.integers(2, size=60)] + noise * rng.normal(size=(60, 2)))[0]
    angles = np.linspace(0, np.pi / 2, 2001)  # a quarter turn permutes the coordinates
    costs = [alignment_cost(V @ [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in angles]
    Z, history = align(V)
    assert history[-1] == pytest.approx(alignment_cost(Z), rel=1e-9)
    # the cost has local minima: in 150 draws the two starts ended at most 2.9 % above the best angle
    assert history[-1] <= min(costs) * 1.05


@given(st.integers(0, 10_000), st.integers(2, 6))
@settings(max_examples=8, deadline=None)
def test_alignment_undoes_a_rotation_of_indicators(seed, k):
    rng = np.random.default_rng(seed)
    labels = np.r_[np.arange(k), rng.integers(k, size=40)]
    V = np.eye(k)[labels] * rng.uniform(0.5, 2, size=(len(labels), 1))
    Z, history = align(V @ np.linalg.qr(rng.normal(size=(k, k)))[0])
    assert history[-1] == pytest.approx(len(labels), rel=1e-4)  # the cost's lower bound
    assert adjusted_rand_score(np.argmax(Z**2, axis=1), labels) == 1


@given(st.integers(0, 10_000))
@settings(max_examples=8, deadline=None)
def test_alignment_is_a_rotation_and_never_rises(seed):
    V = np.linalg.qr(np.random.default_rng(seed).normal(size=(50, 4)))[0]
    Z, history = align(V)
    rows = V / np.linalg.norm(V, axis=1, keepdims=True)
    np.testing.assert_allclose(Z @ Z.T, rows @ rows.T, atol=1e-8)
    assert (np.diff(history) <= 1e-9).all()
    assert 50 <= history[-1] <= 50 * 4


@given(st.integers(0, 10_000))
@settings(max_examples=8, deadline=None)
def test_discretisation_of_two_vectors_reaches_the_brute_force_optimum(seed):
    rng = np.random.default_rng(seed)
    V = np.linalg.qr(np.eye(2)[rng.integers(2, size=50)] + 0.2 * rng.normal(size=(50, 2)))[0]
    rows = V / np.linalg.norm(V, axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)

    def fit(labels):  # largest trace over rotations: Yu and Shi's objective for a given partition
        return np.linalg.svd(np.eye(2)[labels].T @ rows, compute_uv=False).sum()

    candidates = []
    for a in np.linspace(0, 2 * np.pi, 721):
        for mirror in (1, -1):
            turned = rows @ np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) * [1, mirror]
            candidates.append(fit(turned.argmax(axis=1)))
    assert fit(discretize(V, random_state=0)) >= max(candidates) * 0.99


def test_scatter_ratio_is_within_over_across():
    rng = np.random.default_rng(0)
    V = rng.normal(size=(60, 3))
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    labels, ratio = scatter_ratio_kmeans(V, 4, np.random.RandomState(0))
    means = [V[labels == c].mean(axis=0) for c in range(4)]
    within = sum(((V[labels == c] - m) ** 2).sum() for c, m in enumerate(means))
    across = sum(((V[labels != c] - m) ** 2).sum() for c, m in enumerate(means))
    assert ratio == pytest.approx(within / across)


def test_more_starts_never_worsen_the_scatter_ratio():
    V = np.random.default_rng(1).normal(size=(80, 3))
    ratios = [scatter_ratio_kmeans(V, 5, np.random.RandomState(0), n_init=m)[1] for m in (1, 5, 50)]
    assert ratios == sorted(ratios, reverse=True)


# --- behaviour -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("cls", ALL)
def test_finds_separated_blobs(cls, variant):
    X, y = make_blobs(240, centers=3, cluster_std=0.3, n_features=5, random_state=1)
    if cls is NormalizedCuts and variant == "published":
        X = X / np.abs(X).max()
    # of blobs without a common landmark the leading vectors are any rotation of each other, and the one that is
    # dropped as trivial is rounding's choice
    options = {"n_nearest": len(X)} if cls is LandmarkSpectral else {}
    labels = small_estimator(cls, 3, variant=variant, **options).fit_predict(X)
    assert adjusted_rand_score(labels, y) == 1


def test_self_tuning_separates_moons_that_k_means_cannot():
    X, y = make_moons(300, noise=0.04, random_state=0)
    assert adjusted_rand_score(SelfTuningSpectral(2, random_state=0).fit_predict(X), y) == 1


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("cls", ALL)
def test_deterministic_per_seed(cls, variant):
    X = unit_rows(160)
    first, again = (small_estimator(cls, 4, variant=variant).fit(X) for _ in range(2))
    np.testing.assert_array_equal(first.labels_, again.labels_)
    np.testing.assert_array_equal(first.embedding_, again.embedding_)


@pytest.mark.parametrize("cls", [SpectralNJW, LandmarkSpectral, NormalizedCuts])
def test_seeds_differ_where_the_method_is_random(cls):
    X = unit_rows(160)
    options = {"variant": "released"}
    results = {cls(9, random_state=seed, **options).fit(X).labels_.tobytes() for seed in range(4)}
    assert len(results) > 1


def test_njw_takes_the_scale_with_the_tightest_clusters():
    X, _ = make_moons(200, noise=0.04, random_state=0)
    scales = [0.002, 0.05, 1.0]
    model = SpectralNJW(2, scale=scales, random_state=0).fit(X)
    found = {e["scale"]: e["distortion"] for e in model.history_ if "distortion" in e}
    assert set(found) == set(scales)
    assert model.scale_ == min(found, key=found.get)
    alone = SpectralNJW(2, scale=model.scale_, random_state=0).fit_predict(X)
    assert adjusted_rand_score(model.labels_, alone) == 1


def test_released_njw_gives_clusters_to_outliers():
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(100, 3)) * 0.3, rng.normal(size=(100, 3)) * 0.3 + 4, [[40, 0, 0], [0, 40, 0]]])
    kept = SpectralNJW(3, variant="released", scale=0.005, random_state=0).fit(X)
    np.testing.assert_allclose(kept.eigenvalues_[:3], 1, atol=1e-6)


# --- input that is hard or wrong --------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("cls", ALL)
def test_layouts_and_integers(cls, variant):
    X = load_digits().data[:150]
    expected = small_estimator(cls, 4, variant=variant).fit_predict(X.astype(np.float32))
    for changed in (X.astype(np.int64), np.asfortranarray(X.astype(np.float32)), np.repeat(X, 2, axis=1)[:, ::2]):
        assert adjusted_rand_score(small_estimator(cls, 4, variant=variant).fit_predict(changed), expected) > 0.95


@pytest.mark.filterwarnings("ignore:Number of distinct clusters", "ignore::RuntimeWarning")
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("cls", ALL)
def test_duplicates_stay_together(cls, variant):
    rng = np.random.default_rng(0)
    base = rng.normal(size=(3, 4)) * 5
    which = rng.permutation(np.repeat(np.arange(3), 20))
    labels = small_estimator(cls, 3, variant=variant).fit_predict(base[which])
    assert len(set(zip(which, labels))) == 3


@pytest.mark.filterwarnings("ignore:Number of distinct clusters", "ignore::RuntimeWarning")
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("cls", ALL)
def test_constant_data_gives_labels_in_range(cls, variant):
    model = small_estimator(cls, 3, variant=variant).fit(np.ones((40, 3)))
    assert set(model.labels_) <= {0, 1, 2}
    assert np.isfinite(model.embedding_).all()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("cls", WITH_AFFINITY)
def test_disconnected_graph(cls, variant):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 2)) + np.repeat([[0, 0], [1e4, 0], [0, 1e4]], 30, axis=0)
    model = small_estimator(cls, 3, variant=variant).fit(X)
    assert len(set(zip(model.labels_, np.repeat([0, 1, 2], 30)))) == 3
    if variant == "published":
        np.testing.assert_allclose(model.eigenvalues_, 1, atol=1e-5)  # one eigenvalue 1 per component


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("cls", [SpectralNJW, NormalizedCuts, LandmarkSpectral])
def test_one_sample_and_one_cluster(cls, variant):
    assert small_estimator(cls, 1, variant=variant).fit([[1.0, 2.0]]).labels_.tolist() == [0]
    assert set(small_estimator(cls, 1, variant=variant).fit(unit_rows(20)).labels_) == {0}


@pytest.mark.parametrize("cls", WITH_AFFINITY)
def test_as_many_clusters_as_samples(cls):
    X = 3 * np.random.default_rng(0).normal(size=(12, 3))
    labels = small_estimator(cls, 12).fit_predict(X)
    assert set(labels) <= set(range(12))


def test_too_few_samples_for_the_neighbours_or_landmarks():
    with pytest.raises(ValueError, match="n_neighbors=75 must be at least 1 and below the 40"):
        SelfTuningSpectral(2, variant="released").fit(unit_rows(40))
    with pytest.raises(ValueError, match="n_landmarks=3"):
        LandmarkSpectral(4, n_landmarks=3).fit(unit_rows(40))


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.full((5, 2), np.nan), "NaN"),
        (np.full((5, 2), np.inf), "infinite"),
        (np.zeros((2, 2)), "more than the 2 samples"),
        (np.zeros(5), "shape"),
    ],
)
def test_bad_features(cls, X, message):
    with pytest.raises(ValueError, match=message):
        small_estimator(cls).fit(X)


@pytest.mark.parametrize("cls", ALL)
def test_bad_settings(cls):
    with pytest.raises(ValueError, match="variant"):
        cls(2, variant="paper").fit(unit_rows(20))
    with pytest.raises(ValueError, match="n_clusters"):
        cls(0).fit(unit_rows(20))


@pytest.mark.parametrize("cls", [SpectralNJW, NormalizedCuts])
def test_scale_must_be_positive(cls):
    with pytest.raises(ValueError, match="scale"):
        cls(2, scale=0).fit(unit_rows(20))


@pytest.mark.parametrize("cls", ALL)
def test_clone_keeps_the_parameters(cls):
    model = cls(7, variant="released", random_state=3)
    assert clone(model).get_params() == model.get_params()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("cls", WITH_AFFINITY)
def test_gpu_gives_the_labels_of_the_cpu(cls):
    X, _ = make_blobs(3000, centers=4, n_features=8, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cpu, gpu = (small_estimator(cls, 4, device=device).fit(X) for device in ("cpu", "cuda"))
    assert adjusted_rand_score(cpu.labels_, gpu.labels_) > 0.99
