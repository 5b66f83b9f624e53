"""AlexNetSobel and VGG16Sobel: the layer tables, the fixed front end, the initial spread, the probed maps."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from clustlib.deepcluster.network import AlexNetSobel, VGG16Sobel
from clustlib.deepcluster.sharded import Dropout
from clustlib.errors import UsageError
from clustlib.networks.sobel import Sobel, Standardise


def test_sobel_is_the_two_masks_on_the_mean_of_the_channels():
    images = torch.randn(2, 3, 9, 7, dtype=torch.float64)
    rows = torch.tensor([[1, 0, -1], [2, 0, -2], [1, 0, -1]], dtype=torch.float64)
    masks = torch.stack([rows, torch.tensor([[1, 2, 1], [0, 0, 0], [-1, -2, -1]], dtype=torch.float64)])[:, None]
    wanted = F.conv2d(F.conv2d(images, torch.full((1, 3, 1, 1), 1 / 3, dtype=torch.float64)), masks, padding=1)
    torch.testing.assert_close(Sobel()(images), wanted)


def test_the_front_end_is_fixed_and_takes_colour_away():
    network = AlexNetSobel(40, width=1 / 48, kernel=5, stride=2)
    assert not list(network.front.parameters())
    grey = torch.rand(2, 1, 40, 40)
    torch.testing.assert_close(network.front(grey), network.front(grey.expand(-1, 3, -1, -1)))
    red, blue = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    assert Standardise()(red).shape == (1, 3, 8, 8)
    red[:, 0, 2:5, 2:5], blue[:, 2, 2:5, 2:5] = 0.229, 0.225  # of equal height after standardising
    torch.testing.assert_close(network.front(red), network.front(blue), atol=1e-5, rtol=1e-5)


class TestAlexNet:
    def test_the_published_layers(self):
        network = AlexNetSobel()
        convolutions = [layer for layer in network.features if isinstance(layer, nn.Conv2d)]
        assert [(c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0], c.padding[0]) for c in convolutions] == [
            (2, 96, 11, 4, 2),
            (96, 256, 5, 1, 2),
            (256, 384, 3, 1, 1),
            (384, 384, 3, 1, 1),
            (384, 256, 3, 1, 1),
        ]
        linear = [
            (layer.in_features, layer.out_features) for layer in network.classifier if isinstance(layer, nn.Linear)
        ]
        assert linear == [(9216, 4096), (4096, 4096)]
        maps = network.eval().activations(torch.rand(1, 3, 224, 224))
        assert [tuple(m.shape[1:]) for m in maps] == [
            (96, 55, 55),
            (256, 27, 27),
            (384, 13, 13),
            (384, 13, 13),
            (256, 13, 13),
        ]
        assert all((m >= 0).all() for m in maps)

    def test_the_initial_spread_is_the_released_one(self):
        torch.manual_seed(0)
        network = AlexNetSobel()
        first = network.features[0].weight
        assert first.std().item() == pytest.approx((2 / (11 * 11 * 96)) ** 0.5, rel=0.05)
        assert network.classifier[1].weight.std().item() == pytest.approx(0.01, rel=0.01)
        network.new_head(10)
        assert network.head.weight.std().item() == pytest.approx(0.01, rel=0.05) and not network.head.bias.any()

    def test_what_is_clustered_is_fc7_before_its_relu(self):
        network = AlexNetSobel(40, width=1 / 48, kernel=5, stride=2).eval()
        network.new_head(7)
        images = torch.rand(3, 3, 40, 40)
        embedded = network.embed(images)
        assert embedded.shape == (3, network.n_features) and (embedded < 0).any()
        torch.testing.assert_close(network(images), network.head(embedded.clamp(min=0)))

    def test_maps_that_are_kept_are_not_overwritten(self):
        network = AlexNetSobel(40, width=1 / 12, kernel=5, stride=2).eval()
        maps = network.activations(torch.rand(2, 3, 40, 40))
        x = network.front(torch.rand(2, 3, 40, 40) * 0 + 0.5)
        assert all(torch.isfinite(m).all() for m in maps) and x.shape[1] == 2
        torch.manual_seed(1)
        images = torch.rand(2, 3, 40, 40)
        torch.testing.assert_close(network.features(network.front(images)), network.convolve(images))

    def test_rgb_sees_three_channels(self):
        network = AlexNetSobel(40, front="rgb", width=1 / 48, kernel=5, stride=2)
        assert network.features[0].in_channels == 3

    def test_bad_settings(self):
        with pytest.raises(UsageError, match="too small"):
            AlexNetSobel(20, width=1 / 48)
        with pytest.raises(UsageError, match="width"):
            AlexNetSobel(width=0)
        with pytest.raises(UsageError, match="front"):
            AlexNetSobel(front="grey")


class TestVGG16:
    def test_the_published_layers(self):
        network = VGG16Sobel(32, width=1)
        convolutions = [layer for layer in network.features if isinstance(layer, nn.Conv2d)]
        widths = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
        assert [c.out_channels for c in convolutions] == widths
        assert all(c.kernel_size == (3, 3) and c.padding == (1, 1) for c in convolutions)
        assert sum(isinstance(layer, nn.BatchNorm2d) for layer in network.features) == 13
        assert network.n_features == 4096

    def test_five_blocks_are_probed(self):
        maps = VGG16Sobel(64, width=1 / 16).eval().activations(torch.rand(1, 3, 64, 64))
        assert [m.shape[-1] for m in maps] == [64, 32, 16, 8, 4]


class TestDropout:
    def test_rows_of_a_batch_are_dropped_as_in_the_whole_batch(self):
        layer, rows = Dropout(0.5), torch.ones(10, 6)
        torch.manual_seed(3)
        whole = layer(rows)
        parts = []
        for first, part in ((0, rows[:4]), (4, rows[4:])):
            torch.manual_seed(3)
            layer.share = (torch.arange(first, first + len(part)), 10)
            parts.append(layer(part))
        assert torch.equal(torch.cat(parts), whole)
        assert set(whole.unique().tolist()) == {0.0, 2.0}

    def test_none_in_evaluation(self):
        rows = torch.randn(4, 3)
        assert torch.equal(Dropout().eval()(rows), rows)
