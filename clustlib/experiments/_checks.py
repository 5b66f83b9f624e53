"""What every experiment refuses before any work is done."""

from typing import Any

from clustlib.errors import UsageError


def check_seed(seed: Any) -> None:
    """Raise :class:`UsageError` unless ``seed`` is an integer from 0 on."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise UsageError(f"seeds must be integers from 0 on, got {seed!r}")
