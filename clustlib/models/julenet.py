"""The networks of JULE (Yang et al., CVPR 2016, section 4.1.2; layers by data set from the talk)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clustlib.errors import UsageError

_KERNEL = 5
_MAP = 12  # a map this wide still gets another block
_POOLED = 8  # a map wider than this after its convolution is pooled
LAYERS = ("top", "top-1", "top-2")
INITS = ("released", "torch")


class Block(nn.Module):
    """Convolution 5 x 5, batch normalisation, ReLU and, where ``pool`` says so, 2 x 2 max-pooling that rounds up."""

    def __init__(self, channels: int, filters: int, pool: bool, padding: int) -> None:
        super().__init__()
        # batch normalisation takes away any constant, so a bias would do nothing
        self.convolution = nn.Conv2d(channels, filters, _KERNEL, padding=padding, bias=False)
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
    UMist             1x112x92   3       3      11 x 8 (released 14 x 12: ``padding=2``)
    COIL-20, -100     128 x 128  4       4      5 x 5
    ================  =========  ======  =====  ==========================

    The paper gives the rule "about 10 x 10". Ours, which yields the whole table: add blocks while the longer side of
    the map is 12 or more (and the shorter fits the kernel), and pool after a block unless its convolution leaves 8 or
    less. Images smaller than the kernel are padded by 2.

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
        padding = 2 if min(height, width) < _KERNEL else padding
        plan = _stack(height, width, padding) if blocks is None else _fixed(blocks, pools)
        sides = _sides(height, width, padding, plan)
        if min(sides) < 1 or not plan:
            raise UsageError(f"{len(plan)} blocks do not fit images of {height} x {width}")
        inputs = [channels] + [filters] * (len(plan) - 1)
        self.blocks = nn.ModuleList(Block(c, filters, pool, padding) for c, pool in zip(inputs, plan))
        self.top = nn.Linear(filters * sides[0] * sides[1], features)
        self.map_size = sides
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
        return F.normalize(self.top(x)) if layer == "top" else x


def _after(side: int, padding: int, pool: bool) -> int:
    side += 2 * padding - _KERNEL + 1
    return -(-side // 2) if pool else side


def _stack(height: int, width: int, padding: int) -> list[bool]:
    """Which blocks pool, by the rule of :class:`JuleNet`."""
    plan: list[bool] = []
    while not plan or (max(height, width) >= _MAP and min(height, width) >= _KERNEL - 2 * padding):
        pool = _after(max(height, width), padding, False) > _POOLED
        plan.append(pool)
        height, width = _after(height, padding, pool), _after(width, padding, pool)
    return plan


def _fixed(blocks: int, pools: int | None) -> list[bool]:
    pools = blocks if pools is None else pools
    if blocks < 1 or not 0 <= pools <= blocks:
        raise UsageError(f"needs at least one block and at most as many pools, got {blocks} and {pools}")
    return [i < pools for i in range(blocks)]


def _sides(height: int, width: int, padding: int, plan: list[bool]) -> tuple[int, int]:
    for pool in plan:
        height, width = _after(height, padding, pool), _after(width, padding, pool)
    return height, width


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
