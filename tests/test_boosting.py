"""DBC's target: the two properties that the paper proves, and the edges. The formula: test_equations_dbc.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustlib.kernels.boosting import NORMALISATIONS, boosted_target, kl_terms


def scores(seed: int, n: int = 40, k: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(k), n)


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 8), st.floats(1.01, 6), st.integers(1, 30))
def test_property_1_equal_scores_stay_equal(k, alpha, steps):
    s = np.full((3, k), 1 / k)
    for _ in range(steps):
        s = boosted_target(s, alpha, "none")
    np.testing.assert_allclose(s, 1 / k)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.floats(1.2, 6))
def test_property_2_the_leader_takes_all(seed, alpha):
    s = scores(seed, n=10, k=4)
    leader = s.argmax(1)
    gap = np.sort(s, 1)
    s = s[gap[:, -1] > 1.05 * gap[:, -2]]
    leader = s.argmax(1)
    for _ in range(60):
        s = boosted_target(s, alpha, "none")
    np.testing.assert_allclose(s[np.arange(len(s)), leader], 1, atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.floats(0.5, 8), st.sampled_from(NORMALISATIONS))
def test_rows_are_distributions_and_the_loss_is_never_negative(seed, alpha, normalisation):
    s = scores(seed)
    r = boosted_target(s, alpha, normalisation)
    np.testing.assert_allclose(r.sum(1), 1)
    assert kl_terms(r, s).sum(1).min() > -1e-12


def test_large_powers_do_not_underflow():
    s = np.array([[0.4, 0.3, 0.3], [1e-30, 1 - 2e-30, 1e-30]], dtype=np.float32)
    r = boosted_target(s, 200.0, "none")
    assert np.isfinite(r).all()
    np.testing.assert_allclose(r.argmax(1), [0, 1])


def test_loss_of_a_settled_sample_is_zero():
    np.testing.assert_array_equal(kl_terms(np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]])), 0)


@pytest.mark.parametrize(
    ("s", "kwargs"),
    [
        (np.ones(3), {}),
        (np.empty((0, 3)), {}),
        (np.array([[np.nan, 1.0]]), {}),
        (np.array([[-0.1, 1.1]]), {}),
        (np.array([[0.5, 0.5]]), {"alpha": 0}),
        (np.array([[0.5, 0.5]]), {"normalisation": "dec"}),
    ],
)
def test_bad_input(s, kwargs):
    with pytest.raises(ValueError):
        boosted_target(s, **kwargs)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="differ in shape"):
        kl_terms(np.ones((2, 2)), np.ones((2, 3)))
