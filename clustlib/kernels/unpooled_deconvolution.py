"""Un-pooling by switches and a transposed convolution in one pass, for training on a CPU.

An un-pooled map is zero in three of four places, and behind a ReLU in more; each value that is not adds one
filter to the output. For few output channels, which leave a dense transposed convolution's vector units idle, that is
several times faster than making the map.
"""

from functools import cache
from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from clustlib import _process
from clustlib.compiled import njit
from clustlib.kernels.pooled_norm import place

FEW = 4  # output channels up to which the sparse pass is the faster one
NARROW = 5  # widest filter that it pays to unroll


@cache
def _loops(known: int) -> tuple[Any, Any]:
    """The loops for square filters of a known width, or of any size (0).

    Where the compiler knows that a filter is narrow it unrolls the innermost loops, which then take a third less.
    """

    @njit(nogil=True, fastmath={"reassoc", "contract"})
    def stamp(values, switches, filters, padded, low, high):
        """Add ``value * filter`` to the padded output at every value's place."""
        _, channels, rows, columns = values.shape
        tall, wide = (known or filters.shape[2]), (known or filters.shape[3])
        for n in range(low, high):
            for c in range(channels):
                for i in range(rows):
                    for j in range(columns):
                        value = values[n, c, i, j]
                        if value == 0:
                            continue
                        top, left = place(i, j, switches[n, c, i, j])
                        for o in range(filters.shape[1]):
                            for a in range(tall):
                                line, weights = padded[n, o, top + a], filters[c, o, a]
                                for b in range(wide):
                                    line[left + b] += value * weights[b]

    @njit(nogil=True, fastmath={"reassoc", "contract"})
    def gather(values, switches, filters, upstream, by_values, by_filters, low, high):
        """The gradients by the values that are not 0 and by the filters (summed over these images)."""
        _, channels, rows, columns = values.shape
        tall, wide = (known or filters.shape[2]), (known or filters.shape[3])
        for n in range(low, high):
            for c in range(channels):
                for i in range(rows):
                    for j in range(columns):
                        value = values[n, c, i, j]
                        by_values[n, c, i, j] = 0
                        if value == 0:
                            continue
                        top, left = place(i, j, switches[n, c, i, j])
                        total = np.float32(0)
                        for o in range(filters.shape[1]):
                            for a in range(tall):
                                line, weights, sums = upstream[n, o, top + a], filters[c, o, a], by_filters[c, o, a]
                                for b in range(wide):
                                    gradient = line[left + b]
                                    total += gradient * weights[b]
                                    sums[b] += value * gradient
                        by_values[n, c, i, j] = total

    return stamp, gather


def _loops_of(filters: np.ndarray) -> tuple[Any, Any]:
    tall, wide = filters.shape[2:]
    return _loops(wide if tall == wide <= NARROW else 0)


class _UnpooledDeconvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Any, switches: Any, filters: Any, bias: Any, size: Any, padding: int) -> Any:
        v, s, w = (tensor.detach().contiguous().numpy() for tensor in (values, switches, filters))
        sides = [side + width - 1 for side, width in zip(size, w.shape[2:])]
        padded = np.empty((len(v), w.shape[1], *sides), np.float32)
        padded[:] = bias.detach().numpy()[:, None, None]
        stamp, _ = _loops_of(w)
        parts = _process.parts_of(len(v), torch.get_num_threads())
        _process.in_threads(stamp, [(v, s, w, padded, *part) for part in parts])
        ctx.kept, ctx.padding = (v, s, w), padding
        return F.pad(torch.from_numpy(padded), [-padding] * 4)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: torch.Tensor) -> Any:
        v, s, w = ctx.kept
        gradient = F.pad(upstream, [ctx.padding] * 4).contiguous().numpy()
        _, gather = _loops_of(w)
        parts = _process.parts_of(len(v), torch.get_num_threads())
        by_values, by_filters = np.empty_like(v), np.zeros((len(parts), *w.shape), np.float32)
        calls = [(v, s, w, gradient, by_values, sums, *part) for sums, part in zip(by_filters, parts)]
        _process.in_threads(gather, calls)
        by_bias = upstream.sum((0, 2, 3))
        return torch.from_numpy(by_values), None, torch.from_numpy(by_filters.sum(0)), by_bias, None, None


def unpooled_deconvolution(
    values: torch.Tensor, switches: torch.Tensor, layer: torch.nn.ConvTranspose2d, size: tuple[int, int]
) -> torch.Tensor:
    """``layer(max_unpool2d(values))`` for values that are the output of a ReLU.

    Parameters
    ----------
    values : (N, C, h, w), not negative; where one is 0 its gradient is taken to be 0, as ReLU's is there.
    switches : (N, C, h, w) uint8, of :func:`clustlib.kernels.pooled_norm.pooled_norm`.
    layer : stride 1. size : (H, W) of the un-pooled map.

    Returns
    -------
    (N, O, H', W') as the layer gives. Float32 on the CPU with few output channels takes the sparse pass, everything
    else the dense map and PyTorch's layer.
    """
    if values.device.type == "cpu" and values.dtype == torch.float32 and layer.out_channels <= FEW:
        padding = int(layer.padding[0])
        return _UnpooledDeconvolution.apply(values, switches, layer.weight, layer.bias, size, padding)
    return layer(unpool(values, switches, size))


def unpool(values: torch.Tensor, switches: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The (N, C, H, W) map with every value where its switch says and 0 elsewhere."""
    rows, columns = (torch.arange(side, device=values.device) * 2 for side in values.shape[2:])
    flat = (rows[:, None] + (switches >> 1)) * size[1] + columns + (switches & 1)
    return F.max_unpool2d(values, flat, [2, 2], output_size=size)
