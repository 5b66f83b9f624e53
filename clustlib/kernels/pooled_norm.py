"""Batch normalisation, ReLU and 2 x 2 max-pooling of a map in one pass each way, for training on a CPU.

The three are monotone or inverted in the input of a window, so the largest of its four values (the smallest under a
negative scale) decides what comes out, and only that one is normalised. Going back, batch normalisation's
gradient is one multiple of the input plus a constant, to which the pooled gradients are added at their
switches. The map is read twice forward and read and written once backward; PyTorch's three layers do so ten times.

Which windows a ReLU lets through nobody can guess, a processor's branch prediction neither: the loops load
first and choose between two values after, which compiles to a selection, and take a half of the time.
"""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from clustlib import _process
from clustlib.compiled import njit

_WORTH = 1 << 20  # values of a map: fewer are done sooner than a second thread has been woken


@njit(nogil=True, inline="always")
def place(i, j, switch):
    """Row and column, in the whole map, of the value that the window (i, j) kept."""
    return 2 * i + (switch >> 1), 2 * j + (switch & 1)


def _by_images(work: Any, *arrays: Any) -> None:
    """Call ``work(*arrays, low, high)`` on equal parts of the images, each on a thread where there is work for it."""
    threads = min(torch.get_num_threads(), 1 + max(array.size for array in arrays) // _WORTH)
    parts = _process.parts_of(len(arrays[0]), threads)
    _process.in_threads(work, [(*arrays, *part) for part in parts])


@njit(nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _moments(maps, pivots, sums, low, high):
    """Per image and channel, the sums of (x - pivot) and of its square, into ``sums`` (N, C, 2)."""
    for n in range(low, high):
        for c in range(maps.shape[1]):
            row = maps[n, c]
            first, second, pivot = np.float32(0), np.float32(0), pivots[c]
            for p in range(len(row)):
                gap = row[p] - pivot
                first += gap
                second += gap * gap
            sums[n, c, 0], sums[n, c, 1] = first, second


@njit(nogil=True)
def _pool(maps, scale, shift, pooled, switches, low, high):
    """relu(scale * x + shift) of the decisive value of every window; switches count 0 1 / 2 3 within it."""
    _, channels, rows, columns = pooled.shape
    for n in range(low, high):
        for c in range(channels):
            image, sign = maps[n, c], np.float32(1) if scale[c] >= 0 else np.float32(-1)
            for i in range(rows):
                above, below = image[2 * i], image[2 * i + 1]
                for j in range(columns):
                    best, where = sign * above[2 * j], np.uint8(0)
                    other = sign * above[2 * j + 1]
                    if other > best:
                        best, where = other, np.uint8(1)
                    other = sign * below[2 * j]
                    if other > best:
                        best, where = other, np.uint8(2)
                    other = sign * below[2 * j + 1]
                    if other > best:
                        best, where = other, np.uint8(3)
                    value = scale[c] * sign * best + shift[c]
                    # behind the ReLU the four are equal where none is positive, and the first of equals is taken
                    pooled[n, c, i, j] = value if value > 0 else np.float32(0)
                    switches[n, c, i, j] = where if value > 0 else np.uint8(0)


@njit(nogil=True)
def _pooled_sums(upstream, pooled, switches, maps, mean, rstd, sums, low, high):
    """Per image and channel, the sums of the gradient and of gradient * normalised input, into (N, C, 2)."""
    _, channels, rows, columns = pooled.shape
    for n in range(low, high):
        for c in range(channels):
            plain, weighted = np.float32(0), np.float32(0)
            for i in range(rows):
                for j in range(columns):
                    (y, x), arriving = place(i, j, switches[n, c, i, j]), upstream[n, c, i, j]
                    gradient = arriving if pooled[n, c, i, j] > 0 else np.float32(0)
                    plain += gradient
                    weighted += gradient * (maps[n, c, y, x] - mean[c])
            sums[n, c, 0], sums[n, c, 1] = plain, weighted * rstd[c]


@njit(nogil=True)
def _spread(upstream, pooled, switches, maps, slope, offset, scale, downstream, low, high):
    """The gradient by the map: slope * x + offset everywhere, and scale * upstream at the switches."""
    _, channels, rows, columns = pooled.shape
    for n in range(low, high):
        for c in range(channels):
            source, sink = maps[n, c], downstream[n, c]
            for i in range(source.shape[0]):
                for j in range(source.shape[1]):
                    sink[i, j] = slope[c] * source[i, j] + offset[c]
            for i in range(rows):
                for j in range(columns):
                    (y, x), arriving = place(i, j, switches[n, c, i, j]), scale[c] * upstream[n, c, i, j]
                    sink[y, x] += arriving if pooled[n, c, i, j] > 0 else np.float32(0)


def _statistics(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and (biased) variance of every channel, float64."""
    images, channels, height, width = maps.shape
    pivots, sums = maps[0, :, 0, 0].copy(), np.empty((images, channels, 2), np.float32)
    _by_images(_moments, maps.reshape(images, channels, -1), pivots, sums)
    first, second = sums.sum(0, dtype=np.float64).T / (images * height * width)
    return pivots + first, np.maximum(second - first**2, 0)


class _PooledNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Any, weight: Any, bias: Any, mean: Any, variance: Any, eps: float, batch: bool) -> Any:
        x = maps.detach().contiguous().numpy()
        rstd = 1 / np.sqrt(variance + eps)
        scale = weight.detach().numpy() * rstd
        shift = (bias.detach().numpy() - mean * scale).astype(np.float32)
        shape = (*x.shape[:2], x.shape[2] // 2, x.shape[3] // 2)
        pooled, switches = np.empty(shape, np.float32), np.empty(shape, np.uint8)
        _by_images(_pool, x, scale.astype(np.float32), shift, pooled, switches)
        ctx.kept, ctx.batch = (x, pooled, switches, mean.astype(np.float32), rstd.astype(np.float32)), batch
        ctx.scale = scale
        where = torch.from_numpy(switches)
        ctx.mark_non_differentiable(where)
        return torch.from_numpy(pooled), where

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: torch.Tensor, _: Any) -> Any:
        x, pooled, switches, mean, rstd = ctx.kept
        gradient = upstream.contiguous().numpy()
        sums = np.empty((*x.shape[:2], 2), np.float32)
        _by_images(_pooled_sums, gradient, pooled, switches, x, mean, rstd, sums)
        by_bias, by_weight = sums.sum(0, dtype=np.float64).T
        slope, offset = np.zeros(len(mean)), np.zeros(len(mean))
        if ctx.batch:  # the batch's mean and variance depend on every value of the map
            count = x.size // x.shape[1]
            slope = -ctx.scale * rstd * by_weight / count
            offset = -ctx.scale * by_bias / count - slope * mean
        downstream = np.empty_like(x)
        lines = (array.astype(np.float32) for array in (slope, offset, ctx.scale))
        _by_images(_spread, gradient, pooled, switches, x, *lines, downstream)
        learnt = (torch.from_numpy(array.astype(np.float32)) for array in (by_weight, by_bias))
        return torch.from_numpy(downstream), *learnt, None, None, None, None


def _update(norm: nn.BatchNorm2d, mean: np.ndarray, variance: np.ndarray, count: int) -> None:
    """What :class:`torch.nn.BatchNorm2d` does to its running statistics in training."""
    norm.num_batches_tracked.add_(1)  # type: ignore[operator, union-attr]
    share = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum  # type: ignore[arg-type]
    unbiased = variance * count / max(count - 1, 1)
    for running, found in ((norm.running_mean, mean), (norm.running_var, unbiased)):
        running.lerp_(torch.from_numpy(found.astype(np.float32)), share)  # type: ignore[union-attr]


def pooled_norm(maps: torch.Tensor, norm: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """``max_pool2d(relu(norm(maps)), 2)`` and its switches.

    Parameters
    ----------
    maps : (N, C, H, W). norm : in training its running statistics are updated as PyTorch would.

    Returns
    -------
    (N, C, H // 2, W // 2) of the maps' dtype, and as many uint8: where in its window each value was, counted
    0 1 / 2 3. Float32 on the CPU takes the fused pass, everything else PyTorch's layers.
    """
    if maps.device.type != "cpu" or maps.dtype != torch.float32:
        return _by_layers(maps, norm)
    if norm.training:
        mean, variance = _statistics(maps.detach().contiguous().numpy())
        _update(norm, mean, variance, maps.numel() // maps.shape[1])
    else:
        mean, variance = (array.double().numpy() for array in (norm.running_mean, norm.running_var))  # type: ignore
    return _PooledNorm.apply(maps, norm.weight, norm.bias, mean, variance, norm.eps, norm.training)


def _by_layers(maps: torch.Tensor, norm: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    pooled, flat = F.max_pool2d(F.relu(norm(maps)), 2, return_indices=True)
    row, column = flat // maps.shape[3], flat % maps.shape[3]
    return pooled, ((row % 2) * 2 + column % 2).to(torch.uint8)
