"""Made-up data that is awkward on purpose."""

import inspect
from functools import cache

import numpy as np


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def grid_points(n: int = 60, dim: int = 3, seed: int = 0) -> np.ndarray:
    """Points (n, dim) float32 on an integer lattice: equal distances, duplicates; one column constant, two far off."""
    points = rng(seed).integers(0, 5, (n, dim)).astype(np.float32)
    points[: n // 2] += 6
    points[:, -1] = 1.5
    points[7], points[11] = points[3], points[3]
    points[-1, 0], points[-2, 0] = 60, -60
    return points


def blobs(sizes: tuple[int, ...] = (20, 12, 5, 2, 1), dim: int = 5, spread: float = 0.6, seed: int = 0) -> np.ndarray:
    """Groups of the sizes named about far corners, (N, dim) float32, mixed, with two duplicate rows."""
    r = rng(seed)
    centres = r.integers(-4, 5, (len(sizes), dim)) * 2.0
    rows = np.repeat(centres, sizes, axis=0) + r.normal(0, spread, (sum(sizes), dim))
    rows = rows[r.permutation(len(rows))].astype(np.float32)
    rows[-1] = rows[0]
    return rows


def shares(n: int = 24, dim: int = 9, seed: int = 0) -> np.ndarray:
    """No value below 0 (n, dim) float32: a row and a column of zeros, duplicate rows."""
    rows = rng(seed).gamma(0.7, 1, (n, dim)).astype(np.float32)
    rows[:, 3] = 0
    rows[5], rows[9] = 0, rows[8]
    return rows


def given(function, **options) -> dict:
    """Those of the options that the function has: younger ones at the value that was the only one before."""
    return {name: value for name, value in options.items() if name in inspect.signature(function).parameters}


@cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    found = load_digits()
    return (found.images * 15).astype(np.uint8), found.target.astype(np.int64)


def digits(counts: tuple[int, ...] = (12, 12, 10, 4, 2), start: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Real digits 0, 1, ... in the numbers named, (N, 1, 8, 8) uint8, with their labels; one blank, two alike."""
    images, labels = _digits()
    chosen = np.concatenate([np.flatnonzero(labels == d)[start : start + n] for d, n in enumerate(counts)])
    chosen = chosen[rng(1).permutation(len(chosen))]
    found = images[chosen][:, None].copy()
    found[2], found[6] = 0, found[5]
    return found, labels[chosen]


def pictures(n: int = 12, channels: int = 3, height: int = 32, width: int = 32, seed: int = 0) -> np.ndarray:
    """Smooth coloured pictures (n, channels, height, width) uint8: a grating of its own kind each; one is black."""
    r = rng(seed)
    y, x = np.mgrid[:height, :width] / max(height, width)
    kind = np.arange(n) % 3
    phase = 2 * np.pi * ((2 + 3 * kind)[:, None, None] * np.where(kind == 1, 0.0, 1.0)[:, None, None] * y + 3 * x)
    colours = r.uniform(60, 120, (n, channels, 1, 1))
    waves = np.sin(phase + r.uniform(0, 6, (n, 1, 1)))[:, None] * colours + 127
    noisy = np.clip(waves + r.normal(0, 6, (n, channels, height, width)), 0, 255)
    noisy[1] = 0
    return noisy.astype(np.uint8)


def untimed(history: list[dict], prefix: str = "history") -> dict[str, np.ndarray]:
    """A fit's history as arrays by column, without its seconds; absent values are NaN."""
    columns = dict.fromkeys(name for line in history for name in line if "second" not in name)
    found: dict[str, np.ndarray] = {}
    for name in columns:
        values = [line.get(name, np.nan) for line in history]
        plain = [v.numpy() if hasattr(v, "numpy") else v for v in values]
        try:
            found[f"{prefix}.{name}"] = np.asarray(plain, dtype=np.float64)
        except (TypeError, ValueError):
            found |= {f"{prefix}.{name}.{i}": np.asarray(v) for i, v in enumerate(plain)}
    return found


def weights_of(network) -> dict[str, np.ndarray]:
    """Every tensor of a network's state."""
    return {f"weights.{name}": value.cpu().numpy() for name, value in network.state_dict().items()}


def error_of(call, *args, **kwargs) -> np.ndarray:
    """Whether a call is refused; how that is worded is no result of a run."""
    try:
        call(*args, **kwargs)
    except Exception:
        return np.array("refused")
    return np.array("ran")


def errors_of(call, cases: dict) -> dict[str, np.ndarray]:
    """:func:`error_of` for calls ``{name: (args, kwargs)}``."""
    return {f"error.{name}": error_of(call, *args, **kwargs) for name, (args, kwargs) in cases.items()}


def attributes(prefix: str, model, names: str) -> dict[str, np.ndarray]:
    """What a fitted model has under the names, as arrays."""
    return {f"{prefix}.{name}": np.asarray(getattr(model, name)) for name in names.split()}


def raised(make, cases: list[dict]) -> dict[str, np.ndarray]:
    """:func:`error_of` for each of some keyword arguments."""
    return errors_of(lambda **options: make(**options), {str(options): ((), options) for options in cases})
