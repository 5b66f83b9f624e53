"""The networks of JULE (Yang et al., CVPR 2016, section 4.1.2; layers by data set from the talk; 4.3 for patches).

And the auto-encoder of the talk's tables 13 and 14 (Hinton and Salakhutdinov 2006).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clustlib.errors import UsageError
from clustlib.jule.stacking import KERNEL, fixed, sides, stack

LAYERS = ("top", "top-1", "top-2")
INITS = ("released", "torch")


class Block(nn.Module):
    """Convolution 5 x 5, batch normalisation, ReLU and, where ``pool`` says so, 2 x 2 max-pooling that rounds up."""

    def __init__(self, channels: int, filters: int, pool: bool, padding: int) -> None:
        super().__init__()
        # batch normalisation takes away any constant, so a bias would do nothing
        self.convolution = nn.Conv2d(channels, filters, KERNEL, padding=padding, bias=False)
        self.norm = nn.BatchNorm2d(filters)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, filters, H', W')."""
        x = self.norm(self.convolution(x))
        if self.pool:  # ReLU after pooling is the same, on a quarter of the numbers
            x = F.max_pool2d(x, 2, ceil_mode=True)
        return F.relu(x)


class JuleNet(nn.Module):
    """Blocks of convolutions, a linear layer and l2-normalisation.

    The talk's layers by data set (``released`` names what JULE.torch has instead):

    ================  =========  ======  =====  ==========================
    data set          input      blocks  pools  last map
    ================  =========  ======  =====  ==========================
    USPS              1x16x16    1       1      6 x 6
    MNIST             1x28x28    2       1      8 x 8
    CMU-PIE, FRGC     32 x 32    2       2      5 x 5
    YouTube Faces     3x55x55    2       2      11 x 11 (released 14 x 14)
    UMist             1x112x92   3       3      11 x 8 (released 14 x 12: ``blocks=3, padding=2``)
    COIL-20, -100     128 x 128  4       4      5 x 5
    ================  =========  ======  =====  ==========================

    The paper gives the rule "about 10 x 10"; :func:`clustlib.jule.stacking.stack` is ours, which yields the whole
    table. Images smaller than the kernel are padded by 2.

    Parameters
    ----------
    channels, height, width : int
        Of the images.
    blocks, pools : int, optional
        Blocks, and how many of them (the first) pool; by the rule where left out.
    padding : int
        Of every convolution; the paper has 0.
    filters, features : int
        Channels of every convolution, and units of the linear layer.
    init : {"released", "torch"}
        "released": weights from N(0, 0.01^2), biases zero. "torch": torch's own, uniform by fan-in. Both are without
        effect on the scale of what a layer puts out, since normalisation follows; they decide how far a step turns it.
    generator : torch.Generator, optional
        For the weights.
    """

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        *,
        blocks: int | None = None,
        pools: int | None = None,
        padding: int = 0,
        filters: int = 50,
        features: int = 160,
        init: str = "released",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        padding = 2 if min(height, width) < KERNEL else padding
        plan = stack(height, width, padding) if blocks is None else fixed(blocks, pools)
        last = sides(height, width, padding, plan)
        inputs = [channels] + [filters] * (len(plan) - 1)
        self.blocks = nn.ModuleList(Block(c, filters, pool, padding) for c, pool in zip(inputs, plan))
        self.top = nn.Linear(filters * last[0] * last[1], features)
        self.map_size = last
        _initialise(self, init, generator)

    @property
    def shapes(self) -> dict[str, Any]:
        """Blocks, pools, the last map and what the linear layer reads, for tables of networks."""
        return {
            "blocks": len(self.blocks),
            "pools": sum(bool(block.pool) for block in self.blocks),
            "map": self.map_size,
            "flat": self.top.in_features,
            "features": self.top.out_features,
        }

    def forward(self, x: Tensor, layer: str = "top") -> Tensor:
        """Images (B, C, H, W) floating to features: "top" (B, features) of unit length, "top-1" and "top-2" flat maps.

        "top-1" is what the last block puts out, "top-2" the block before it (section 4.2.1).
        """
        if layer not in LAYERS[: len(self.blocks) + 1]:
            raise UsageError(f"layer must be one of {', '.join(LAYERS[: len(self.blocks) + 1])}; got {layer!r}")
        for block in self.blocks[: len(self.blocks) - (layer == "top-2")]:
            x = block(x)
        x = x.flatten(1)
        if layer != "top":
            return x
        top = self.top(x)  # lengths are taken in float32 at least: bfloat16 would round distances to two digits
        return F.normalize(top.to(torch.promote_types(top.dtype, torch.float32)))


def _initialise(network: nn.Module, init: str, generator: torch.Generator | None) -> None:
    if init not in INITS:
        raise UsageError(f"init must be one of {', '.join(INITS)}; got {init!r}")
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            if init == "released":
                nn.init.normal_(module.weight, std=0.01, generator=generator)
            else:
                nn.init.kaiming_uniform_(module.weight, a=5**0.5, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


_KERNEL = 3


class PatchNet(nn.Module):
    """Two convolutions of 50 filters 3 x 3 with padding 1, each with ReLU and 2 x 2 pooling, and a linear layer.

    ========  ===============  =============
    layer     output, 6 x 6    name
    ========  ===============  =============
    conv1     50 x 3 x 3       ``"top-2"``
    conv2     50 x 2 x 2       ``"top-1"``
    linear    160              ``"top"``, of unit length
    ========  ===============  =============

    Pooling rounds up, as Caffe's does, and the weights are drawn from N(0, 0.01^2), as elsewhere in JULE.

    Parameters
    ----------
    channels, height, width : of a patch.
    batch_norm : bool
        After each convolution, as in JULE's other networks; section 4.3 does not name it.
    generator : torch.Generator, optional
        For the weights.
    """

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        *,
        filters: int = 50,
        features: int = 160,
        batch_norm: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, _KERNEL, padding=1)
        self.conv2 = nn.Conv2d(filters, filters, _KERNEL, padding=1)
        self.norm1, self.norm2 = (nn.BatchNorm2d(filters) if batch_norm else nn.Identity() for _ in range(2))
        self.top = nn.Linear(filters * -(-height // 4) * -(-width // 4), features)
        for module in (self.conv1, self.conv2, self.top):
            nn.init.normal_(module.weight, std=0.01, generator=generator)
            nn.init.constant_(module.get_parameter("bias"), 0)

    def forward(self, x: Tensor, layer: str = "top") -> Tensor:
        """Patches (B, C, H, W) to features (B, D): the linear layer's, of unit length, or a flat map."""
        if layer not in LAYERS:
            raise UsageError(f"layer must be one of {', '.join(LAYERS)}; got {layer!r}")
        first = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2, ceil_mode=True)
        if layer == "top-2":
            return first.flatten(1)
        second = F.max_pool2d(F.relu(self.norm2(self.conv2(first))), 2, ceil_mode=True).flatten(1)
        return second if layer == "top-1" else F.normalize(self.top(second).float())


class Autoencoder(nn.Module):
    """x (B, D) to a code (B, d) and back: linear layers with ReLU between, a linear code, logits of pixels at the end.

    With ``hidden=(500, 500, 2000)`` and 784 inputs this is the shape used for MNIST: 784-500-500-2000-d and its mirror.
    Weights are drawn by He's rule, biases are 0.

    Parameters
    ----------
    n_inputs, n_components : int
        D and d.
    hidden : widths between them, from the input on.
    generator : torch.Generator, optional
        For the weights.
    """

    def __init__(
        self,
        n_inputs: int,
        n_components: int,
        hidden: Sequence[int] = (500, 500, 2000),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        widths = [n_inputs, *hidden, n_components]
        self.encoder = _stack(widths, generator)
        self.decoder = _stack(widths[::-1], generator)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Code (B, d) and logits of the reconstruction (B, D)."""
        code = self.encoder(x)
        return code, self.decoder(code)


def _stack(widths: Sequence[int], generator: torch.Generator | None) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        linear = nn.Linear(before, after)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
