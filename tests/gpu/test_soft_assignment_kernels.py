"""The fused soft assignment and its gradients against float64, over shapes that fit no block."""

import numpy as np
import pytest
import torch

from clustlib.dbc import equations
from clustlib.kernels.boosting import boosted_target
from clustlib.kernels.cuda import soft_assignment as fused

SHAPES = [(1, 1, 1), (1, 3, 2), (65, 10, 33), (130, 17, 120), (70, 1, 5), (40, 33, 300)]


def drawn(n, k, dim, device, scale=1.0):
    rng = np.random.default_rng(n + 7 * k + 31 * dim)
    codes, centres = rng.normal(size=(n, dim)) * scale + 3, rng.normal(size=(k, dim)) * scale + 3
    return (torch.tensor(x, dtype=torch.float32, device=device) for x in (codes, centres))


def exact(codes, centres, v):
    codes, centres = (x.double().cpu().numpy() for x in (codes, centres))
    u = np.array([equations.u(z, centres, v) for z in codes])
    return torch.tensor(equations.soft_assignment(codes, centres, v)), torch.tensor(u)


@pytest.mark.parametrize("v", [1.0, 0.5, 4.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_scores(shape, v, device):
    codes, centres = drawn(*shape, device)
    found, u = fused.scores(codes, centres, v)
    wanted, far = exact(codes, centres, v)
    torch.testing.assert_close(u.cpu().double(), far, rtol=2e-5, atol=2e-5)
    torch.testing.assert_close(found.cpu().double(), wanted, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.sum(1), torch.ones(len(codes), device=device))


def test_scores_of_codes_far_from_every_centre(device):
    codes, centres = drawn(9, 4, 6, device, scale=1e4)
    found, _ = fused.scores(codes, centres, 1.0)
    wanted, _ = exact(codes, centres, 1.0)
    torch.testing.assert_close(found.cpu().double(), wanted, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("v", [1.0, 3.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_eq_4_and_5(shape, v, device):
    codes, centres = drawn(*shape, device)
    found, u = fused.scores(codes, centres, v)
    target = torch.tensor(boosted_target(found.cpu().numpy(), 2.0), device=device)
    by_codes, by_centres = fused.gradients(codes, centres, found, u, target, v)
    plain = [x.double().cpu().numpy() for x in (codes, centres, target)]
    wanted = equations.gradient_by_codes(*plain, v), equations.gradient_by_centers(*plain, v)
    scale = max(1e-3, *(np.abs(gradient).max() for gradient in wanted))
    for found, gradient in zip((by_codes, by_centres), wanted):
        torch.testing.assert_close(found.cpu().double(), torch.tensor(gradient), rtol=1e-3, atol=1e-4 * scale)


def test_strided_codes_and_no_codes(device):
    codes, centres = drawn(30, 5, 12, device)
    wanted, _ = fused.scores(codes, centres, 1.0)
    assert torch.equal(fused.scores(codes.T.contiguous().T, centres.T.contiguous().T, 1.0)[0], wanted)
    none, u = fused.scores(codes[:0], centres, 1.0)
    by_codes, by_centres = fused.gradients(codes[:0], centres, none, u, none, 1.0)
    assert none.shape == (0, 5) and by_codes.shape == (0, 12) and not by_centres.any()
