"""What both stages of DBC share: images in memory, batches without a loader, optimisers by name."""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from clustlib._validation import choices, integers, numbers
from clustlib.errors import UsageError

_WHOLE = 1024  # images to a batch where nothing is learnt
_SETTLING = 10 * _WHOLE  # images that settle batch-norm statistics between epochs
OPTIMIZERS = ("adam", "sgd")
SCALINGS = ("pixels", "rms")
TRAINING: dict[str, Any] = {  # what both stages take, in scikit-learn's terms
    "epochs": [integers(0)],
    "batch_size": [integers(2)],
    "learning_rate": [numbers(0, closed="neither")],
    "weight_decay": [numbers(0)],
    "optimizer": [choices(*OPTIMIZERS)],
    "random_state": ["random_state"],
    "device": "no_validation",  # clustlib._device.resolve names what is wrong
    "checkpoint": [str, os.PathLike, None],
}


def as_tensor(images: np.ndarray, device: torch.device) -> torch.Tensor:
    """Images on ``device``, without a copy on the CPU; a read-only array stays as it is, for nothing here writes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(images).to(device)


def floats(images: torch.Tensor, scaling: str = "pixels") -> torch.Tensor:
    """A batch as the networks take it.

    ``scaling`` is "pixels" (uint8 is mapped to [0, 1], floats stay as they are) or "rms" (each image is divided by the
    root of its mean square, so that thick and thin strokes weigh the same; an all-zero image stays zero).
    """
    batch = images.float().div_(255) if images.dtype == torch.uint8 else images
    if scaling == "pixels":
        return batch
    mean_square = batch.square().mean(dim=(1, 2, 3), keepdim=True)
    return batch * torch.where(mean_square > 0, mean_square, 1).rsqrt()


def shuffled(
    images: torch.Tensor, size: int, drawn: torch.Generator, scaling: str
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Every image once, in random order: (indices, floats) of each batch of ``size``.

    A last batch of one image is left out: batch normalisation has nothing to normalise it by.
    """
    for index in torch.randperm(len(images), generator=drawn).split(size):
        if len(index) > 1:
            yield index, floats(images[index.to(images.device)], scaling)


@torch.no_grad()
def over_all(function: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, scaling: str) -> torch.Tensor:
    """``function`` of all images, in order, computed batch by batch."""
    return torch.cat([function(floats(batch, scaling)) for batch in images.split(_WHOLE)])


@torch.no_grad()
def settle_batch_norm(
    model: nn.Module, encode: Callable[[torch.Tensor], Any], images: torch.Tensor, scaling: str
) -> None:
    """Set the batch-norm statistics of what ``encode`` runs through to their means over all images.

    While weights move, running statistics lag behind; and those of a network that was never trained mean nothing.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # torch's name for a cumulative mean
    model.train()
    for batch in images.split(_WHOLE):
        encode(floats(batch, scaling))
    for layer, momentum in zip(layers, before):
        layer.momentum = momentum
    model.eval()


def settling(images: torch.Tensor) -> torch.Tensor:
    """The images that batch-norm statistics are taken from between epochs: all, or as many drawn as are enough."""
    if len(images) <= _SETTLING:
        return images
    drawn = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:_SETTLING]
    return images[drawn.to(images.device)]


def optimizer_of(name: str, parameters: Iterable[Any], learning_rate: float, weight_decay: float) -> Any:
    """Adam, or SGD with momentum 0.9. Raises :class:`UsageError` on another name."""
    if name == "adam":
        return torch.optim.Adam(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=learning_rate, momentum=0.9, weight_decay=weight_decay, fused=True)
    raise UsageError(f"optimizer must be one of {', '.join(OPTIMIZERS)}; got {name!r}")
