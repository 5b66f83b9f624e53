"""VGG-16 up to fc7: the network of the FCN paper."""

from torch import Tensor, nn


class VGG16(nn.Module):
    """VGG-16's 13 convolutions, fc6 and fc7; the classifier fc8 is left out. The layers are torchvision's.

    =====================  ===========================  ==================
    part                   layers                       for 224 x 224
    =====================  ===========================  ==================
    C1-C13, five pools     3 x 3 convolutions, ReLU     7 x 7 x 512
    fc6                    linear, ReLU                 4,096
    head: fc7              linear, ReLU                 4,096
    =====================  ===========================  ==================

    Input: (N, 3, H, W) float, RGB less ImageNet's mean over its deviation. ``trunk`` ends with fc6, ``head`` is fc7.

    References
    ----------
    Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015;
    Gui et al., 2017, section 4.3.
    """

    n_features = 4096
    mean = (123.675, 116.28, 103.53)
    scale = (58.395, 57.12, 57.375)

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import vgg16

        whole = vgg16(weights=None, init_weights=False)
        self.features, self.avgpool = whole.features, whole.avgpool
        self.classifier = whole.classifier[:5]  # fc6, ReLU, dropout, fc7, ReLU: the names of the downloaded file

    @property
    def last_hidden(self) -> nn.Module:
        """fc7, the layer that fine-tuning trains."""
        return self.classifier[3]

    def trunk(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to fc6's activations (N, 4096)."""
        return self.classifier[:2](self.avgpool(self.features(x)).flatten(1))

    def head(self, x: Tensor) -> Tensor:
        """fc7: (N, 4096) to (N, 4096), non-negative."""
        return nn.functional.relu(self.classifier[3](x))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 4096), non-negative."""
        return self.head(self.trunk(x))
