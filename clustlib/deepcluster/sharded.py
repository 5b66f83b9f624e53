"""Layers that compute on several processes what one process would compute on the whole batch."""

import torch
import torch.distributed as dist
from torch import Tensor, nn


class Dropout(nn.Module):
    """Dropout whose mask is drawn for the whole batch, of which this process may hold some rows only.

    Parameters
    ----------
    p : the probability that a number is zeroed. The others are multiplied by 1 / (1 - p).

    ``share`` is (the rows' positions in the whole batch, its size); None where the process holds the whole batch.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p
        self.share: tuple[Tensor, int] | None = None

    def forward(self, rows: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return rows
        total = len(rows) if self.share is None else self.share[1]
        drawn = torch.rand((total, *rows.shape[1:]), device=rows.device)
        kept = (drawn if self.share is None else drawn[self.share[0]]) >= self.p
        return rows * kept / (1 - self.p)


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the rows of all processes, on any device (torch's own needs GPUs).

    The sums travel with their gradients, so that the result and every gradient are those of one process.
    """

    def forward(self, maps: Tensor) -> Tensor:
        if not self.training:
            return super().forward(maps)
        given, maps = maps.dtype, maps.float()  # sums of squares need more digits than bfloat16 has
        n_channels = maps.shape[1]
        local = [maps.sum((0, 2, 3), dtype=torch.float64), (maps * maps).sum((0, 2, 3), dtype=torch.float64)]
        count_here = torch.tensor([float(maps.numel())], dtype=torch.float64, device=maps.device)
        total = _AllReduce.apply(torch.cat([*local, count_here]))
        count = total[-1].detach() / n_channels
        mean = total[:n_channels] / count
        variance = (total[n_channels:-1] / count - mean**2).clamp(min=0)
        unbiased = (variance * count / (count - 1)).to(maps.dtype)
        mean, variance = mean.to(maps.dtype), variance.to(maps.dtype)
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
            assert self.num_batches_tracked is not None
            self.num_batches_tracked += 1
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (maps * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]).to(given)


class _AllReduce(torch.autograd.Function):
    """The sum over processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx, values: Tensor) -> Tensor:  # type: ignore[override]
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:  # type: ignore[override]
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def share_batch_norm(network: nn.Module) -> None:
    """Make every batch norm of ``network`` one over all processes, in place; parameters and buffers stay."""
    for layer in network.modules():
        if type(layer) is nn.BatchNorm2d:
            layer.__class__ = SharedBatchNorm2d


def set_share(network: nn.Module, share: tuple[Tensor, int] | None) -> None:
    """Tell the dropout layers which rows of a batch this process holds; None: all of them again."""
    for layer in network.modules():
        if isinstance(layer, Dropout):
            layer.share = share
