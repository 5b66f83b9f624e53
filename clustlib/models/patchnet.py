"""JULE's network for small patches of images (section 4.3)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clustlib.errors import UsageError

LAYERS = ("top", "top-1", "top-2")
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
