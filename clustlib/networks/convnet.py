"""What DeepCluster's two networks share: a front end, convolutions with batch norm, two linear layers and a head."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from clustlib.errors import UsageError
from clustlib.networks.sobel import Sobel, Standardise

Input = Literal["sobel", "rgb"]
_LINEAR_STD = 0.01  # the released code's, for layers of the published widths


def convolution(n_in: int, n_out: int, kernel: int, stride: int = 1, padding: int = 0) -> list[nn.Module]:
    """A convolution, its batch norm and its ReLU."""
    layers = [nn.Conv2d(n_in, n_out, kernel, stride, padding), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)]
    return layers


def narrowed(filters: Sequence[int], width: float) -> list[int]:
    """The numbers of filters times ``width``, at least one each. Raises :class:`UsageError` unless 0 < width <= 1."""
    if not 0 < width <= 1:
        raise UsageError(f"width must be above 0 and at most 1, got {width!r}")
    return [max(1, round(n * width)) for n in filters]


class ConvNet(nn.Module):
    """Front end, ``features`` (convolutions), ``classifier`` (fc6, fc7) and a ``head`` that each epoch replaces.

    Parameters
    ----------
    front : "sobel" (two channels, the paper's choice) or "rgb" (three, the comparison of Figure 3).
    features : the convolutions and pools, after which an image is flattened.
    classifier : dropout, fc6, ReLU, dropout, fc7 in the network's own order; its last layer is fc7 before its ReLU.
    stages : positions in ``features`` of the ReLUs after which a convolution or block is probed.
    fan_in : what fc6, fc7 and the head have in the published network, by which the initial spread is scaled.

    Images are (N, 1 or 3, H, W) floats in [0, 1]; the network standardises them itself.
    """

    def __init__(
        self,
        front: Input,
        features: Sequence[nn.Module],
        classifier: Sequence[nn.Module],
        stages: Sequence[int],
        fan_in: tuple[int, int, int],
    ) -> None:
        super().__init__()
        self.front = nn.Sequential(Standardise(), *([Sobel()] if front == "sobel" else []))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(*classifier)
        self.head = nn.Linear(self.n_features, 1)
        self.stages = tuple(stages)
        self._fan_in = fan_in
        self._initialise()

    @property
    def n_features(self) -> int:
        """The width of fc7: what is clustered."""
        return [layer.out_features for layer in self.classifier if isinstance(layer, nn.Linear)][-1]

    def _initialise(self) -> None:
        """He et al.'s spread over the outgoing connections for convolutions, a fixed one for linear layers.

        A narrowed layer gets the spread that keeps the published layer's gain; at full width it is the released 0.01.
        """
        for layer in self.features:
            if isinstance(layer, nn.Conv2d):
                fan_out = layer.kernel_size[0] * layer.kernel_size[1] * layer.out_channels
                nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_out))
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        self.new_linear()
        self._draw(self.head, self._fan_in[2])

    def new_linear(self) -> None:
        """Draw the weights of fc6 and fc7, anew if they have learnt."""
        linear = [layer for layer in self.classifier if isinstance(layer, nn.Linear)]
        for layer, published in zip(linear, self._fan_in):
            self._draw(layer, published)

    @staticmethod
    def _draw(layer: nn.Linear, published: int) -> None:
        nn.init.normal_(layer.weight, std=_LINEAR_STD * math.sqrt(published / layer.in_features))
        nn.init.zeros_(layer.bias)

    def new_head(self, n_outputs: int) -> None:
        """Replace the head by a freshly drawn one: the outputs of the last belonged to other clusters (Section 3.2)."""
        head = nn.Linear(self.n_features, n_outputs)
        self._draw(head, self._fan_in[2])
        weight = self.head.weight
        self.head = head.to(weight.device, weight.dtype)

    def body(self) -> list[nn.Parameter]:
        """The parameters theta: all but the head's."""
        return [*self.features.parameters(), *self.classifier.parameters()]

    def convolve(self, images: Tensor) -> Tensor:
        """The last feature map, (N, C, H, W)."""
        images = self.front(self._large_enough(images, len(self.features)))
        half = torch.is_autocast_enabled(images.device.type)  # a GPU's tensor cores take channels last, too
        if images.device.type == "cpu" or half:  # half as fast again as the default order in these convolutions
            images = images.contiguous(memory_format=torch.channels_last)
        return self.features(images)

    def _large_enough(self, images: Tensor, n_layers: int) -> Tensor:
        """The images. Raises :class:`UsageError` where the first layers of ``features`` would leave nothing of them."""
        least, (height, width) = smallest_side(list(self.features)[:n_layers]), images.shape[2:]
        if min(height, width) < least:
            raise UsageError(f"images of {height} x {width} pixels are too small: this network needs {least} or more")
        return images

    def embed(self, images: Tensor) -> Tensor:
        """f_theta(x): fc7 before its ReLU, (N, n_features), as the released code clusters it."""
        return self.classifier(torch.flatten(self.convolve(images), 1))

    def forward(self, images: Tensor) -> Tensor:
        """g_W(f_theta(x)): the head's outputs, (N, n_outputs)."""
        return self.head(torch.relu(self.embed(images)))

    def activations(self, images: Tensor) -> list[Tensor]:
        """The maps after each probed convolution's ReLU, in order."""
        n_layers = max(self.stages) + 1
        maps, per_stage = self.front(self._large_enough(images, n_layers)), []
        for position in range(n_layers):
            maps = self.features[position](maps)
            if position in self.stages:
                per_stage.append(maps)
        return per_stage


def smallest_side(layers: Sequence[nn.Module]) -> int:
    """The pixels that an image's short side needs for convolutions and pools to leave anything of it."""
    side = 1
    for layer in reversed(layers):
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            kernel, stride, padding = (
                n if isinstance(n, int) else n[0] for n in (layer.kernel_size, layer.stride, layer.padding)
            )
            side = max(1, (side - 1) * int(stride) + int(kernel) - 2 * int(padding))
    return side


def flat_size(front: Input, features: Sequence[nn.Module], image_size: int) -> int:
    """How many numbers the convolutions leave of an image; raises :class:`UsageError` where nothing is left."""
    layers = nn.Sequential(*features)
    try:
        with torch.no_grad():
            maps = layers.eval()(torch.zeros(1, 2 if front == "sobel" else 3, image_size, image_size))
    except RuntimeError:
        raise UsageError(f"images of {image_size} x {image_size} pixels are too small for this network") from None
    layers.train()
    return maps[0].numel()


def check_front(front: str) -> None:
    """Raise :class:`UsageError` on an unknown front end."""
    if front not in ("sobel", "rgb"):
        raise UsageError(f'front must be "sobel" or "rgb", got {front!r}')
