"""Which device a computation runs on: one rule for every estimator."""

from typing import TYPE_CHECKING

from clustlib.errors import UsageError

if TYPE_CHECKING:
    import torch


def resolve(device: str = "auto") -> "torch.device":
    """The torch device of ``"auto"`` (CUDA where there is one, else the CPU), ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.

    Raises :class:`UsageError` on a name that is no device, or one that this machine does not have.
    """
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        raise UsageError(f'device must be "auto", "cpu" or "cuda", got {device!r}') from None
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"device {device!r} is not on this machine: {torch.cuda.device_count()} CUDA devices")
    return found
