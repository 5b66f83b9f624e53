"""AlexNet and VGG-16 with batch norm behind a Sobel front end."""

from torch import nn

from clustlib.deepcluster.sharded import Dropout
from clustlib.networks.convnet import ConvNet, Input, check_front, convolution, flat_size, narrowed

FILTERS = (96, 256, 384, 384, 256)
FC = 4096


class AlexNetSobel(ConvNet):
    """The AlexNet of DeepCluster (Section 3.4): no local response normalisation, batch norm after each convolution.

    ======  =================================  ====================
    layer   at full width, 224 x 224 pixels    map
    ======  =================================  ====================
    front   Sobel, fixed (or RGB)              2 (3) x 224 x 224
    conv1   96 of 11 x 11, stride 4, pad 2     96 x 55 x 55
    pool    3 x 3, stride 2                    96 x 27 x 27
    conv2   256 of 5 x 5, pad 2                256 x 27 x 27
    pool    3 x 3, stride 2                    256 x 13 x 13
    conv3   384 of 3 x 3, pad 1                384 x 13 x 13
    conv4   384 of 3 x 3, pad 1                384 x 13 x 13
    conv5   256 of 3 x 3, pad 1                256 x 13 x 13
    pool    3 x 3, stride 2                    256 x 6 x 6
    fc6     dropout, linear, ReLU              4,096
    fc7     dropout, linear (ReLU, then head)  4,096
    ======  =================================  ====================

    Parameters
    ----------
    image_size : pixels of the square images.
    front : "sobel" or "rgb".
    width : share of the filters and of fc6 and fc7 that is kept, for small images.
    kernel, stride : of conv1; 11 and 4 as published. Small images need less: 5 and 2, or 5 and 1 below 48 pixels.
    dropout : before fc6 and fc7.

    Filters are those of the paper; kernels, strides and padding are the released code's.
    """

    def __init__(
        self,
        image_size: int = 224,
        *,
        front: Input = "sobel",
        width: float = 1.0,
        kernel: int = 11,
        stride: int = 4,
        dropout: float = 0.5,
    ) -> None:
        check_front(front)
        one, two, three, four, five, fc = narrowed((*FILTERS, FC), width)
        padding = 2 if kernel >= 5 else kernel // 2
        features = [
            *convolution(2 if front == "sobel" else 3, one, kernel, stride, padding),
            nn.MaxPool2d(3, 2),
            *convolution(one, two, 5, padding=2),
            nn.MaxPool2d(3, 2),
            *convolution(two, three, 3, padding=1),
            *convolution(three, four, 3, padding=1),
            *convolution(four, five, 3, padding=1),
            nn.MaxPool2d(3, 2),
        ]
        flat = flat_size(front, features, image_size)
        classifier = [
            Dropout(dropout),
            nn.Linear(flat, fc),
            nn.ReLU(inplace=True),
            Dropout(dropout),
            nn.Linear(fc, fc),
        ]
        super().__init__(front, features, classifier, (2, 6, 10, 13, 16), (9216, FC, FC))


BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


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
