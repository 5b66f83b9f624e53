"""The fully convolutional auto-encoder of DBC (Li et al., 2017, section 3.1 and Table 2)."""

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from clustlib.errors import UsageError
from clustlib.kernels.pooled_norm import pooled_norm
from clustlib.kernels.unpooled_deconvolution import unpool, unpooled_deconvolution

UNPOOLINGS = ("switches", "corner", "nearest")
CODES = ("bn-relu", "bn", "relu", "linear")


class Stage(NamedTuple):
    """A convolution of ``width`` x ``width`` with so many ``filters``; all but the code's are followed by pooling."""

    width: int
    filters: int
    padding: int = 0


def architecture(shape: tuple[int, int, int]) -> tuple[list[Stage], tuple[int, int], int]:
    """The encoder for images of ``shape`` (C, H, W): Table 2's for its sizes, by the same rules for others.

    Images up to 16 pixels wide get padded 3 x 3 convolutions of 20 filters and a code of 160 (USPS's), up to 32
    pixels 5 x 5 convolutions of 6, then 16 filters and 120 (MNIST's), larger ones a 9 x 9 and then 5 x 5
    convolutions of 20, the last of 40, and 320 (COIL's). A convolution with pooling is added while it leaves
    a map of at least 4 x 4; the code's filter covers that map.

    Returns
    -------
    The stages with pooling; height and width of the last map, which the code's filter covers; the code's length.

    Raises
    ------
    UsageError : an image below 4 x 4, or a shape that is none.
    """
    if len(shape) != 3 or min(shape) < 1 or min(shape[1:]) < 4:
        raise UsageError(f"an image must be (channels, height, width) of at least 4 x 4 pixels, got {tuple(shape)}")
    height, width = shape[1:]
    largest = max(height, width)
    stages: list[Stage] = []
    while True:
        number = len(stages)
        if largest <= 16:
            stage, code = Stage(3, 20, padding=1), 160
        elif largest <= 32:
            stage, code = Stage(5, 6 if number == 0 else 16), 120
        else:
            stage, code = Stage(9 if number == 0 else 5, 20), 320
        shrunk = [(side - stage.width + 1 + 2 * stage.padding) // 2 for side in (height, width)]
        if min(shrunk) < 4:
            break
        stages.append(stage)
        height, width = shrunk
    if code == 320 and stages:
        stages[-1] = stages[-1]._replace(filters=40)
    return stages, (height, width), code


def _block(convolution: nn.Module, normalised: bool) -> nn.Sequential:
    norm = [nn.BatchNorm2d(convolution.out_channels)] if normalised else []  # type: ignore[arg-type]
    return nn.Sequential(convolution, *norm, nn.ReLU(inplace=True))


def _layers(block: Any) -> list[Any]:
    """The layers of a sequence; the checker knows modules only, not which."""
    return list(block)


def _pooled(maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """2 x 2 max-pooling with the switches of :func:`clustlib.kernels.pooled_norm.pooled_norm`: 0 1 / 2 3 (uint8)."""
    pooled, flat = F.max_pool2d(maps, 2, return_indices=True)
    width = maps.shape[3]
    return pooled, (2 * (flat // width % 2) + flat % width % 2).to(torch.uint8)


class FCAE(nn.Module):
    """A convolutional encoder that ends in a code of 1 x 1 pixels, and a decoder that mirrors it fully.

    ========  ======================  ====================  =========================
    layer     MNIST, 28 x 28          USPS, 16 x 16         COIL, 128 x 128
    ========  ======================  ====================  =========================
    conv1     5 x 5, 6   -> 24 x 24   3 x 3, 20 -> 16 x 16  9 x 9, 20  -> 120 x 120
    pool1     2 x 2      -> 12 x 12   2 x 2     -> 8 x 8    2 x 2      -> 60 x 60
    conv2     5 x 5, 16  -> 8 x 8     3 x 3, 20 -> 8 x 8    5 x 5, 20  -> 56 x 56
    pool2     2 x 2      -> 4 x 4     2 x 2     -> 4 x 4    2 x 2      -> 28 x 28
    conv3                                                   5 x 5, 20  -> 24 x 24
    pool3                                                   2 x 2      -> 12 x 12
    conv4                                                   5 x 5, 40  -> 8 x 8
    pool4                                                   2 x 2      -> 4 x 4
    features  4 x 4, 120 -> 1 x 1     4 x 4, 160 -> 1 x 1   4 x 4, 320 -> 1 x 1
    ========  ======================  ====================  =========================

    Convolutions of USPS are padded by one pixel, the last one excepted; max-pooling keeps where each maximum was
    (its switches). Batch normalisation and ReLU follow every convolution and transposed convolution but the last.

    Parameters
    ----------
    shape : (C, H, W) of an image; :func:`architecture` says which encoder it gets.
    unpooling : how the decoder enlarges a map: "switches", each value goes back to where the maximum was, the rest is
        0 (the paper's); "corner", always to the upper left pixel; "nearest", to all four.
    code : what follows the code's convolution: "bn-relu" (the paper's figure 4 shows sparse codes), "bn", "relu" or
        "linear".
    normalised : whether batch normalisation follows each layer; False leaves it out everywhere, behind the code too.

    Raises
    ------
    UsageError : a shape that is none, or an unknown ``unpooling`` or ``code``.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        unpooling: str = "switches",
        code: str = "bn-relu",
        normalised: bool = True,
    ) -> None:
        super().__init__()
        for name, value, known in (("unpooling", unpooling, UNPOOLINGS), ("code", code, CODES)):
            if value not in known:
                raise UsageError(f"{name} must be one of {', '.join(known)}; got {value!r}")
        stages, last, length = architecture(shape)
        self.shape, self.unpooling, self.code_length = tuple(shape), unpooling, length
        channels = [shape[0], *(stage.filters for stage in stages)]
        pairs = list(zip(stages, channels, channels[1:]))
        self.encoder = nn.ModuleList(
            _block(nn.Conv2d(before, after, stage.width, padding=stage.padding), normalised)
            for stage, before, after in pairs
        )
        features: list[nn.Module] = [nn.Conv2d(channels[-1], length, last)]
        features += [nn.BatchNorm2d(length)] if "bn" in code and normalised else []
        features += [nn.ReLU(inplace=True)] if "relu" in code else []
        self.features = nn.Sequential(*features)
        mirrored = [nn.ConvTranspose2d(length, channels[-1], last)]
        mirrored += [
            nn.ConvTranspose2d(after, before, stage.width, padding=stage.padding)
            for stage, before, after in pairs[::-1]
        ]
        self.decoder = nn.ModuleList([*(_block(layer, normalised) for layer in mirrored[:-1]), mirrored[-1]])

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """The codes of (N, C, H, W) floats, (N, d)."""
        return self._encode(images)[0]

    def _encode(self, images: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor], list[tuple[int, int]]]:
        """Codes, and of every pooling its switches and the size of the map that it pooled."""
        switches, sizes, maps = [], [], images
        for convolution, *norm, activation in map(_layers, self.encoder):
            maps = convolution(maps)
            sizes.append((maps.shape[2], maps.shape[3]))
            maps, where = pooled_norm(maps, *norm) if norm else _pooled(activation(maps))
            switches.append(where)
        convolution, *rest = _layers(self.features)
        # its filter covers the map: one matrix product
        codes = F.linear(maps.flatten(1), convolution.weight.flatten(1), convolution.bias)[:, :, None, None]
        for layer in rest:
            codes = layer(codes)
        return codes.flatten(1), switches, sizes

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The codes (N, d) and the reconstructions (N, C, H, W) of (N, C, H, W) floats, (M1).

        The same numbers as :meth:`activations`, by fused layers where there are any.
        """
        if self.unpooling != "switches" or not self.encoder:
            layers = self.activations(images)
            return layers["features"].flatten(1), layers["output"]
        codes, switches, sizes = self._encode(images)
        first, *rest = _layers(self.decoder[0])
        maps = (codes @ first.weight.flatten(1)).view(len(codes), first.out_channels, *first.kernel_size)
        maps = maps + first.bias[:, None, None]
        for layer in rest:
            maps = layer(maps)
        for deconvolution in self.decoder[1:-1]:  # type: ignore[union-attr]
            maps = deconvolution(unpool(maps, switches.pop(), sizes.pop()))
        last: Any = self.decoder[-1]
        return codes, unpooled_deconvolution(maps, switches[0], last, sizes[0])

    def activations(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Every layer's maps by name, in order: conv1, pool1, ..., features, deconv, unpool, ..., output."""
        layers: dict[str, torch.Tensor] = {}
        switches, sizes, maps = [], [], images
        for number, convolution in enumerate(self.encoder, 1):
            maps = layers[f"conv{number}"] = convolution(maps)
            sizes.append(maps.shape[2:])
            if self.unpooling == "switches":
                maps, where = F.max_pool2d(maps, 2, return_indices=True)
                switches.append(where)
            else:
                maps = F.max_pool2d(maps, 2)
            layers[f"pool{number}"] = maps
        maps = layers["features"] = self.features(maps)
        for number, convolution in zip(range(len(self.encoder), 0, -1), self.decoder):
            maps = layers[f"deconv{number + 1}"] = convolution(maps)
            maps = layers[f"unpool{number}"] = self._unpool(maps, switches, sizes.pop())
        layers["output"] = self.decoder[-1](maps)
        return layers

    def _unpool(self, maps: torch.Tensor, switches: list[torch.Tensor], size: torch.Size) -> torch.Tensor:
        if self.unpooling == "switches":
            return F.max_unpool2d(maps, switches.pop(), [2, 2], output_size=size)
        if self.unpooling == "nearest":
            return F.interpolate(maps, size=size)
        enlarged = maps.new_zeros(*maps.shape[:2], *size)
        enlarged[:, :, : 2 * maps.shape[2] : 2, : 2 * maps.shape[3] : 2] = maps
        return enlarged

    def encoder_parameters(self) -> list[nn.Parameter]:
        """The parameters that the code depends on, theta_e: all but the decoder's."""
        return [*self.encoder.parameters(), *self.features.parameters()]

    def layer_filters(self) -> dict[str, int]:
        """The width of the filter of every layer up to the code, by the layer's name; 2 for pooling."""
        widths: dict[str, int] = {}
        for number, block in enumerate(self.encoder, 1):
            widths |= {f"conv{number}": _layers(block)[0].kernel_size[0], f"pool{number}": 2}
        return {**widths, "features": _layers(self.features)[0].kernel_size[0]}
