"""What every experiment refuses before any work is done."""

from typing import Any

from clustlib._validation import check_integer


def check_seed(seed: Any) -> None:
    """Raise :class:`UsageError` unless ``seed`` is an integer from 0 on."""
    check_integer("seed", seed, 0)
