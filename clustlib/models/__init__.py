"""The papers' networks, each a plain ``nn.Module`` with the paper's layer table in its docstring."""

from typing import TYPE_CHECKING

from clustlib import _lazy

if TYPE_CHECKING:  # for readers, type checkers and clustlib.sources; at run time the names come in one by one
    from clustlib.models.alexnet import AlexNetSobel
    from clustlib.models.autoencoder import Autoencoder
    from clustlib.models.convnet import ConvNet
    from clustlib.models.efficientnet_lite import EfficientNetLite0
    from clustlib.models.fcae import FCAE
    from clustlib.models.features import extract
    from clustlib.models.julenet import JuleNet
    from clustlib.models.patchnet import PatchNet
    from clustlib.models.sobel import Sobel
    from clustlib.models.vgg16 import VGG16
    from clustlib.models.vgg16_sobel import VGG16Sobel
    from clustlib.models.weights import pretrained

_HOME = {
    "AlexNetSobel": "alexnet",
    "Autoencoder": "autoencoder",
    "ConvNet": "convnet",
    "EfficientNetLite0": "efficientnet_lite",
    "FCAE": "fcae",
    "JuleNet": "julenet",
    "PatchNet": "patchnet",
    "Sobel": "sobel",
    "VGG16": "vgg16",
    "VGG16Sobel": "vgg16_sobel",
    "extract": "features",
    "pretrained": "weights",
}

__all__ = [
    "FCAE",
    "VGG16",
    "AlexNetSobel",
    "Autoencoder",
    "ConvNet",
    "EfficientNetLite0",
    "JuleNet",
    "PatchNet",
    "Sobel",
    "VGG16Sobel",
    "extract",
    "pretrained",
]

__getattr__ = _lazy.attributes(__name__, _HOME)
