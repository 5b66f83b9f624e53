"""Encoders with another linear code: a map of the code, folded into the weights of the code's convolution."""

import copy
from typing import Any

import torch
from torch import nn

from clustlib.dbc.minibatch import over_all, settle_batch_norm
from clustlib.dbc.network import FCAE
from clustlib.errors import UsageError

_RIDGE = 1e-3  # of the mean variance within the clusters


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
    if not has_linear_code(model):
        raise UsageError('only a linear code can be whitened: code="bn"')
    codes = over_all(model.encode, images, scaling).double()
    values, vectors = torch.linalg.eigh(torch.cov(codes.T))
    values, vectors = values.flip(0)[:directions], vectors.flip(1)[:, :directions]
    if len(values) < directions or not values[-1] > 1e-9 * values[0]:
        raise UsageError(f"these {len(images)} images differ in fewer than {directions} directions of the code")
    encoder = with_code(model, vectors / values.sqrt())
    settle_batch_norm(encoder, encoder.encode, images, scaling)
    return encoder


@torch.no_grad()
def discriminant_encoder(model: FCAE, images: torch.Tensor, scaling: str, labels: torch.Tensor) -> FCAE:
    """A copy of the encoder of ``model`` whose codes are Fisher's discriminants of clusters: one fewer than clusters.

    Within the clusters the codes have identity covariance, so the nearest centre is the cluster that linear
    discriminant analysis would choose. What does not tell the clusters apart is left out of the distances. With
    k-means it makes discriminative k-means (Ye et al., 2007).

    Parameters
    ----------
    model : in evaluation mode, its statistics those of ``images``; its code must be linear.
    labels : (N,) int64, at least two clusters, none empty.
    """
    codes = over_all(model.encode, images, scaling).double()
    members = nn.functional.one_hot(labels).to(codes)
    sizes = members.sum(0)
    centers = members.T @ codes / sizes[:, None]
    within = torch.cov((codes - centers[labels]).T)
    # a direction in which clusters have (almost) no extent must not count for more than all others
    # (and clusters of an image each have none at all)
    within.diagonal().add_(_RIDGE * within.trace().clamp(min=1e-12) / len(within))
    values, vectors = torch.linalg.eigh(within)
    inner = vectors / values.sqrt()
    apart = (centers - codes.mean(0)) @ inner
    between = (apart * sizes[:, None]).T @ apart / len(codes)
    count = min(len(sizes) - 1, len(between))
    discriminants = inner @ torch.linalg.eigh(between).eigenvectors.flip(1)[:, :count]
    encoder = with_code(model, discriminants)
    spread = (codes @ discriminants).std(0, correction=0)  # batch normalisation takes it away and has to give it back
    encoder.features[1].weight.copy_(spread)  # type: ignore[operator, union-attr]
    settle_batch_norm(encoder, encoder.encode, images, scaling)
    return encoder


def has_linear_code(model: FCAE) -> bool:
    """Whether nothing but batch normalisation follows the code's convolution."""
    return len(model.features) == 2 and isinstance(model.features[-1], nn.BatchNorm2d)


@torch.no_grad()
def with_code(model: FCAE, directions: torch.Tensor) -> FCAE:
    """A copy of the encoder of ``model`` whose linear code z is ``directions.T @ z``, up to its mean.

    The new code's batch normalisation has to be settled; it begins as the identity.

    Parameters
    ----------
    directions : (d, d') float64.
    """
    encoder = copy.deepcopy(model)
    encoder.decoder = nn.ModuleList()
    convolution: Any = encoder.features[0]
    norm: Any = encoder.features[1]
    slope = (norm.weight / (norm.running_var + norm.eps).sqrt()).double()
    rows = directions.T @ (slope[:, None] * convolution.weight.flatten(1).double())
    length, device = directions.shape[1], convolution.weight.device
    with torch.random.fork_rng(devices=[]):  # a new layer draws weights, which are not wanted here
        folded = nn.Conv2d(convolution.in_channels, length, convolution.kernel_size).to(device)
    folded.weight.copy_(rows.float().view_as(folded.weight))
    folded.bias.zero_()  # type: ignore[union-attr]
    encoder.features = nn.Sequential(folded, nn.BatchNorm2d(length).to(device))
    encoder.code_length = length
    return encoder
