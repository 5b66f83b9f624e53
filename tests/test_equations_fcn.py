"""GSNMF-FCN: the kernel and the scores against the paper's equations, and the equations against autograd."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clustlib import metrics
from clustlib.fcn import equations
from clustlib.kernels import Penalty, gsnmf_update

seeds = st.integers(0, 10**6)
penalties = st.sampled_from([0.0, 0.02, 0.3])


def problem(seed: int, M: int = 9, N: int = 13, L: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Small whole numbers, so that columns repeat; X and the factors as the paper has them. H has zeros, W none."""
    random = np.random.default_rng(seed)
    X = random.integers(0, 4, (M, N)).astype(float)
    X[:, N // 2] = X[:, 0]
    H = random.integers(0, 3, (L, N)).astype(float)
    H[:, -1] = 1  # every basis vector is in use
    return X, random.integers(1, 4, (M, L)).astype(float), H


@settings(deadline=None, max_examples=40)
@given(seeds, penalties, penalties)
def test_an_update_is_eq_6_and_its_value_eq_2(seed, lambda_1, lambda_2):
    X, W, H = problem(seed)
    rows, h, w = X.T.copy(), H.T.copy(), W.T.copy()
    value = gsnmf_update(rows, h, w, Penalty(l1=lambda_2, l2=lambda_1), basis_norm=None)
    assert value == pytest.approx(equations.objective(X, W, H, lambda_1, lambda_2), rel=1e-12)
    expected_H = equations.update_coefficients(X, W, H, lambda_1, lambda_2)
    np.testing.assert_allclose(h.T, expected_H, rtol=1e-10, atol=1e-14)
    if expected_H.any(axis=1).all():  # a basis vector that no image uses is 0/0 in the equation
        np.testing.assert_allclose(w.T, equations.update_basis(X, W, expected_H), rtol=1e-10, atol=1e-14)


@settings(deadline=None, max_examples=25)
@given(seeds, penalties, penalties)
def test_eq_4_is_the_derivative_of_eq_2(seed, lambda_1, lambda_2):
    X, W, H = problem(seed)
    H += 0.5  # the l1 norm has no derivative at 0
    leaf = torch.tensor(H, requires_grad=True)
    error = torch.tensor(X) - torch.tensor(W) @ leaf
    value = error.square().sum() / 2 + lambda_1 / 2 * leaf.square().sum() + lambda_2 * leaf.abs().sum()
    assert float(value.detach()) == pytest.approx(equations.objective(X, W, H, lambda_1, lambda_2), rel=1e-12)
    value.backward()
    np.testing.assert_allclose(equations.gradient(X, W, H, lambda_1, lambda_2), leaf.grad, rtol=1e-10, atol=1e-12)


@settings(deadline=None, max_examples=25)
@given(seeds, penalties, st.sampled_from([0.02, 0.3]))
def test_the_step_of_eq_5_turns_eq_3_into_the_product_of_eq_6(seed, lambda_1, lambda_2):
    X, W, H = problem(seed)
    eta = equations.step_size(W, H, lambda_1, lambda_2)
    stepped = equations.gradient_step(H, eta, equations.gradient(X, W, H, lambda_1, lambda_2))
    product = equations.update_coefficients(X, W, H, lambda_1, lambda_2)
    np.testing.assert_allclose(stepped, product, rtol=1e-10, atol=1e-12)


def test_without_penalties_exact_factors_cost_nothing_and_stay():
    _, W, H = problem(0)
    X = equations.approximation(W, H)
    assert equations.objective(X, W, H, 0, 0) == 0
    np.testing.assert_allclose(equations.update_coefficients(X, W, H, 0, 0), H, rtol=1e-12)


labelings = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=30)


@settings(deadline=None, max_examples=60)
@given(labelings)
def test_accuracy_is_eq_7(pairs):
    t, r = np.array(pairs).T
    assert metrics.accuracy(t, r) == pytest.approx(equations.accuracy(t, r))


@settings(deadline=None, max_examples=60)
@given(labelings)
def test_nmi_over_the_larger_entropy_is_eq_8(pairs):
    t, r = np.array(pairs).T
    if max(equations.entropy(t), equations.entropy(r)) > 0:  # else 0/0: one cluster each
        assert metrics.nmi(t, r, average="max") == pytest.approx(equations.nmi(t, r), abs=1e-12)
