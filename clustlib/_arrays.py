"""What people hold numbers in, tensors and masked arrays too, as NumPy's arrays; or one line that says why not."""

import re
from typing import Any

import numpy as np

from clustlib.errors import UsageError

LONGEST = 200  # letters of a message


class NotNumbers(UsageError, TypeError):
    """Features that hold something else than numbers."""


def one_line(error: Exception) -> str:
    """The message of one of scikit-learn's errors without the array that it prints, on one line."""
    return " ".join(re.sub(r"array=.*\nReshape", "Reshape", str(error), flags=re.DOTALL).split())


def held(X: Any, name: str) -> Any:
    """The array of a tensor, and of a masked array in which nothing is masked; everything else as it came.

    Raises :class:`UsageError` on masked values, which scikit-learn would read as numbers, and on tensors that no array
    can hold: without data, sparse, quantised.
    """
    if hasattr(X, "detach"):  # a torch tensor, without importing torch
        return _of_tensor(X, name)
    if isinstance(X, np.ma.MaskedArray):
        if np.ma.is_masked(X):
            raise UsageError(f"{name} has {np.ma.count_masked(X)} masked values: fill them or leave their rows out")
        return np.asarray(X.data)
    return X


def _of_tensor(X: Any, name: str) -> np.ndarray:
    try:
        X = X.detach().cpu().resolve_conj().resolve_neg()
        half = X.is_floating_point() and str(X.dtype) not in ("torch.float16", "torch.float32", "torch.float64")
        return (X.float() if half else X).numpy()  # NumPy has no bfloat16 and no eight bits
    except (AttributeError, RuntimeError, TypeError) as error:
        raise not_numbers(name, error) from None


def not_numbers(name: str, error: Exception) -> NotNumbers:
    """What is said of an array that could not be made, for the reason that ``error`` gives."""
    return NotNumbers(f"{name} must hold numbers: {one_line(error)}"[:LONGEST])


def array_of(name: str, value: Any, form: str, kinds: str = "fiub", rows: int = 0) -> np.ndarray:
    """The array of ``value``, whose dtype stays what it is.

    Parameters
    ----------
    form : "(N,)", "(r, 4)", "(N, C, H, W)": so many axes, and where there is a number, so long.
    kinds : of NumPy's dtypes that may be: "iu" for whole numbers. rows : at least so many.

    Raises
    ------
    UsageError : another form, fewer rows, something else than such numbers, NaN or infinite values.
    """
    try:
        array = np.asarray(held(value, name))
    except ValueError as error:  # a ragged list
        raise not_numbers(name, error) from None
    if not _has_form(array.shape, form) or (rows and len(array) < rows):
        at_least = f", {rows} or more of them" if rows > 1 else ""
        raise UsageError(f"{name} must be {form}{at_least}, got {array.shape or shown(value)}")
    if array.dtype.kind not in kinds:
        raise NotNumbers(f"{name} must hold {'numbers' if 'f' in kinds else 'whole numbers'}, got dtype {array.dtype}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise UsageError(f"{name} must be finite, not NaN or infinite")
    return array


def check_within(name: str, positions: np.ndarray, n: int) -> None:
    """Raise :class:`UsageError` unless every one of ``positions``, of any shape, is one of ``n`` samples."""
    if positions.size and not 0 <= positions.min() <= positions.max() < n:
        raise UsageError(f"{name} must be positions of samples, from 0 to {n - 1}")


def check_tensor(name: str, value: Any, form: str, floating: bool = True) -> None:
    """Raise :class:`UsageError` unless ``value`` is a tensor of a form such as "(N, d)", of floats or of integers."""
    check_made(name, value, "a tensor", "is_floating_point", "dtype")
    kind = "floating" if floating else "whole"
    right = value.is_floating_point() if floating else not (value.is_floating_point() or value.is_complex())
    if not _has_form(tuple(value.shape), form) or not right:
        raise UsageError(f"{name} must be {form} of {kind} numbers, got {value.dtype} {tuple(value.shape)}")


def _has_form(shape: tuple[int, ...], form: str) -> bool:
    sides = [side.strip() for side in form.strip("()").split(",") if side.strip()]
    return len(shape) == len(sides) and all(not s.isdecimal() or int(s) == n for s, n in zip(sides, shape))


def check_made(name: str, value: Any, kind: str, *parts: str) -> None:
    """Raise :class:`UsageError` unless ``value`` has the ``parts`` of what only this library or torch makes."""
    if not all(hasattr(value, part) for part in parts):
        raise UsageError(f"{name} must be {kind}, got {type(value).__name__}")


def shown(value: Any) -> str:
    """``value`` as a message has it: on one line, and not all of a long one."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
