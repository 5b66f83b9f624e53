"""DBC: the kernels against the paper's equations, and each derivative that the paper writes down against autograd."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clustlib.dbc import equations
from clustlib.kernels import boosted_kl, boosted_target, kl_terms, soft_assign

seeds = st.integers(0, 10**6)
alphas = st.sampled_from([1.5, 2.0, 4.0])
freedoms = st.sampled_from([0.5, 1.0, 2.0, 7.0])


def problem(seed: int, m: int = 12, k: int = 4, d: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes and centres on a small grid, so that codes repeat, tie and lie on centres; a target made of the scores."""
    random = np.random.default_rng(seed)
    Z, mu = (random.integers(-2, 3, (size, d)).astype(float) for size in (m, k))
    Z[1] = Z[0]
    S = equations.soft_assignment(Z, mu)
    return Z, mu, equations.balanced_target(S, 2.0, equations.boosted_sizes(S, 2.0))


def loss(Z: torch.Tensor, mu: torch.Tensor, R: np.ndarray, v: float) -> torch.Tensor:
    """Eq. (1) and Eq. (3) once more, for autograd."""
    q = (1 + (Z[:, None] - mu).square().sum(2) / v) ** (-(v + 1) / 2)
    R = torch.tensor(R)
    return (R * (R.log() - (q / q.sum(1, keepdim=True)).log())).sum()


@settings(deadline=None, max_examples=40)
@given(seeds, freedoms)
def test_scores_are_eq_1(seed, v):
    Z, mu, _ = problem(seed)
    np.testing.assert_allclose(soft_assign(Z, mu, v), equations.soft_assignment(Z, mu, v), rtol=1e-10)


@settings(deadline=None, max_examples=40)
@given(seeds, alphas)
def test_targets_are_eq_2_and_that_of_algorithm_2(seed, alpha):
    S = equations.soft_assignment(*problem(seed)[:2])
    boosted = equations.balanced_target(S, alpha, equations.boosted_sizes(S, alpha))
    soft = equations.balanced_target(S, alpha, equations.soft_sizes(S))
    np.testing.assert_allclose(boosted_target(S, alpha, "none"), equations.boosted(S, alpha), rtol=1e-12)
    np.testing.assert_allclose(boosted_target(S, alpha, "boosted"), boosted, rtol=1e-12)
    np.testing.assert_allclose(boosted_target(S, alpha, "soft"), soft, rtol=1e-12)


@settings(deadline=None, max_examples=25)
@given(seeds, st.floats(1.1, 3), st.integers(1, 4))
def test_property_2_ratios_are_raised_to_a_power(seed, alpha, t):
    S = equations.soft_assignment(*problem(seed)[:2])
    reached = S
    for _ in range(t):
        reached = boosted_target(reached, alpha, "none")
    found, expected = reached[:, 0] / reached.max(1), equations.ratio_after(S[:, 0] / S.max(1), alpha, t)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


@settings(deadline=None, max_examples=40)
@given(seeds, freedoms)
def test_the_loss_is_eq_3_and_its_derivatives_are_eq_4_and_5(seed, v):
    Z, mu, R = problem(seed)
    S = equations.soft_assignment(Z, mu, v)
    kernel, plain = ([torch.tensor(a, requires_grad=True) for a in (Z, mu)] for _ in range(2))
    fast, slow = boosted_kl(*kernel, torch.tensor(R), v), loss(*plain, R, v)
    for value in (fast.item(), slow.item(), kl_terms(R, S).sum()):
        assert value == pytest.approx(equations.kl_divergence(R, S), rel=1e-9, abs=1e-12)
    fast.backward()
    slow.backward()
    for codes, centers in (kernel, plain):
        np.testing.assert_allclose(codes.grad, equations.gradient_by_codes(Z, mu, R, v), rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(centers.grad, equations.gradient_by_centers(Z, mu, R, v), rtol=1e-8, atol=1e-10)


def jacobian(function, z: np.ndarray) -> np.ndarray:
    """The derivative of one of the appendix's functions by central differences, (..., d)."""
    steps = 1e-6 * np.eye(len(z))
    return np.stack([(function(z + step) - function(z - step)) / 2e-6 for step in steps], axis=-1)


@settings(deadline=None, max_examples=25)
@given(seeds, freedoms)
def test_the_appendix_leads_to_eq_4_step_by_step(seed, v):
    Z, mu, R = problem(seed)
    z, r = Z[0], R[0]
    for value, derivative in (
        (equations.u, equations.du_dz),
        (equations.q, equations.dq_dz),
        (equations.s, equations.ds_dz),
    ):
        numeric = jacobian(lambda z, value=value: value(z, mu, v), z)
        np.testing.assert_allclose(derivative(z, mu, v), numeric, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(equations.s(z, mu, v), equations.soft_assignment(Z, mu, v)[0], rtol=1e-12)
    eq_4 = equations.gradient_by_codes(Z, mu, R, v)[0]
    np.testing.assert_allclose(equations.dL_dz_by_scores(z, mu, r, v), eq_4, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(equations.dL_dz(z, mu, r, v), eq_4, rtol=1e-9, atol=1e-11)


def test_the_networks_are_chains():
    x = np.random.default_rng(0).normal(size=(5, 6))
    A = np.random.default_rng(1).normal(size=(6, 2))
    x_hat = equations.autoencoder(x, lambda x: x @ A, lambda z: z @ np.linalg.pinv(A))
    expected = torch.nn.functional.mse_loss(torch.tensor(x_hat), torch.tensor(x), reduction="sum")
    assert equations.reconstruction_loss(x, x_hat) == pytest.approx(float(expected))
    np.testing.assert_allclose(
        equations.clustering_network(x, lambda x: x @ A, x[:3] @ A), soft_assign(x @ A, x[:3] @ A), rtol=1e-10
    )
