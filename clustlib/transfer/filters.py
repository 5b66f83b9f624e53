"""What a filter responds to: an image learnt to excite it, and the images that excite it most (Section 4.2)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from clustlib import _device
from clustlib._arrays import array_of, shown
from clustlib._validation import check_integer, check_number, check_seed
from clustlib.errors import UsageError
from clustlib.networks.convnet import ConvNet
from clustlib.networks.crops import ArrayImages
from clustlib.transfer.checks import check_network, check_side

LEAST_BLUR = 0.05  # a deviation in pixels; the next pixel's weight is 1e-87 of a pixel's own


def exciting_images(
    network: ConvNet,
    stage: int,
    filters: Sequence[int],
    *,
    size: int,
    steps: int = 3000,
    learning_rate: float = 3.0,
    weight_decay: float = 1e-5,
    blur: float = 0.3,
    blur_every: int = 5,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> np.ndarray:
    """Images learnt to maximise the response to a filter against the other filters of its layer.

    Yosinski et al.'s process with "a cross entropy function between the target filter and the other filters of the same
    layer": noise is moved up the gradient, decayed, and blurred now and then.

    Parameters
    ----------
    stage : the probed layer, from 0. filters : of that layer. size : pixels.
    steps, learning_rate, weight_decay, blur, blur_every : the released code's (its README takes 3 and 30,000 steps for
        conv1, 30 and 3,000 for conv5). Pixels count from 0 to 255, the blur is a deviation in pixels.

    Returns
    -------
    (len(filters), 3, size, size) uint8, each stretched to the whole range.

    Raises
    ------
    UsageError : a stage or filter that the network does not have.
    """
    check_network(network)
    check_integer("stage", stage, 0, len(network.stages) - 1)
    check_side("size", size)
    check_seed(seed)
    for name, value in (("steps", steps), ("blur_every", blur_every)):
        check_integer(name, value, 1)
    check_number("learning_rate", learning_rate)
    check_number("weight_decay", weight_decay, zero=True)
    check_number("blur", blur)
    if blur < LEAST_BLUR:
        raise UsageError(f"blur must be at least {LEAST_BLUR} pixels, got {shown(blur)}")
    filters = array_of("filters", filters, "(F,)", "iu").tolist() if np.size(filters) else []
    if not filters or min(filters) < 0:
        raise UsageError(f"filters must name one or more, from 0 on; got {shown(filters)}")
    device = _device.resolve(device)
    network = network.to(device).eval()
    chosen = torch.as_tensor(list(filters), device=device)
    rng = torch.Generator().manual_seed(seed)
    images = (128 + 20 * torch.randn(len(filters), 3, size, size, generator=rng)).to(device).requires_grad_()
    kernel = _gaussian(blur).to(device)
    for step in range(steps):
        response = network.activations(images / 255)[stage].mean((2, 3))
        if int(chosen.max()) >= response.shape[1]:
            raise UsageError(f"stage {stage} has {response.shape[1]} filters, got {int(chosen.max())}")
        loss = F.cross_entropy(response, chosen, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, images)
        with torch.no_grad():
            images -= learning_rate * _unit(gradient) * size + learning_rate * weight_decay * images
            if step % blur_every == 0:
                images.copy_(F.conv2d(images.flatten(0, 1)[:, None], kernel, padding=1).view_as(images))
    return _stretched(images.detach())


def _unit(gradient: Tensor) -> Tensor:
    """Each image's gradient at unit length: a deep layer's is orders of magnitude smaller than a shallow one's."""
    return gradient / gradient.flatten(1).norm(dim=1).clamp(min=1e-12)[:, None, None, None]


def _gaussian(deviation: float) -> Tensor:
    line = torch.exp(-(torch.arange(-1.0, 2.0) ** 2) / (2 * float(deviation) ** 2))
    return torch.outer(line, line)[None, None] / line.sum() ** 2


def _stretched(images: Tensor) -> np.ndarray:
    low, high = (getattr(images.flatten(1), f)(1) for f in ("amin", "amax"))
    scaled = (images - low[:, None, None, None]) / (high - low).clamp(min=1e-12)[:, None, None, None]
    return (scaled * 255).round().byte().cpu().numpy()


@torch.no_grad()
def responses(
    network: ConvNet, images: Any, stage: int, *, size: int, device: str | torch.device = "cpu"
) -> np.ndarray:
    """The mean response of every filter of a layer to the central crop of every image, (N, filters) float32."""
    check_network(network)
    check_side("size", size)
    device = _device.resolve(device)
    check_integer("stage", stage, 0, len(network.stages) - 1)
    source = ArrayImages(images, size)
    network = network.to(device).eval()
    batches = np.array_split(np.arange(len(source)), -(-len(source) // 256))
    means = [network.activations(source.central(b)[0].to(device))[stage].mean((2, 3)).cpu().numpy() for b in batches]
    return np.concatenate(means)


def top_images(response: np.ndarray, n: int = 9) -> np.ndarray:
    """The ``n`` images that excite each filter most, strongest first: (filters, n) int64.

    ``response`` is (N, filters), finite, of ``n`` images or more.
    """
    response = array_of("response", response, "(N, filters)", rows=1)
    check_integer("n", n, 1, len(response))
    ranked = response if response.dtype.kind == "f" else response.astype(np.float64)  # unsigned numbers have no -1
    return np.argsort(-ranked, axis=0, kind="stable")[:n].T
