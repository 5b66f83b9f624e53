"""JULE's networks: the talk's layer table, the rule behind it, and what the layers compute."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from clustlib import jule, published
from clustlib.errors import UsageError
from clustlib.jule.network import JuleNet
from clustlib.jule.stacking import sides, stack

MAPS = {
    (16, 16): (6, 6),
    (28, 28): (8, 8),
    (32, 32): (5, 5),
    (55, 55): (11, 11),
    (112, 92): (11, 8),
    (128, 128): (5, 5),
}


@pytest.mark.parametrize("size", MAPS, ids=str)
def test_last_maps_are_those_of_the_papers_networks(size):
    network = JuleNet(1, *size)
    assert network.map_size == MAPS[size]
    assert network(torch.rand(2, 1, *size)).shape == (2, 160)


def test_the_rule_gives_the_talks_layer_table():
    cells = published.compare(jule.views.settings.network_layers(), "jule", "network-layers")
    assert len(cells) == 18 and (cells["ours"] == cells["paper"]).all()


def test_the_defaults_are_table_2():
    cells = published.compare(jule.views.settings.hyperparameters(), "jule", "table-02")
    assert len(cells) == 7 and (cells["ours"] == cells["paper"]).all()


def test_the_released_umist_network():
    assert JuleNet(1, 112, 92, blocks=3, padding=2).shapes == {
        "blocks": 3, "pools": 3, "map": (14, 12), "flat": 8400, "features": 160,
    }  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 260), st.integers(1, 260), st.sampled_from([1, 3]))
def test_every_size_and_channel_count_gets_a_network(height, width, channels):
    padding = 2 if min(height, width) < 5 else 0
    plan = stack(height, width, padding)
    assert plan and min(sides(height, width, padding, plan)) >= 1
    if height * width < 4000:
        x = JuleNet(channels, height, width, filters=3, features=4).eval()(torch.rand(1, channels, height, width))
        assert x.shape == (1, 4) and torch.isfinite(x).all()


def test_layers_are_the_papers_in_its_order():
    """Convolution, normalisation, ReLU, pooling: pooling before ReLU is a saving, not another network."""
    torch.manual_seed(0)
    network = JuleNet(1, 28, 28, init="torch").double()
    x = torch.rand(6, 1, 28, 28, dtype=torch.float64)
    first, second = network.blocks
    with torch.no_grad():
        h = F.max_pool2d(F.relu(F.batch_norm(F.conv2d(x, first.convolution.weight), None, None, training=True)), 2)
        h = F.relu(F.batch_norm(F.conv2d(h, second.convolution.weight), None, None, training=True)).flatten(1)
        top = network.top(h)
        assert torch.allclose(network(x), top / top.norm(dim=1, keepdim=True), atol=1e-12)
        assert torch.allclose(network(x, "top-1"), h, atol=1e-12)
        assert network(x, "top-2").shape == (6, 50 * 12 * 12)


def test_first_weights_are_small_and_follow_the_generator():
    made = [JuleNet(1, 28, 28, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    weights = [network.top.weight for network in made]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert float(weights[0].detach().std()) == pytest.approx(0.01, rel=0.02)
    assert (made[0].top.bias == 0).all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="do not fit"):
        JuleNet(1, 16, 16, blocks=3)
    with pytest.raises(UsageError, match="at most as many pools"):
        JuleNet(1, 32, 32, blocks=1, pools=2)
    with pytest.raises(UsageError, match="released, torch"):
        JuleNet(1, 16, 16, init="zeros")
    with pytest.raises(UsageError, match="top, top-1"):
        JuleNet(1, 16, 16)(torch.rand(1, 1, 16, 16), "top-2")
