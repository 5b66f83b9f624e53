"""GSNMF: the kernel against float64 references and scikit-learn, the estimator's properties and refusals."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clustlib import GSNMF
from clustlib.fcn import equations
from clustlib.fcn import gsnmf as gsnmf_module
from clustlib.fcn.nndsvd import leading_svd, start
from clustlib.kernels.gsnmf import BASIS_NORMS, Penalty, gsnmf_update, objective


def problem(seed: int = 0, n: int = 40, m: int = 25, k: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.random((n, m)), random.random((n, k)), random.random((k, m))


def reference(X, H, W, l1, l2, l21, basis_norm):
    """Eq. (6) with full products and no blocks; the mixed norm is an l2 penalty of its own for every coefficient."""
    mixed = l21 / np.linalg.norm(H, axis=0)[:, None]
    H = equations.update_coefficients(X.T, W.T, H.T, l2 + mixed, l1).T
    W = equations.update_basis(X.T, W.T, H.T).T
    norms = np.linalg.norm(W, axis=1) if basis_norm else np.ones(len(W))
    return (H * norms if basis_norm == "compensated" else H), W / norms[:, None]


@pytest.mark.parametrize("basis_norm", ["unit", "compensated", None])
@pytest.mark.parametrize(("l1", "l2", "l21"), [(0, 0, 0), (0.3, 0.2, 0), (0.1, 0, 0), (0, 0, 0.7)])
def test_an_update_is_eq_6(l1, l2, l21, basis_norm):
    X, H, W = problem(n=2100)  # more than one block
    expected_H, expected_W = reference(X, H, W, l1, l2, l21, basis_norm)
    gsnmf_update(X, H, W, Penalty(l1, l2, l21), basis_norm=basis_norm)
    np.testing.assert_allclose(H, expected_H, rtol=1e-10)
    np.testing.assert_allclose(W, expected_W, rtol=1e-10)


@pytest.mark.parametrize("penalty", [Penalty(), Penalty(0.3, 0.2), Penalty(l21=0.5)])
def test_the_value_it_returns_is_eq_2_before_the_update(penalty):
    X, H, W = problem()
    mixed = penalty.l21 * np.linalg.norm(H, axis=0).sum()
    by_hand = equations.objective(X.T, W.T, H.T, penalty.l2, penalty.l1) + mixed
    assert objective(X, H, W, penalty) == pytest.approx(by_hand, rel=1e-12)
    assert gsnmf_update(X, H, W, penalty) == pytest.approx(by_hand, rel=1e-12)


def test_numpy_and_torch_give_the_same_and_work_in_place():
    X, H, W = problem()
    tensors = [torch.tensor(a) for a in (X, H, W)]
    before = H.copy()
    gsnmf_update(X, H, W, Penalty(0.1, 0.1))
    gsnmf_update(*tensors, Penalty(0.1, 0.1))
    assert (before != H).any()
    np.testing.assert_array_equal(tensors[1].numpy(), H)
    np.testing.assert_array_equal(tensors[2].numpy(), W)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    l1=st.floats(0, 2),
    l2=st.floats(0, 2),
    l21=st.floats(0, 2),
    basis_norm=st.sampled_from([None, "ball"]),
)
def test_the_objective_never_rises_and_zeros_stay(seed, l1, l2, l21, basis_norm):
    X, H, W = problem(seed, 15, 12, 5)
    random = np.random.default_rng(seed)
    H[random.random(H.shape) < 0.3] = 0
    W[random.random(W.shape) < 0.3] = 0
    if basis_norm == "ball":
        W /= np.maximum(np.linalg.norm(W, axis=1, keepdims=True), 1e-12)
    empty_H, empty_W = H == 0, W == 0
    penalty = Penalty(l1, l2, l21)
    values = [gsnmf_update(X, H, W, penalty, basis_norm=basis_norm) for _ in range(30)]
    values.append(objective(X, H, W, penalty))
    assert (np.diff(values) <= 1e-6 * values[0]).all()
    assert (H[empty_H] == 0).all() and (W[empty_W] == 0).all()
    assert (H >= 0).all() and (W >= 0).all() and np.isfinite(H).all() and np.isfinite(W).all()
    if basis_norm == "ball":
        assert np.linalg.norm(W, axis=1).max() <= 1 + 1e-6


def test_scaling_after_the_update_can_raise_the_objective_where_the_ball_cannot():
    X, H, W = problem()
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    rises = {}
    for basis_norm in ("unit", "ball"):
        h, w = H.copy(), W.copy()
        values = [gsnmf_update(X, h, w, Penalty(0.3, 0.2), basis_norm=basis_norm) for _ in range(400)]
        rises[basis_norm] = np.diff(values).max()
    assert rises["unit"] > 1e-4 > 1e-9 > rises["ball"]


@pytest.mark.parametrize(("l1", "l2"), [(0, 0), (0.3, 0.2), (0.5, 0), (0, 0.5)])
def test_equal_to_scikit_learn_at_matched_penalties(l1, l2):
    from sklearn.decomposition import NMF

    X, H, W = problem(1)
    total = l1 + l2
    model = NMF(
        7,
        solver="mu",
        init="custom",
        alpha_W=total / X.shape[1],
        alpha_H=0.0,
        l1_ratio=l1 / total if total else 0,
        max_iter=40,
        tol=0,
    )
    expected = model.fit_transform(X, W=H.copy(), H=W.copy())
    for _ in range(40):
        gsnmf_update(X, H, W, Penalty(l1, l2), basis_norm=None)
    np.testing.assert_allclose(H, expected, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(W, model.components_, rtol=1e-7, atol=1e-12)


def test_bfloat16_products_stay_close():
    X, H, W = (a.astype(np.float32) for a in problem(n=200, m=100, k=10))
    h, w = H.copy(), W.copy()
    for _ in range(30):
        gsnmf_update(X, H, W, Penalty(0.05, 0.02))
        gsnmf_update(X, h, w, Penalty(0.05, 0.02), products="bfloat16")
    exact, rounded = (objective(X, a, b, Penalty(0.05, 0.02)) for a, b in ((H, W), (h, w)))
    assert rounded == pytest.approx(exact, rel=0.02)
    assert (h != H).any()


def test_a_bad_update_is_refused():
    X, H, W = problem()
    for arguments in ({"basis_norm": "l2"}, {"products": "float8"}):
        with pytest.raises(ValueError, match="must be one of"):
            gsnmf_update(X, H, W, **arguments)
    with pytest.raises(ValueError, match="must be"):
        gsnmf_update(X, H[:5], W)
    with pytest.raises(ValueError, match="one floating dtype"):
        gsnmf_update(X, H.astype(np.float32), W)
    with pytest.raises(ValueError, match="l2 must be"):
        Penalty(0.1, -1.0)


@pytest.mark.parametrize("name", ["X", "H", "W"])
@pytest.mark.parametrize("wrong", [-1e-9, np.nan])
def test_an_update_of_negative_numbers_or_nan_is_refused(name, wrong):
    parts = dict(zip("XHW", problem()))
    parts[name][0, 0] = wrong
    with pytest.raises(ValueError, match=f"{name} must be non-negative"):
        gsnmf_update(**parts)


@pytest.mark.parametrize("name", ["H", "W"])
def test_an_update_of_factors_that_cannot_be_written_is_refused(name):
    parts = dict(zip("XHW", problem()))
    parts[name].flags.writeable = False
    with pytest.raises(ValueError, match=f"{name} changes in place, .* read-only"):
        gsnmf_update(**parts)


class TestStart:
    def test_singular_vectors_are_numpys(self):
        for shape in ((30, 18), (18, 30)):
            X = np.random.default_rng(0).random(shape)
            U, s, Vt = leading_svd(X, 9, np.random.RandomState(0))
            np.testing.assert_allclose(s, np.linalg.svd(X, compute_uv=False)[:9], rtol=1e-8)
            np.testing.assert_allclose(U.T @ U, np.eye(9), atol=1e-7)
            np.testing.assert_allclose(Vt @ Vt.T, np.eye(9), atol=1e-7)
            np.testing.assert_allclose(U.T @ X @ Vt.T, np.diag(s), atol=1e-7)

    @pytest.mark.parametrize("init", ["nndsvd", "nndsvda"])
    def test_it_is_scikit_learns_nndsvd(self, init):
        from sklearn.decomposition._nmf import _initialize_nmf

        X = np.random.default_rng(0).random((30, 18))
        H, W = start(X, 6, init, np.random.RandomState(0))
        expected = _initialize_nmf(X, 6, init=init, random_state=0)
        np.testing.assert_allclose(H @ W, expected[0] @ expected[1], atol=1e-4)
        np.testing.assert_allclose(H, expected[0], atol=1e-4)

    def test_zeros_are_exact_or_filled(self):
        X = np.random.default_rng(0).random((30, 18)).astype(np.float32)
        H, W = start(X, 6, "nndsvd", np.random.RandomState(0))
        assert (H == 0).any() and (W == 0).any() and H.dtype == np.float32
        H, W = start(X, 6, "nndsvda", np.random.RandomState(0))
        assert (H > 0).all() and (W > 0).all()

    def test_components_beyond_the_rank_start_at_random(self):
        X = np.random.default_rng(0).random((8, 5))
        H, W = start(X, 12, "nndsvd", np.random.RandomState(0))
        assert H.shape == (8, 12) and W.shape == (12, 5)
        assert (H[:, 5:] > 0).all() and (W[5:] > 0).all()


def features(n: int = 60, m: int = 30) -> np.ndarray:
    random = np.random.default_rng(3)
    X = random.random((n, 4)) @ random.random((4, m)) + 0.05 * random.random((n, m))
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


class TestEstimator:
    def test_more_l1_gives_more_zeros(self):
        settings = {"init": "nndsvda", "max_iter": 200, "tol": 0}
        shares = [(GSNMF(8, l1=l1, **settings).fit_transform(features()) < 1e-6).mean() for l1 in (0, 0.1, 0.5)]
        assert shares[0] < shares[1] < shares[2]

    def test_no_penalty_is_plain_nmf(self):
        random = np.random.default_rng(0)
        X = random.random((60, 3)) @ random.random((3, 30))
        model = GSNMF(3, l1=0, l2=0, init="nndsvda", basis_norm=None, max_iter=2000, tol=0).fit(X)
        assert np.square(X - model.embedding_ @ model.components_).mean() < 1e-4

    def test_the_basis_has_unit_rows(self):
        model = GSNMF(5, max_iter=20).fit(features())
        np.testing.assert_allclose(np.linalg.norm(model.components_, axis=1), 1, atol=1e-5)

    def test_transform_solves_for_the_coefficients(self):
        X = features()
        model = GSNMF(5, max_iter=300, tol=0, transform_iter=3000).fit(X)
        H = model.transform(X).astype(np.float64)
        W = model.components_.astype(np.float64)
        gradient = equations.gradient(X.T, W.T, H.T, model.l2, model.l1).T  # Eq. (4): zero, or positive at a zero
        assert np.abs(gradient * H).max() < 1e-3
        assert gradient.min() > -1e-3

    def test_it_is_deterministic_and_seeds_differ(self):
        X = features()
        assert (GSNMF(5).fit_transform(X) == GSNMF(5).fit_transform(X)).all()  # NNDSVD needs no seed
        drawn = [GSNMF(5, init="random", random_state=seed).fit_transform(X) for seed in (0, 0, 1)]
        assert (drawn[0] == drawn[1]).all() and (drawn[0] != drawn[2]).any()

    def test_mini_batches_carry_the_basis(self):
        X = features()
        whole = GSNMF(6, max_iter=60, tol=0).fit(X)
        parts = GSNMF(6, max_iter=60, tol=0, batch_size=16, random_state=0).fit(X)
        assert objective(X, parts.embedding_, parts.components_, Penalty(0.05, 0.02)) < 1.1 * (
            objective(X, whole.embedding_, whole.components_, Penalty(0.05, 0.02))
        )
        alone = GSNMF(6, max_iter=2, tol=0, batch_size=4, forget_factor=0, random_state=0).fit(X)  # batch below L
        assert np.isfinite(alone.components_).all()

    def test_rows_and_columns_of_zeros(self):
        X = features()
        X[3], X[:, 7] = 0, 0
        for init in ("nndsvd", "nndsvda", "random"):
            model = GSNMF(5, init=init, max_iter=50, random_state=0).fit(X)
            assert (model.embedding_[3] == 0).all() and (model.components_[:, 7] == 0).all()
            assert (model.transform(X)[3] == 0).all()

    def test_more_components_than_data(self):
        model = GSNMF(50, max_iter=5, random_state=0).fit(features(20, 10))
        assert model.embedding_.shape == (20, 50) and np.isfinite(model.embedding_).all()

    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            (-np.ones((4, 3)), "non-negative"),
            (np.full((4, 3), np.nan), "NaN"),
            (np.zeros((4, 3)), "all zero"),
            (np.ones(4), "shape"),
            (np.ones((0, 3)), "0 sample"),
        ],
    )
    def test_bad_features_are_refused(self, bad, message):
        with pytest.raises(ValueError, match=message):
            GSNMF(2).fit(bad)

    @pytest.mark.parametrize(
        "setting",
        [
            {"l1": -0.1},
            {"l2": -1},
            {"l21": float("nan")},
            {"n_components": 0},
            {"max_iter": 0},
            {"batch_size": 0},
            {"init": "svd"},
            {"basis_norm": "l1"},
            {"products": "int8"},
            {"forget_factor": 2},
        ],
    )
    def test_bad_settings_are_refused(self, setting):
        with pytest.raises(ValueError, match=next(iter(setting))):
            GSNMF(**{"n_components": 2, **setting}).fit(features())

    def test_new_samples_must_have_the_same_features(self):
        with pytest.raises(ValueError, match="expecting"):
            GSNMF(2, max_iter=2).fit(features()).transform(np.ones((3, 4)))

    @pytest.mark.parametrize("batch_size", [None, 16])
    def test_a_killed_fit_resumes_exactly(self, tmp_path, monkeypatch, batch_size):
        monkeypatch.setattr(gsnmf_module, "_SAVE_SECONDS", 0.0)
        settings = {"n_components": 5, "tol": 0, "batch_size": batch_size, "random_state": 0}
        whole = GSNMF(max_iter=12, **settings).fit(features())
        file = tmp_path / "fit.pt"
        GSNMF(max_iter=7, checkpoint=file, **settings).fit(features())
        resumed = GSNMF(max_iter=12, checkpoint=file, **settings).fit(features())
        assert (resumed.embedding_ == whole.embedding_).all() and (resumed.components_ == whole.components_).all()
        assert len(resumed.history_) == 12
        with pytest.raises(ValueError, match="another fit"):
            GSNMF(max_iter=12, checkpoint=file, **{**settings, "n_components": 4}).fit(features())


def test_every_norm_of_the_basis_is_tested():
    assert set(BASIS_NORMS) == {"unit", "compensated", "ball", None}
