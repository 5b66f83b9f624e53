"""JULE's triplets and their loss, against plain loops, autograd in float64 and the released gradient written out."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from clustlib.errors import UsageError
from clustlib.jule import equations
from clustlib.kernels import Triplets, sample_triplets, squared_distances, weighted_triplet_loss
from clustlib.kernels.triplets import _spread, _spread_on_gpu

labellings = st.lists(st.integers(0, 5), min_size=1, max_size=24)


def unit(rows: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(rows, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


def reference_loss(x: np.ndarray, triplets: Triplets, gamma: float, margin: float | None) -> float:
    total = [
        gamma * np.sum((x[i] - x[j]) ** 2) - np.sum((x[i] - x[k]) ** 2)
        if margin is None
        else equations.triplet_hinge(x[i], x[j], x[k], gamma, margin)
        for i, j, row in zip(*(part.tolist() for part in triplets))
        for k in row
    ]
    return float(np.mean(total))


@settings(max_examples=60, deadline=None)
@given(labellings, st.integers(1, 30), st.sampled_from(["spread", "random", "nearest"]), st.integers(0, 99))
def test_every_pair_of_a_cluster_has_different_negatives_of_others(labels, n_negatives, negatives, seed):
    y = torch.tensor(labels)
    distances = squared_distances(unit(len(y), seed), unit(len(y), seed))
    generator = torch.Generator().manual_seed(seed)
    found = sample_triplets(y, n_negatives, negatives=negatives, distances=distances, generator=generator)
    k = min(n_negatives, len(set(labels)) - 1)
    pairs = [(i, j) for i, j in itertools.combinations(range(len(y)), 2) if labels[i] == labels[j]]
    assert list(zip(found.anchor.tolist(), found.positive.tolist())) == (pairs if k else [])
    assert found.negative.shape == (len(pairs) if k else 0, k)
    for anchor, row in zip(found.anchor.tolist(), found.negative.tolist()):
        assert len(set(row)) == k
        assert all(labels[n] != labels[anchor] for n in row)


@settings(max_examples=60, deadline=None)
@given(labellings, st.integers(1, 30), st.integers(0, 99))
def test_the_same_random_numbers_give_the_same_triplets_on_every_device(labels, n_negatives, seed):
    y = torch.tensor(labels)
    loops = _spread(y, n_negatives, torch.Generator().manual_seed(seed))
    tensors = _spread_on_gpu(y, n_negatives, torch.Generator().manual_seed(seed))
    for ours, other in zip(loops, tensors):
        assert ours.dtype == other.dtype and torch.equal(ours, other)


@pytest.mark.parametrize("negatives", ["spread", "random"])
def test_every_other_image_is_equally_likely(negatives):
    y = torch.tensor([3, 0, 0, 1, 3, 1, 2])
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(7)
    draws = 1200
    for _ in range(draws):
        found = sample_triplets(y, 2, negatives=negatives, generator=generator)
        counts += torch.bincount(found.negative[0], minlength=7)  # the pair of images 0 and 4
    expected = draws * 2 / 5
    assert counts[0] == counts[4] == 0
    assert ((counts[[1, 2, 3, 5, 6]] - expected).abs() < 5 * (expected * 0.6) ** 0.5).all()


def test_every_set_of_random_negatives_is_drawn():
    y = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, 1])
    draws = [
        sample_triplets(y, 3, negatives="random", generator=torch.Generator().manual_seed(seed)).negative[0].tolist()
        for seed in range(400)
    ]
    assert {frozenset(row) for row in draws} == {frozenset(s) for s in itertools.combinations(range(2, 9), 3)}


def test_nearest_negatives_are_the_nearest():
    x, y = unit(12), torch.tensor([0, 1, 2] * 4)
    d2 = squared_distances(x, x)
    found = sample_triplets(y, 2, negatives="nearest", distances=d2)
    for anchor, row in zip(found.anchor.tolist(), found.negative.tolist()):
        others = [k for k in range(12) if y[k] != y[anchor]]
        assert row == sorted(others, key=lambda k: d2[anchor, k])[:2]


@pytest.mark.parametrize("labels", [[0], [0, 0, 0], [0, 1, 2]])
def test_a_batch_without_triplets_costs_nothing(labels):
    found = sample_triplets(torch.tensor(labels))
    assert len(found) == 0
    x = unit(len(labels)).requires_grad_()
    loss = weighted_triplet_loss(x, found)
    loss.backward()
    assert loss == 0 and (x.grad == 0).all()


@pytest.mark.parametrize("gamma, margin", [(2.0, 0.2), (1.0, 0.0), (1.5, 1.0), (2.0, None)])
def test_loss_is_the_mean_over_triplets(gamma, margin):
    x = unit(15)
    triplets = sample_triplets(torch.arange(15) % 4, 3, generator=torch.Generator().manual_seed(1))
    assert float(weighted_triplet_loss(x, triplets, gamma, margin)) == pytest.approx(
        reference_loss(x.numpy(), triplets, gamma, margin), rel=1e-12
    )


def test_gradient_is_that_of_the_loss():
    triplets = sample_triplets(torch.arange(9) % 3, 2, generator=torch.Generator().manual_seed(1))
    x = unit(9).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: weighted_triplet_loss(x, triplets, 2.0, 0.5), (x,))


@pytest.mark.parametrize("gamma, others", [(1.0, 0.0), (1.5, 0.5), (2.0, 1.0)])
def test_released_gradient_scales_all_but_the_anchors(gamma, others):
    """JULE.torch multiplies the anchor by gamma - 1 and the positive by gamma in place, then uses them again."""
    raw = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    a, p, n = F.normalize(raw)
    released = torch.stack([2 * ((gamma - 1) * a - gamma * p + n)] * 3)
    released[1] = 2 * (gamma * p - gamma * (gamma - 1) * a)
    released[2] = 2 * ((gamma - 1) * a - n)
    through = raw.clone().requires_grad_()
    F.normalize(through).backward(released)  # the l2-normalisation removes what is radial

    def ours(gradient: str) -> torch.Tensor:
        x = raw.clone().requires_grad_()
        one = Triplets(torch.tensor([0]), torch.tensor([1]), torch.tensor([[2]]))
        weighted_triplet_loss(F.normalize(x), one, gamma, 9.0, gradient=gradient).backward()
        return x.grad

    assert torch.allclose(ours("released"), through.grad, atol=1e-12)
    factor = torch.tensor([1.0, others, others], dtype=torch.float64)[:, None]
    assert torch.allclose(ours("released"), ours("exact") * factor, atol=1e-12)


def test_wrong_choices_are_refused():
    y = torch.tensor([0, 0, 1])
    with pytest.raises(UsageError, match="random, nearest"):
        sample_triplets(y, negatives="hardest")
    with pytest.raises(UsageError, match="n_negatives"):
        sample_triplets(y, 0)
    with pytest.raises(UsageError, match="distances"):
        sample_triplets(y, negatives="nearest")
    with pytest.raises(UsageError, match="exact, released"):
        weighted_triplet_loss(unit(3), sample_triplets(y), gradient="other")


@pytest.mark.parametrize("far", [0.0, 30.0, 1e4])
def test_the_loss_of_features_of_any_length_is_that_of_their_differences(far):
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(5)).double()
    x[4:] += far
    triplets = sample_triplets(torch.tensor([0, 0, 1, 1, 2, 2, 3, 3]), 2, generator=torch.Generator().manual_seed(1))
    single, double = (x.to(kind, copy=True).requires_grad_() for kind in (torch.float32, torch.float64))
    weighted_triplet_loss(single, triplets, margin=None).backward()
    loss = weighted_triplet_loss(double, triplets, margin=None)
    loss.backward()
    assert loss.item() == pytest.approx(reference_loss(x.detach().numpy(), triplets, 2.0, None), rel=1e-9)
    torch.testing.assert_close(single.grad.double(), double.grad, rtol=1e-3, atol=1e-3 * (1 + far * 1e-3))


@pytest.mark.parametrize("part", range(3))
@pytest.mark.parametrize("wrong", [-1, 3])
def test_positions_outside_the_batch_are_refused(part, wrong):
    parts = [torch.tensor(right) for right in ([0], [1], [[2]])]
    parts[part] = torch.full_like(parts[part], wrong)
    with pytest.raises(UsageError, match="triplets must be positions of samples, from 0 to 2"):
        weighted_triplet_loss(unit(3), Triplets(*parts))


@pytest.mark.parametrize("negatives", ["spread", "random", "nearest"])
def test_no_images_have_no_triplets(negatives):
    none = torch.zeros(0, dtype=torch.int64)
    assert len(sample_triplets(none, 2, negatives=negatives, distances=torch.zeros(0, 0))) == 0
