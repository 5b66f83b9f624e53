"""What both stages of DBC refuse among their options, before any work is done."""

import math
from numbers import Real
from pathlib import Path
from typing import Any

from clustlib._validation import check_integer
from clustlib.dbc.minibatch import OPTIMIZERS
from clustlib.errors import UsageError


def check_number(name: str, value: Any, *, zero: bool = False) -> None:
    """Raise :class:`UsageError` unless ``value`` is a finite positive number, or with ``zero`` also 0."""
    real = isinstance(value, Real) and not isinstance(value, bool)
    if not real or not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        kind = "a finite number from 0 on" if zero else "positive and finite"
        raise UsageError(f"{name} must be {kind}, got {value!r}")


def check_choice(name: str, value: Any, known: tuple[str, ...]) -> None:
    """Raise :class:`UsageError` unless ``value`` is one of ``known``."""
    if value not in known:
        raise UsageError(f"{name} must be one of {', '.join(known)}; got {value!r}")


def check_training(estimator: Any) -> None:
    """The options that the two stages share: length, batches, optimiser, checkpoint."""
    check_integer("epochs", estimator.epochs, 0)
    check_integer("batch_size", estimator.batch_size, 2)
    check_number("learning_rate", estimator.learning_rate)
    check_number("weight_decay", estimator.weight_decay, zero=True)
    check_choice("optimizer", estimator.optimizer, OPTIMIZERS)
    if estimator.checkpoint is not None and Path(estimator.checkpoint).is_dir():
        raise UsageError(f"checkpoint must be a file, and {estimator.checkpoint} is a folder")
