"""The state of a fit of JULE under way: as a checkpoint holds it, and back."""

from collections.abc import Callable
from typing import Any

import numpy as np


def packed(state: dict, training: Any) -> dict[str, Any]:
    """The state as a checkpoint holds it: arrays as tensors."""
    import torch

    def pack(value: Any) -> Any:
        return torch.from_numpy(np.ascontiguousarray(value)) if isinstance(value, np.ndarray) else value

    return {**mapped(pack, state), "training": training.state()}


def unpacked(state: dict) -> dict[str, Any]:
    """The state as it was before :func:`packed`."""
    return mapped(lambda value: value.numpy() if hasattr(value, "numpy") else value, state)


def mapped(change: Callable[[Any], Any], value: Any) -> Any:
    """``value`` with every leaf of its dicts and lists changed; NumPy's scalars become Python's."""
    if isinstance(value, dict):
        return {name: mapped(change, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [mapped(change, inner) for inner in value]
    return value.item() if isinstance(value, np.generic) else change(value)
