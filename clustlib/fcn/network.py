"""The networks whose features are factorised: three whose weights install from a package, and the paper's VGG-16."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# kernel, stride, expansion, channels out, repeats
_LITE0 = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
# a tenth wider in multiples of eight channels, a fifth deeper but for the first and the last stage
_LITE2 = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 3),
    (5, 2, 6, 48, 3),
    (3, 2, 6, 88, 4),
    (5, 1, 6, 120, 4),
    (5, 2, 6, 208, 5),
    (3, 1, 6, 352, 1),
)


class SameConv2d(nn.Conv2d):
    """A convolution without bias whose output is the input's size over the stride, rounded up.

    What padding it takes is added on all sides evenly, an odd one on the right and at the bottom, as TensorFlow does.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, C', ceil(H / stride), ceil(W / stride))``."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        down, across = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[-2:])
        if down % 2 or across % 2:
            x = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
            down = across = 0
        return F.conv2d(x, self.weight, self.bias, self.stride, (down // 2, across // 2), 1, self.groups)


class _Block(nn.Module):
    """An inverted residual: widen, filter each channel on its own, narrow again; with a skip where shapes allow."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels_in * expansion
        if expansion > 1:
            self.expand = _normalised(channels_in, wide, 1)
        self.filter = _normalised(wide, wide, kernel, stride, groups=wide)
        self.narrow = _normalised(wide, channels_out, 1)
        self.skips = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        wide = F.relu6(self.expand(x), inplace=True) if hasattr(self, "expand") else x
        found = self.narrow(F.relu6(self.filter(wide), inplace=True))
        return found.add_(x) if self.skips and not torch.is_grad_enabled() else found + x if self.skips else found


def _normalised(*shape: Any, **options: Any) -> nn.Sequential:
    convolution = SameConv2d(*shape, **options)
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels, eps=1e-3, momentum=0.01))


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 without its classifier: 1,280 activations between 0 and 6, averaged over the positions.

    ========================  =================================  ==================
    part                      layers                             for 224 x 224
    ========================  =================================  ==================
    stem                      3 x 3 convolution, stride 2        112 x 112 x 32
    16 inverted residuals     kernels 3 and 5, expansion 6       7 x 7 x 320
    head                      1 x 1 convolution, batch norm,     1,280
                              ReLU6, mean over the positions
    ========================  =================================  ==================

    Input: (N, 3, H, W) float, (RGB - 127) / 128. ``trunk`` is everything below the last hidden layer, ``head`` that
    layer; ``forward`` is both. With ``trained_layers = 2`` the last inverted residual is part of the head, too.

    References
    ----------
    Tan, Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019.
    """

    n_features = 1280
    mean = (127.0, 127.0, 127.0)
    scale = (128.0, 128.0, 128.0)
    stages = _LITE0
    trained_layers = 1  # of the last hidden ones: how many are the head

    def __init__(self) -> None:
        super().__init__()
        self.stem = _normalised(3, 32, 3, 2)
        blocks, channels = [], 32
        for kernel, stride, expansion, out, repeats in self.stages:
            for repeat in range(repeats):
                blocks.append(_Block(channels, out, kernel, 1 if repeat else stride, expansion))
                channels = out
        self.blocks = nn.Sequential(*blocks)
        self.last = _normalised(channels, self.n_features, 1)

    @property
    def last_hidden(self) -> nn.Module:
        """The layers that fine-tuning trains."""
        return self.last if self.trained_layers == 1 else nn.ModuleList([self.blocks[-1], self.last])

    def trunk(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to the head's input, (N, 320, ceil(H / 32), ceil(W / 32)), 192 channels below two layers."""
        blocks = self.blocks if self.trained_layers == 1 else self.blocks[:-1]
        return blocks(F.relu6(self.stem(x), inplace=True))

    def head(self, x: Tensor) -> Tensor:
        """The layers that fine-tuning trains: (N, 320 or 192, h, w) to (N, 1280), non-negative."""
        x = x if self.trained_layers == 1 else self.blocks[-1](x)
        return F.relu6(self.last(x)).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 1280), non-negative."""
        return self.head(self.trunk(x))


class EfficientNetLite2(EfficientNetLite0):
    """EfficientNet-Lite2 without its classifier: wider and deeper than Lite0, again 1,280 activations from 0 to 6."""

    stages = _LITE2


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1 without its classifier: 512 non-negative activations, averaged over the positions.

    =====================  ==========================================  ==================
    part                   layers                                      for 224 x 224
    =====================  ==========================================  ==================
    trunk                  convolution, seven fires, fire9's squeeze   13 x 13 x 64
    head                   fire9's 1 x 1 and 3 x 3 convolutions,       512
                           ReLU, mean over the positions
    =====================  ==========================================  ==================

    Input: (N, 3, H, W) float, RGB less ImageNet's mean. The layers are torchvision's. With ``trained_layers = 2``
    fire9's squeeze is part of the head, too.

    References
    ----------
    Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size", 2016.
    """

    n_features = 512
    mean = (123.68, 116.779, 103.939)
    scale = (1.0, 1.0, 1.0)
    trained_layers = 1  # of the last hidden ones: how many are the head

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import squeezenet1_1

        *below, fire9 = squeezenet1_1(weights=None).features
        self.below, self.squeeze = nn.Sequential(*below), fire9.squeeze
        self.last = nn.ModuleList([fire9.expand1x1, fire9.expand3x3])

    @property
    def last_hidden(self) -> nn.Module:
        """The layers that fine-tuning trains."""
        return self.last if self.trained_layers == 1 else nn.ModuleList([self.squeeze, self.last])

    def trunk(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to the head's input, (N, 64, h, w), 512 channels below two layers."""
        x = self.below(x)
        return F.relu(self.squeeze(x)) if self.trained_layers == 1 else x

    def head(self, x: Tensor) -> Tensor:
        """The layers that fine-tuning trains: (N, 64 or 512, h, w) to (N, 512), non-negative."""
        x = x if self.trained_layers == 1 else F.relu(self.squeeze(x))
        return torch.cat([F.relu(expand(x)) for expand in self.last], 1).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 512), non-negative."""
        return self.head(self.trunk(x))


class VGG16(nn.Module):
    """VGG-16's 13 convolutions, fc6 and fc7; the classifier fc8 is left out. The layers are torchvision's.

    =====================  ===========================  ==================
    part                   layers                       for 224 x 224
    =====================  ===========================  ==================
    C1-C13, five pools     3 x 3 convolutions, ReLU     7 x 7 x 512
    fc6                    linear, ReLU                 4,096
    head: fc7              linear, ReLU                 4,096
    =====================  ===========================  ==================

    Input: (N, 3, H, W) float, RGB less ImageNet's mean over its deviation. ``trunk`` ends with fc6, ``head`` is fc7;
    with ``trained_layers = 2`` the trunk ends with the last pool, and fc6 is part of the head.

    References
    ----------
    Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015;
    Gui et al., 2017, section 4.3.
    """

    n_features = 4096
    mean = (123.675, 116.28, 103.53)
    scale = (58.395, 57.12, 57.375)
    trained_layers = 1  # of the last hidden ones: how many are the head

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import vgg16

        whole = vgg16(weights=None, init_weights=False)
        self.features, self.avgpool = whole.features, whole.avgpool
        self.classifier = whole.classifier[:5]  # fc6, ReLU, dropout, fc7, ReLU: the names of the downloaded file

    @property
    def last_hidden(self) -> nn.Module:
        """What fine-tuning trains: fc7, or fc6 and fc7."""
        fc6, fc7 = self.classifier[0], self.classifier[3]
        return fc7 if self.trained_layers == 1 else nn.ModuleList([fc6, fc7])

    def trunk(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to fc6's activations (N, 4096), or to those of the last pool (N, 25088)."""
        x = self.avgpool(self.features(x)).flatten(1)
        return self.classifier[:2](x) if self.trained_layers == 1 else x

    def head(self, x: Tensor) -> Tensor:
        """fc7, or fc6 and fc7: (N, 4096 or 25088) to (N, 4096), non-negative."""
        x = x if self.trained_layers == 1 else self.classifier[:2](x)
        return nn.functional.relu(self.classifier[3](x))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 4096), non-negative."""
        return self.head(self.trunk(x))
