"""The encoder whose code has identity covariance: whitening, folded into the weights of a linear code."""

import copy
from typing import Any

import torch
from torch import nn

from clustlib.errors import UsageError
from clustlib.methods._minibatch import over_all, settle_batch_norm
from clustlib.models.fcae import FCAE


@torch.no_grad()
def whitened_encoder(model: FCAE, images: torch.Tensor, scaling: str, directions: int) -> FCAE:
    """A copy of the encoder of ``model`` whose codes are the leading principal components, each of variance 1.

    An auto-encoder's linear code is defined up to an invertible map, which the decoder can undo; this picks the one in
    which no direction outweighs another. The map goes into the weights of the code's convolution, so
    the network keeps its form. Batch normalisation after it starts as the identity.

    Parameters
    ----------
    model : in evaluation mode, its statistics those of ``images``; its code must be linear ("bn").
    directions : components kept, at most the code's length and fewer than there are images.

    Raises
    ------
    UsageError : a code that is not linear, or that has fewer directions in which these images differ.
    """
    encoder = copy.deepcopy(model)
    encoder.decoder = nn.ModuleList()
    convolution, norm = encoder.features[0], encoder.features[-1]
    if not isinstance(norm, nn.BatchNorm2d) or not isinstance(convolution, nn.Conv2d):
        raise UsageError('only a linear code can be whitened: code="bn"')
    codes = over_all(model.encode, images, scaling).double()
    values, vectors = torch.linalg.eigh(torch.cov(codes.T))
    values, vectors = values.flip(0)[:directions], vectors.flip(1)[:, :directions]
    if len(values) < directions or not values[-1] > 1e-9 * values[0]:
        raise UsageError(f"these {len(images)} images differ in fewer than {directions} directions of the code")
    variance: Any = norm.running_var
    slope = (norm.weight / (variance + norm.eps).sqrt()).double()
    rows = (vectors / values.sqrt()).T @ (slope[:, None] * convolution.weight.flatten(1).double())
    with torch.random.fork_rng(devices=[]):  # a new layer draws weights, which are not wanted here
        folded = nn.Conv2d(convolution.in_channels, directions, convolution.kernel_size)  # type: ignore[arg-type]
    folded.to(images.device).weight.copy_(rows.float().view_as(folded.weight))
    folded.bias.zero_()  # type: ignore[union-attr]
    encoder.features = nn.Sequential(folded, nn.BatchNorm2d(directions).to(images.device))
    encoder.code_length = directions
    settle_batch_norm(encoder, encoder.encode, images, scaling)
    return encoder
