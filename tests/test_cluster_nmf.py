import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import NMF
from sklearn.metrics import adjusted_rand_score

from clustlib.cluster._kl_nmf import (
    KLFactors,
    best_start,
    kmeans_factors,
    normalised_cut_weights,
    solve_shifted,
    zero_one_laplacian,
)
from clustlib.cluster._semi_nmf import divide, joint_training, multiplicative_step, products, residual_norm, semi_nmf
from clustlib.cluster.nmf import DeepSemiNMF, LocalityPreservingNMF

BOTH = [LocalityPreservingNMF, DeepSemiNMF]


def small(cls, k=3, **options):
    defaults = {"n_init": 2, "max_iter": 40} if cls is LocalityPreservingNMF else {"layers": (6, 4), "max_iter": 60}
    return cls(k, random_state=0, **{**defaults, **options})


def positive(n=40, d=9, seed=0):
    return np.random.default_rng(seed).gamma(1.0, size=(n, d))


def parts(seed=0, n=90):
    """Three groups, each on its own features."""
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n)
    X = 0.05 * rng.random((n, 12))
    for c in range(3):
        X[np.ix_(y == c, np.arange(4 * c, 4 * c + 4))] += rng.uniform(0.5, 1.5, size=((y == c).sum(), 4))
    return X, y


def random_factors(X, k, alpha=0.0, weights=None, seed=0):
    rng = np.random.default_rng(seed)
    laplacian = zero_one_laplacian(X, 3) if alpha > 0 else None
    V, U = rng.uniform(0.1, 1, size=(len(X), k)), rng.uniform(0.1, 1, size=(X.shape[1], k))
    return KLFactors(X, V, U, np.ones(len(X)) if weights is None else weights, alpha, laplacian)


# --- KL-NMF and the graph --------------------------------------------------------------------------------------------


def kl_objective(X, V, U, weights, alpha, W):
    """Cai et al.'s objective, sample by sample and edge by edge."""
    Y = V @ U.T
    total = sum(w * (x * np.log(x / y) - x + y).sum() for w, x, y in zip(weights, X, Y))
    for i, j in zip(*np.nonzero(W)):
        total += alpha / 2 * W[i, j] * ((V[i] - V[j]) * (np.log(V[i]) - np.log(V[j]))).sum()
    return total


@pytest.mark.parametrize("alpha", [0.0, 3.0])
def test_objective_is_the_definition(alpha):
    X = positive()
    weights = np.random.default_rng(1).uniform(0.5, 2, size=len(X))
    factors = random_factors(X, 3, alpha, weights)
    W = np.zeros((len(X), len(X)))
    if alpha:
        L = zero_one_laplacian(X, 3).toarray()
        W = np.diag(np.diag(L)) - L
    expected = kl_objective(X, factors.V, factors.U, weights, alpha, W)
    assert factors.objective()["objective"] == pytest.approx(expected, rel=1e-9)


def test_update_without_a_graph_is_lee_and_seungs_rule_loop_by_loop():
    X, weights = positive(8, 5), np.linspace(0.5, 2, 8)
    factors = random_factors(X, 2, 0.0, weights)
    V, U = factors.V.copy(), factors.U.copy()
    factors.iterate(1, 0.0)
    Y, new = V @ U.T, np.empty_like(V)
    for i in range(8):
        for k in range(2):
            new[i, k] = V[i, k] * sum(X[i, f] / Y[i, f] * U[f, k] for f in range(5)) / U[:, k].sum()
    np.testing.assert_allclose(factors.V, new, rtol=1e-10)
    Y, basis = new @ U.T, np.empty_like(U)
    for f in range(5):
        for k in range(2):
            rise = sum(weights[i] * new[i, k] * X[i, f] / Y[i, f] for i in range(8))
            basis[f, k] = U[f, k] * rise / (weights * new[:, k]).sum()
    np.testing.assert_allclose(factors.U, basis, rtol=1e-10)


def test_update_with_a_graph_solves_the_authors_linear_system():
    X, alpha = positive(30, 6), 7.0
    factors = random_factors(X, 3, alpha)
    V, U = factors.V.copy(), factors.U.copy()
    factors.iterate(1, 0.0)
    L = zero_one_laplacian(X, 3).toarray()
    target = V * ((X / (V @ U.T)) @ U)
    for k in range(3):
        expected = np.linalg.solve(U[:, k].sum() * np.eye(30) + alpha * L, target[:, k])
        np.testing.assert_allclose(factors.V[:, k], expected, rtol=1e-3)


@given(st.integers(0, 10_000), st.integers(1, 4), st.booleans())
@settings(max_examples=15, deadline=None)
def test_divergence_never_rises_without_a_graph(seed, k, weighted):
    X = positive(25, 7, seed)
    X[X < 0.2] = 0  # zeros as in images
    X[X.sum(axis=1) == 0, 0] = 1
    weights = normalised_cut_weights(X) if weighted else None
    history = random_factors(X, k, 0.0, weights, seed).iterate(30, 0.0).history
    values = np.array([entry["objective"] for entry in history])
    assert (np.diff(values) <= 1e-9 * values[:-1]).all()


@given(st.integers(0, 10_000), st.sampled_from([10.0, 100.0]))
@settings(max_examples=10, deadline=None)
def test_objective_falls_with_a_graph_and_the_codes_become_smoother(seed, alpha):
    X = positive(30, 7, seed)
    factors = random_factors(X, 3, alpha, seed=seed)
    before = factors.objective()
    after = factors.iterate(30, 0.0).history[-1]
    assert after["objective"] < before["objective"]
    assert after["roughness"] < before["roughness"]


def test_plain_case_agrees_with_scikit_learn():
    X = positive(60, 12)
    factors = random_factors(X, 3)
    reference = NMF(3, init="custom", solver="mu", beta_loss="kullback-leibler", max_iter=200, tol=0)
    V = reference.fit_transform(X, W=factors.V.copy(), H=factors.U.T.copy())
    factors.iterate(200, 0.0)
    np.testing.assert_allclose(factors.V @ factors.U.T, V @ reference.components_, rtol=0.02, atol=1e-3)
    assert factors.history[-1]["divergence"] == pytest.approx(reference.reconstruction_err_**2 / 2, rel=1e-4)


@given(st.integers(0, 10_000), st.floats(0, 1000))
@settings(max_examples=10, deadline=None)
def test_conjugate_gradients_solve_all_columns(seed, alpha):
    rng = np.random.default_rng(seed)
    L = alpha * zero_one_laplacian(rng.normal(size=(40, 3)), 4)
    diagonal, target = rng.uniform(0.5, 20, size=(40, 3)), rng.random((40, 3))
    V = solve_shifted(L, diagonal, target, np.zeros((40, 3)), tol=1e-10)
    for k in range(3):
        expected = np.linalg.solve(np.diag(diagonal[:, k]) + L.toarray(), target[:, k])
        np.testing.assert_allclose(V[:, k], expected, rtol=1e-5)


def test_laplacian_of_the_zero_one_graph():
    X = np.random.default_rng(0).normal(size=(20, 3))
    L = zero_one_laplacian(X, 4).toarray()
    D = ((X[:, None] - X[None]) ** 2).sum(axis=2)
    nearest = np.argsort(D + np.diag(np.full(20, np.inf)), axis=1)[:, :4]
    W = np.zeros((20, 20))
    W[np.arange(20)[:, None], nearest] = 1
    W = np.maximum(W, W.T)
    np.testing.assert_array_equal(L, np.diag(W.sum(axis=1)) - W)


def test_normalised_cut_weights():
    X = np.array([[1.0, 0], [1, 1], [0, 0]])
    np.testing.assert_allclose(normalised_cut_weights(X), [1 / 2, 1 / 3, 1])


def test_start_from_kmeans_centres():
    X, _ = parts()
    V, U = kmeans_factors(X, 3, np.random.RandomState(0))
    np.testing.assert_allclose(np.linalg.norm(U, axis=0), 1)
    np.testing.assert_allclose(V, np.maximum(np.linalg.lstsq(U, X.T, rcond=None)[0].T, 0), atol=1e-9)


def test_best_start_is_the_best_of_its_starts():
    X = positive(60, 10)
    one = [best_start(X, 4, np.ones(60), 0.0, None, 1, 10, np.random.RandomState(s)) for s in range(5)]
    several = best_start(X, 4, np.ones(60), 0.0, None, 8, 10, np.random.RandomState(0))
    assert several.history[-1]["objective"] <= one[0].history[-1]["objective"]
    assert len({round(f.history[-1]["objective"], 6) for f in one}) > 1


@pytest.mark.parametrize(
    ("variant", "alpha", "rank", "iterations"), [("published", 100, 3, 300), ("released", 0, 10, 50)]
)
def test_variants_set_what_they_say(variant, alpha, rank, iterations):
    X, _ = parts()
    model = LocalityPreservingNMF(3, variant=variant, n_init=2, random_state=0).fit(X)
    assert model.embedding_.shape == (90, rank)
    assert model.components_.shape == (12, rank)
    assert len(model.history_) <= iterations
    assert len(model.history_) == 50 or variant == "published"
    assert (model.history_[-1]["roughness"] > 0) == (alpha > 0)
    np.testing.assert_allclose(np.linalg.norm(model.components_, axis=0), 1)


# --- semi-NMF --------------------------------------------------------------------------------------------------------


def test_multiplicative_step_is_the_formula():
    rng = np.random.default_rng(0)
    X, Z, H = rng.normal(size=(6, 9)), rng.normal(size=(6, 3)), rng.random((3, 9))
    A, B = Z.T @ X, Z.T @ Z
    new = multiplicative_step(H, A, B)
    for k in range(3):
        for n in range(9):
            rise = max(A[k, n], 0) + sum(max(-B[k, j], 0) * H[j, n] for j in range(3))
            fall = max(-A[k, n], 0) + sum(max(B[k, j], 0) * H[j, n] for j in range(3))
            assert new[k, n] == pytest.approx(H[k, n] * np.sqrt(rise / fall))


@given(st.integers(0, 10_000), st.integers(1, 5))
@settings(max_examples=15, deadline=None)
def test_semi_nmf_never_raises_its_residual(seed, rank):
    X = np.random.default_rng(seed).normal(size=(7, 30))
    _, H, history = semi_nmf(X, rank, 50, 0.0, np.random.RandomState(0))
    values = [entry["residual"] for entry in history]
    assert (np.diff(values) <= 1e-9).all()
    assert (H >= 0).all()


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_joint_training_never_raises_its_residual(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(8, 40))
    factors = [rng.normal(size=(8, 6)), rng.normal(size=(6, 4)), rng.normal(size=(4, 3))]
    new, H, history = joint_training(X, factors, rng.random((3, 40)), 40, 0.0)
    values = [entry["residual"] for entry in history]
    assert (np.diff(values) <= 1e-9).all()
    assert values[-1] == pytest.approx(np.linalg.norm(X - new[0] @ new[1] @ new[2] @ H))
    assert values[-1] < values[0]


def test_joint_training_ends_at_a_kkt_point():
    rng = np.random.default_rng(0)
    X, H = rng.normal(size=(6, 12)), rng.random((3, 12))
    factors = [rng.normal(size=(6, 4)), rng.normal(size=(4, 3))]

    def conditions(factors, H):
        below, above = factors[0], factors[1] @ H
        R = below @ above - X
        gradient = (below @ factors[1]).T @ R
        at_the_bound = np.minimum(gradient, 0) * (H < 1e-6)  # no way down where H is 0
        return [np.abs(c).max() for c in (R @ above.T, below.T @ R @ H.T, H * gradient, at_the_bound)]

    first = max(conditions(factors, H))
    factors, H, _ = joint_training(X, factors, H, 3000, -1.0)
    assert max(conditions(factors, H)) < 0.02 * first


def test_division_is_least_squares_also_when_rows_depend():
    rng = np.random.default_rng(0)
    X, H = rng.normal(size=(5, 30)), rng.random((4, 30))
    np.testing.assert_allclose(divide(*products(X, H)[1:]), np.linalg.lstsq(H.T, X.T, rcond=None)[0].T)
    H[3] = H[0] + H[1]
    np.testing.assert_allclose(divide(*products(X, H)[1:]), X @ np.linalg.pinv(H), atol=1e-8)


@pytest.mark.parametrize("noise", [0.3, 1e-3])  # below: what cancels is summed from its entries
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_residual_from_the_products(noise, dtype):
    rng = np.random.default_rng(0)
    Z, H = rng.normal(size=(50, 4)), rng.random((4, 300))
    X = (Z @ H + noise * rng.normal(size=(50, 300))).astype(dtype)
    Z, H = Z.astype(dtype), H.astype(dtype)
    direct = np.linalg.norm(X.astype(float) - Z.astype(float) @ H.astype(float))
    assert products(X, H).residual(X, Z, H) == pytest.approx(direct, rel=1e-5)


def test_residual_by_blocks():
    rng = np.random.default_rng(0)
    X, Z, H = rng.normal(size=(5, 30)), rng.normal(size=(5, 2)), rng.random((2, 30))
    assert residual_norm(X, Z, H, block=7) == pytest.approx(np.linalg.norm(X - Z @ H))


def test_layers_are_cut_to_the_rank_of_their_input():
    X = positive(50, 9)
    model = DeepSemiNMF(3, layers=(160, 20, 4), max_iter=20, random_state=0).fit(X)
    assert model.layers_ == (9, 9, 4)
    assert [Z.shape for Z in model.factors_] == [(9, 9), (9, 9), (9, 4)]
    assert {entry["stage"] for entry in model.history_} == {"layer 1", "layer 2", "layer 3", "joint"}
    fitted = np.linalg.multi_dot([*model.factors_, model.embedding_.T])
    assert model.history_[-1]["residual"] == pytest.approx(np.linalg.norm(X.T - fitted), rel=1e-6)


def test_deep_semi_nmf_takes_negative_values():
    X = np.random.default_rng(0).normal(size=(40, 6))
    assert (small(DeepSemiNMF).fit(X).embedding_ >= 0).all()


# --- behaviour -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["published", "released"])
def test_lpnmf_finds_parts(variant):
    X, y = parts()
    labels = LocalityPreservingNMF(3, variant=variant, n_components=3, random_state=0).fit_predict(X)
    assert adjusted_rand_score(labels, y) == 1


def test_deep_semi_nmf_finds_parts():
    X, y = parts()
    assert adjusted_rand_score(DeepSemiNMF(3, layers=(8, 4), random_state=0).fit_predict(X), y) > 0.95


@pytest.mark.parametrize("cls", BOTH)
def test_deterministic_per_seed(cls):
    X = load_digits().data[:200]
    a, b = (small(cls, 5).fit(X) for _ in range(2))
    np.testing.assert_array_equal(a.labels_, b.labels_)
    np.testing.assert_array_equal(a.embedding_, b.embedding_)


@pytest.mark.parametrize("cls", BOTH)
def test_seeds_differ(cls):
    X = load_digits().data[:200]
    results = {small(cls, 9).set_params(random_state=seed).fit(X).labels_.tobytes() for seed in range(4)}
    assert len(results) > 1


@pytest.mark.parametrize("cls", BOTH)
def test_layouts_and_integers(cls):
    X, _ = parts()
    X = np.round(100 * X)
    expected = small(cls).fit_predict(X.astype(np.float32))
    for changed in (X.astype(np.int32), np.asfortranarray(X.astype(np.float32)), np.repeat(X, 2, axis=1)[:, ::2]):
        assert adjusted_rand_score(small(cls).fit_predict(changed), expected) > 0.95


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
@pytest.mark.parametrize("X", [np.ones((20, 4)), np.zeros((20, 4)), np.repeat(np.eye(3, 5), 10, axis=0)])
@pytest.mark.parametrize("cls", BOTH)
def test_constant_zero_and_duplicated_data(cls, X):
    model = small(cls).fit(X)
    assert np.isfinite(model.embedding_).all()
    assert len(np.unique(np.column_stack([X, model.labels_]), axis=0)) == len(np.unique(X, axis=0))


def test_zero_samples_and_zero_features():
    X, _ = parts()
    X[:2], X[:, 3] = 0, 0
    for variant in ("published", "released"):
        model = small(LocalityPreservingNMF, variant=variant, n_components=3).fit(X)
        assert np.isfinite(model.embedding_).all()
        assert np.isfinite([entry["objective"] for entry in model.history_]).all()


def test_one_sample():
    assert small(DeepSemiNMF, 1).fit([[1.0, 2.0]]).labels_.tolist() == [0]
    assert small(LocalityPreservingNMF, 1, alpha=0.0).fit([[1.0, 2.0]]).labels_.tolist() == [0]


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.full((5, 2), np.nan), "NaN"),
        (np.full((5, 2), np.inf), "infinite"),
        (np.ones((2, 2)), "more than the 2 samples"),
        (np.ones(5), "shape"),
    ],
)
def test_bad_features(cls, X, message):
    with pytest.raises(ValueError, match=message):
        small(cls).fit(X)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "paper"}, "variant"),
        ({"alpha": -1.0}, "alpha"),
        ({"n_components": 41}, "n_components=41"),
        ({"n_neighbors": 40}, "n_neighbors=40"),
        ({"n_init": 0}, "n_init"),
    ],
)
def test_bad_settings_of_lpnmf(options, message):
    with pytest.raises(ValueError, match=message):
        small(LocalityPreservingNMF, **options).fit(positive())


def test_negative_values():
    with pytest.raises(ValueError, match="non-negative"):
        small(LocalityPreservingNMF).fit(positive() - 1)


@pytest.mark.parametrize("layers", [(), (4, 0)])
def test_bad_layers(layers):
    with pytest.raises(ValueError, match="layers"):
        DeepSemiNMF(2, layers=layers).fit(positive())


@pytest.mark.parametrize("cls", BOTH)
def test_clone_keeps_the_parameters(cls):
    model = small(cls, 7)
    assert clone(model).get_params() == model.get_params()
