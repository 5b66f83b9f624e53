"""The loss over all pairs of a batch against the loss over its triplets."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clustlib.kernels import sample_triplets, weighted_triplet_loss
from clustlib.kernels.padded_triplets import padded_triplet_loss


def both(labels, n_negatives, gradient="exact", gamma=2.0, margin=0.2):
    """Losses and gradients of the two ways, with the same random numbers."""
    labels = torch.tensor(labels)
    size = len(labels)
    x = torch.tensor(np.random.default_rng(size).normal(size=(size, 4))).requires_grad_()
    triplets = sample_triplets(labels, n_negatives, generator=torch.Generator().manual_seed(1))
    anchor, positive = torch.triu_indices(size, size, 1)
    same = labels[anchor] == labels[positive]
    uniform = torch.zeros(len(anchor))
    uniform[same] = torch.rand(int(same.sum()), generator=torch.Generator().manual_seed(1))
    plain = weighted_triplet_loss(x, triplets, gamma, margin, gradient=gradient)
    padded, n = padded_triplet_loss(x, labels, uniform, n_negatives, gamma, margin, gradient=gradient)
    assert int(n) == len(triplets)
    return (plain, *torch.autograd.grad(plain, x)), (padded, *torch.autograd.grad(padded, x))


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), min_size=2, max_size=25), st.integers(1, 8))
def test_the_same_loss_and_gradient_for_the_same_random_numbers(labels, n_negatives):
    for plain, padded in zip(*both(labels, n_negatives), strict=True):
        torch.testing.assert_close(padded, plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("gradient", ["exact", "released"])
@pytest.mark.parametrize("gamma, margin", [(1.0, 0.1), (2.0, 0.1), (2.0, None)])
def test_the_released_gradient_and_no_hinge(gradient, gamma, margin):
    for plain, padded in zip(*both([0, 3, 3, 0, 1, 1, 1, 7], 20, gradient, gamma, margin), strict=True):
        torch.testing.assert_close(padded, plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("labels", [[4, 4, 4], [0, 1, 2, 3]])
def test_no_triplets_no_loss(labels):
    size = len(labels)
    loss, n = padded_triplet_loss(torch.eye(size), torch.tensor(labels), torch.rand(size * (size - 1) // 2))
    assert float(loss) == 0 and int(n) == 0
