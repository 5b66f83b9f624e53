"""Rows in a unit in which floors and squares do no harm; a power of two, so that no digit changes."""

import math

import numpy as np


def in_units(X: np.ndarray, least: float, most: float = math.inf) -> tuple[np.ndarray, float]:
    """``X`` (n, d) divided by a power of two that brings its largest number to [1/2, 1), and that power.

    ``X`` itself and 1 where the largest lies between ``least`` and ``most``, or where all numbers are 0.
    """
    largest = max(float(X.max()), -float(X.min()))
    if largest == 0 or least <= largest <= most:
        return X, 1.0
    exponent = math.frexp(largest)[1]
    return np.ldexp(X, -exponent), math.ldexp(1.0, exponent)


def measured_in(history: list[dict], unit: float, *names: str) -> list[dict]:
    """``history`` with the entries of ``names``, which grow as the rows do, in units of the rows that were given."""
    return [{**entry, **{name: entry[name] * unit for name in names}} for entry in history]
