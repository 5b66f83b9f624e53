"""VGG-16 with batch norm behind a Sobel front end."""

from torch import nn

from clustlib.models.convnet import ConvNet, Input, check_front, convolution, flat_size, narrowed
from clustlib.models.sharded import Dropout

BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
FC = 4096


class VGG16Sobel(ConvNet):
    """The VGG-16 of DeepCluster (Section 3.4): thirteen 3 x 3 convolutions with batch norm in five blocks.

    ======  ================================  ====================
    layer   at full width, 224 x 224 pixels   map after the pool
    ======  ================================  ====================
    front   Sobel, fixed (or RGB)             2 (3) x 224 x 224
    block1  2 convolutions of 64, pool 2 x 2  64 x 112 x 112
    block2  2 convolutions of 128, pool       128 x 56 x 56
    block3  3 convolutions of 256, pool       256 x 28 x 28
    block4  3 convolutions of 512, pool       512 x 14 x 14
    block5  3 convolutions of 512, pool       512 x 7 x 7
    fc6     linear, ReLU, dropout             4,096
    fc7     linear (ReLU, then head)          4,096
    ======  ================================  ====================

    Parameters
    ----------
    image_size : pixels of the square images; at least 32.
    front : "sobel" or "rgb".
    width : share of the filters and of fc6 and fc7 that is kept, for small images.
    dropout : after fc6's ReLU, where VGG-16 has it.
    """

    def __init__(
        self, image_size: int = 224, *, front: Input = "sobel", width: float = 1.0, dropout: float = 0.5
    ) -> None:
        check_front(front)
        n_in = 2 if front == "sobel" else 3
        features: list[nn.Module] = []
        stages = []
        for block in BLOCKS:
            for n_out in narrowed(block, width):
                features += convolution(n_in, n_out, 3, padding=1)
                n_in = n_out
            stages.append(len(features) - 1)
            features.append(nn.MaxPool2d(2, 2))
        (fc,) = narrowed((FC,), width)
        flat = flat_size(front, features, image_size)
        classifier = [nn.Linear(flat, fc), nn.ReLU(inplace=True), Dropout(dropout), nn.Linear(fc, fc)]
        super().__init__(front, features, classifier, stages, (25088, FC, FC))
