"""The fused layers of the auto-encoder against PyTorch's own in float64, gradients included."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from clustlib.kernels.pooled_norm import pooled_norm
from clustlib.kernels.unpooled_deconvolution import unpool, unpooled_deconvolution

SHAPES = [(7, 3, 8, 8), (2, 1, 5, 9), (4, 6, 24, 24)]


def maps(shape, seed=0):
    drawn = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(*shape, generator=drawn) + 2


def norm_of(channels):
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(-1.2, 1.5, channels))
        norm.bias.copy_(torch.linspace(0.4, -0.3, channels))
        norm.running_mean.fill_(1.5)
        norm.running_var.fill_(4.0)
    return norm


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
def test_pooled_norm_is_the_three_layers(shape, training, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        ours, plain = norm_of(shape[1]).train(training), norm_of(shape[1]).double().train(training)
        x, y = maps(shape).requires_grad_(), maps(shape).double().requires_grad_()
        found, switches = pooled_norm(x, ours)
        expected = F.max_pool2d(F.relu(plain(y)), 2)
        torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-5)
        weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
        (found * weights).sum().backward()
        (expected * weights.double()).sum().backward()
        pairs = [(x, y), (ours.weight, plain.weight), (ours.bias, plain.bias)]
        for mine, theirs in pairs:
            assert theirs.grad.abs().max() > 0
            torch.testing.assert_close(mine.grad, theirs.grad.float(), rtol=1e-4, atol=1e-4)
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            mine, theirs = getattr(ours, name), getattr(plain, name)
            torch.testing.assert_close(mine.double(), theirs.double(), rtol=1e-5, atol=1e-5)
    finally:
        torch.set_num_threads(before)
    alive = found > 0
    taken = unpool(found.detach(), switches, shape[2:])
    dense = F.relu(copy.deepcopy(plain).train(training)(y)).detach()
    assert torch.equal(taken != 0, (taken != 0) & (dense > 0)) and int((taken != 0).sum()) == int(alive.sum())


def test_pooled_norm_elsewhere_is_pytorchs():
    x = maps((3, 2, 6, 6)).double()
    norm = norm_of(2).double().eval()
    found, switches = pooled_norm(x, norm)
    torch.testing.assert_close(found, F.max_pool2d(F.relu(norm(x)), 2))
    same = pooled_norm(x.float(), norm_of(2).eval())[1]
    assert torch.equal(switches, same) and bool((found == 0).any())


def test_a_cumulative_mean_is_kept_as_pytorch_keeps_it():
    ours, plain = norm_of(3), norm_of(3)
    for norm in (ours, plain):
        norm.momentum = None
        norm.reset_running_stats()
    for seed in range(3):
        pooled_norm(maps((4, 3, 6, 6), seed), ours)
        plain(maps((4, 3, 6, 6), seed))
    torch.testing.assert_close(ours.running_var, plain.running_var, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("outputs", [1, 3, 6])
@pytest.mark.parametrize(("size", "padding"), [((8, 8), 0), ((9, 13), 2)])
@pytest.mark.parametrize("filters", [3, 5, 9, (3, 5)])
def test_unpooled_deconvolution_is_the_two_layers(outputs, size, padding, filters):
    drawn = torch.Generator().manual_seed(2)
    values = torch.randn(5, 4, size[0] // 2, size[1] // 2, generator=drawn)
    switches = torch.randint(0, 4, values.shape, generator=drawn, dtype=torch.uint8)
    layer = nn.ConvTranspose2d(4, outputs, filters, padding=padding)
    plain = copy.deepcopy(layer).double()
    x, y = values.clone().requires_grad_(), values.double().requires_grad_()
    found = unpooled_deconvolution(F.relu(x), switches, layer, size)
    dense = torch.zeros(5, 4, *size, dtype=torch.float64)
    rows = torch.arange(values.shape[2])[:, None] * 2 + (switches >> 1).long()
    columns = torch.arange(values.shape[3]) * 2 + (switches & 1).long()
    grid = torch.meshgrid(torch.arange(5), torch.arange(4), indexing="ij")
    dense = dense.index_put((grid[0][..., None, None], grid[1][..., None, None], rows, columns), F.relu(y))
    expected = plain(dense)
    torch.testing.assert_close(found, expected.float(), rtol=1e-4, atol=1e-5)
    weights = torch.randn(found.shape, generator=drawn)
    (found * weights).sum().backward()
    (expected * weights.double()).sum().backward()
    for mine, theirs in ((x, y), (layer.weight, plain.weight), (layer.bias, plain.bias)):
        torch.testing.assert_close(mine.grad, theirs.grad.float(), rtol=1e-3, atol=1e-4)
