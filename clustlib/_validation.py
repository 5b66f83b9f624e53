"""Input checks that every estimator shares; each failure is one clear ``ValueError``."""

from numbers import Integral
from pathlib import Path
from typing import Any, Literal

import numpy as np

from clustlib.errors import UsageError

_LARGEST = {"float32": 4e18, "float64": 6e153}  # length of a row whose fourfold square, a squared distance, it holds


def check_features(
    X: Any,
    n_clusters: int | None = None,
    *,
    minimum: int = 1,
    nonnegative: bool = False,
    distances: Literal["float32", "float64"] = "float32",
) -> np.ndarray:
    """Return ``X`` as a C-contiguous float32 or float64 array of shape (n_samples, n_features).

    Integers and booleans become float32; Fortran-ordered and strided input is copied.

    Parameters
    ----------
    distances : what the caller computes distances in.

    Raises
    ------
    ValueError
        Wrong rank, empty, NaN or infinite, so large that squared distances overflow ``distances``, negative
        where that is not allowed, fewer samples than ``minimum`` or than ``n_clusters``.
    """
    if hasattr(X, "detach"):  # a torch tensor, without importing torch
        X = X.detach().cpu().numpy()
    X = np.asarray(X)
    if X.dtype.kind not in "fiub":
        raise ValueError(f"features must be numbers, got dtype {X.dtype}")
    if X.ndim != 2:
        raise ValueError(f"features must have shape (n_samples, n_features), got {X.shape}")
    if X.size == 0:
        raise ValueError(f"features are empty: shape {X.shape}")
    X = np.ascontiguousarray(X, dtype=X.dtype if X.dtype in (np.float32, np.float64) else np.float32)
    if not np.isfinite(X).all():
        raise ValueError("features contain NaN or infinite values")
    if float(max(X.max(), -X.min())) > _LARGEST[distances] / X.shape[1] ** 0.5:
        raise ValueError(f"features are too large: their squared distances overflow {distances}")
    if nonnegative and X.min() < 0:
        raise ValueError("features must be non-negative")
    if len(X) < minimum:
        raise ValueError(f"needs at least {minimum} samples, got {len(X)}")
    if n_clusters is not None:
        check_n_clusters(n_clusters, len(X))
    return X


def images_of(X: Any, shape: tuple[int, ...] | None = None) -> Any:
    """Anything but a path or an ImageSet as it is: only these need the code that reads folders."""
    if isinstance(X, (str, Path)) or hasattr(X, "class_names"):
        from clustlib.images import folder

        return folder.images_of(X, shape)
    return X


def check_images(
    X: Any, n_clusters: int | None = None, *, shape: tuple[int, ...] | None = None, minimum: int = 1
) -> np.ndarray:
    """Return ``X`` as a C-contiguous (N, C, H, W) array, uint8 as it is, everything else as float32.

    (N, H, W) becomes one channel. ``X`` may be an :class:`~clustlib.datasets.ImageSet`, or a path: the images below
    that folder, at ``shape`` or 64 x 64 pixels.

    Parameters
    ----------
    shape : (C, H, W) that the images must have, where a fitted model asks for it.

    Raises
    ------
    ValueError
        Wrong rank or shape, empty, NaN or infinite, fewer images than ``minimum`` or than ``n_clusters``.
    """
    if hasattr(X, "detach"):
        X = X.detach().cpu().numpy()
    if not isinstance(X, np.ndarray):
        X = images_of(X, shape)
    X = np.asarray(X)
    if X.dtype.kind not in "fiub":
        raise ValueError(f"images must be numbers, got dtype {X.dtype}")
    if X.ndim == 3:
        X = X[:, None]
    if X.ndim != 4:
        raise ValueError(f"images must have shape (N, C, H, W) or (N, H, W), got {X.shape}")
    if X.size == 0:
        raise ValueError(f"there are no images in an array of shape {X.shape}")
    if shape is not None and X.shape[1:] != tuple(shape):
        raise ValueError(f"images must be {tuple(shape)} as those of the fit, got {X.shape[1:]}")
    X = np.ascontiguousarray(X, dtype=np.uint8 if X.dtype == np.uint8 else np.float32)
    if not np.isfinite(X).all():
        raise ValueError("images contain NaN or infinite values")
    if len(X) < minimum:
        raise ValueError(f"needs at least {minimum} images, got {len(X)}")
    if n_clusters is not None:
        check_n_clusters(n_clusters, len(X))
    return X


def check_integer(name: str, value: Any, least: int) -> None:
    """Raise :class:`UsageError` unless ``value`` is an integer from ``least`` on."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise UsageError(f"{name} must be an integer from {least} on, got {value!r}")


def check_n_clusters(n_clusters: int, n_samples: int) -> None:
    """Raise ``ValueError`` unless ``n_clusters`` is an integer between 1 and ``n_samples``."""
    check_integer("n_clusters", n_clusters, 1)
    if n_clusters > n_samples:
        raise ValueError(f"n_clusters={n_clusters} is more than the {n_samples} samples")
