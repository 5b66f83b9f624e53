"""DBC's soft assignment: its gradients, its edges, and the memory it does not take. Formulas: test_equations_dbc.py."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clustlib.dbc import equations
from clustlib.kernels import boosted_kl, boosted_target, kl_terms, soft_assign

V = [0.5, 1.0, 2.0, 7.0]


def problem(seed: int, n: int = 30, k: int = 4, d: int = 6, scale: float = 1.0):
    drawn = torch.Generator().manual_seed(seed)
    Z, centers = (scale * torch.randn(size, d, generator=drawn, dtype=torch.float64) for size in (n, k))
    return Z, centers, boosted_target(soft_assign(Z, centers), 2.0)


@pytest.mark.parametrize("v", V)
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_a_multiple_of_the_loss_has_multiples_of_eq_4_and_5_at_any_scale(v, scale):
    Z, centers, target = problem(1, scale=scale)
    plain = Z.numpy(), centers.numpy(), target.numpy(), v
    expected = equations.gradient_by_codes(*plain), equations.gradient_by_centers(*plain)
    leaves = [t.clone().requires_grad_() for t in (Z, centers)]
    (3 * boosted_kl(*leaves, target, v)).backward()
    for leaf, gradient in zip(leaves, expected):
        np.testing.assert_allclose(leaf.grad, 3 * gradient, rtol=1e-8, atol=1e-10)
        assert np.abs(gradient).max() > 0


def test_finite_differences_agree():
    Z, centers, target = problem(2, n=5, k=3, d=2)
    args = (Z.requires_grad_(), centers.requires_grad_(), target, 1.0)
    assert torch.autograd.gradcheck(boosted_kl, args)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.3, 9), st.floats(1e-3, 1e3))
def test_rows_are_distributions_and_moving_everything_changes_nothing(seed, v, scale):
    Z, centers, _ = problem(seed, scale=scale)
    S = soft_assign(Z, centers, v)
    np.testing.assert_allclose(S.sum(1), 1, rtol=1e-12)
    assert (S >= 0).all()
    np.testing.assert_allclose(soft_assign(Z + 7 * scale, centers + 7 * scale, v), S, rtol=1e-6, atol=1e-9)


def test_the_nearest_centre_scores_highest_and_a_code_on_a_centre_does_no_harm():
    Z, centers, _ = problem(3)
    nearest = torch.cdist(Z, centers).argmin(1)
    assert torch.equal(soft_assign(Z, centers).argmax(1), nearest)
    on = centers.clone().requires_grad_()
    target = boosted_target(soft_assign(centers, centers))
    boosted_kl(on, centers, target).backward()
    assert torch.isfinite(on.grad).all()


def test_single_precision_is_close_to_double_far_from_the_origin():
    Z, centers, _ = problem(4)
    Z, centers = Z + 100, centers + 100
    np.testing.assert_allclose(soft_assign(Z.float(), centers.float()), soft_assign(Z, centers), atol=1e-4)


def test_arrays_in_arrays_out():
    Z, centers, target = problem(5)
    assert isinstance(soft_assign(Z.numpy(), centers.numpy()), np.ndarray)
    S = soft_assign(Z, centers)
    for normalisation in ("boosted", "soft", "none"):
        for alpha in (1.5, 4.0):
            ours = boosted_target(S, alpha, normalisation)
            assert isinstance(ours, torch.Tensor)
            np.testing.assert_allclose(ours, boosted_target(S.numpy(), alpha, normalisation), rtol=1e-12)
    np.testing.assert_allclose(kl_terms(target, S), kl_terms(target.numpy(), S.numpy()), rtol=1e-12)
    assert boosted_target(S.float()).dtype == torch.float32


def test_no_n_by_k_by_d_tensor_is_made():
    """The largest tensor that either pass makes has N x d or N x k entries."""
    n, k, d = 200, 50, 40
    Z, centers, target = problem(6, n, k, d)
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            result = function(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, (tuple, list)) else [result]:
                if isinstance(tensor, torch.Tensor):
                    largest = max(largest, tensor.numel())
            return result

    with Watch():
        boosted_kl(Z.requires_grad_(), centers.requires_grad_(), target).backward()
    assert n * d <= largest <= n * max(k, d)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda Z, centers, target: (Z[:, :2], centers, target), "share d"),
        (lambda Z, centers, target: (Z, centers, target[:, :2]), "target must be"),
        (lambda Z, centers, target: (Z, centers, target, 0.0), "v must be"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        boosted_kl(*change(*problem(7)))


@pytest.mark.parametrize(("kind", "apart", "tolerance"), [(torch.float32, 1e4, 1e-3), (torch.float64, 1e8, 1e-6)])
def test_codes_in_groups_far_apart_keep_their_scores_and_gradients(kind, apart, tolerance):
    codes = np.random.default_rng(3).normal(size=(8, 3)) + apart * (np.arange(8) > 3)[:, None]
    Z, centers = (torch.tensor(a, dtype=kind, requires_grad=True) for a in (codes, codes[[0, 1, 4, 5]]))
    target = torch.full((8, 4), 0.25, dtype=kind)
    loss = boosted_kl(Z, centers, target)
    loss.backward()
    z, mu = Z.detach().double().requires_grad_(), centers.detach().double().requires_grad_()
    u = 1 + (z[:, None] - mu).square().sum(-1)
    S = (1 / u) / (1 / u).sum(1, keepdim=True)
    plain = (target.double() * (target.double().log() - S.log())).sum()
    plain.backward()
    assert loss.dtype == kind and loss.item() == pytest.approx(plain.item(), rel=tolerance)
    torch.testing.assert_close(Z.grad.double(), z.grad, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(centers.grad.double(), mu.grad, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(
        soft_assign(Z.detach(), centers.detach()).double(), S.detach(), rtol=tolerance, atol=1e-6
    )
