"""What every system does with its images: an array, a tensor or a folder becomes an array on one scale."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from clustlib._arrays import NotNumbers, held, not_numbers
from clustlib._validation import _LARGEST, check_n_clusters
from clustlib.errors import UsageError


def check_images(
    X: Any,
    n_clusters: Any = None,
    *,
    shape: tuple[int, ...] | None = None,
    minimum: int = 1,
    scaled: bool = True,
    side: int = 64,
) -> np.ndarray:
    """Return ``X`` as a C-contiguous (N, C, H, W) array: uint8, or float32 in 0..1.

    ``X`` is an array, a tensor, an ``ImageSet``, or a folder of image files (its path or an ``ImageFolder``).

    The rule of scales that all systems share: uint8 in 0..255 stays as it is and floats are in 0..1. Other integers
    count as uint8 where they lie in 0..255; uint16 beyond is divided by 65535, with a warning; booleans are 0 and 1.
    Everything else is refused. (N, H, W) becomes one channel.

    Parameters
    ----------
    shape : (C, H, W) that the images must have, where a fitted model asks for it.
    scaled : False for what has no scale, whitened patches for instance: any number whose square float32 holds.
    side : pixels that the files of a folder are resized to; a fitted model's ``shape`` says it itself.

    Raises
    ------
    UsageError
        Wrong rank or shape, channels last, empty, NaN or infinite, another scale, fewer images than ``minimum`` or
        than ``n_clusters``.
    """
    X = _shaped(_images_of(X, shape, side), shape)
    X = np.ascontiguousarray(_on_one_scale(X) if scaled else _without_scale(X))
    if len(X) < minimum:
        raise UsageError(f"needs at least {minimum} images, got {len(X)}")
    if n_clusters is not None:
        check_n_clusters(n_clusters, len(X))
    return X


def _images_of(X: Any, shape: tuple[int, ...] | None, side: int) -> Any:
    """The array of a tensor, of an ``ImageSet`` or of the files of a folder; what is sparse stays so."""
    folder = X if isinstance(X, (str, Path)) else getattr(X, "path", None)
    if isinstance(folder, (str, Path)):
        from clustlib.images.folder import images_of

        return images_of(folder, shape, side)
    X = held(getattr(X, "images", X), "images")
    try:
        return X if hasattr(X, "toarray") else np.asarray(X)
    except MemoryError:
        raise
    except Exception as error:  # ragged lists, and whatever an object's own conversion raises
        raise not_numbers("images", error) from None


def _shaped(X: Any, shape: tuple[int, ...] | None) -> np.ndarray:
    if not isinstance(X, np.ndarray):
        raise NotNumbers(f"images must be numbers in an array, got {type(X).__name__}")
    if X.dtype.kind not in "fiub":
        raise NotNumbers(f"images must be numbers, got dtype {X.dtype}")
    if X.ndim == 3:
        X = X[:, None]
    if X.ndim != 4:
        raise UsageError(f"images must have shape (N, C, H, W) or (N, H, W), got {X.shape}")
    if X.size == 0:
        raise UsageError(f"there are no images in an array of shape {X.shape}")
    if X.shape[3] in (1, 3, 4) and min(X.shape[1:3]) > 4:
        raise UsageError(
            f"images must have shape (N, C, H, W), got {X.shape} with channels last: images.transpose(0, 3, 1, 2)"
        )
    if shape is not None and X.shape[1:] != tuple(shape):
        raise UsageError(f"images must be {tuple(shape)} as those of the fit, got {X.shape[1:]}")
    return X


def _on_one_scale(X: np.ndarray) -> np.ndarray:
    if X.dtype == np.uint8:
        return X
    low, high = X.min(), X.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UsageError("images contain NaN or infinite values")
    if X.dtype.kind in "iu" and low >= 0 and high <= 255:
        return X.astype(np.uint8)
    if X.dtype == np.uint16:
        warnings.warn("images of 16 bits are divided by 65535", stacklevel=4)
        return (X / np.float32(65535)).astype(np.float32)
    if X.dtype.kind in "fb" and low >= -1e-6 and high <= 1 + 1e-6:  # resampling leaves rounding behind
        return X.astype(np.float32)
    advice = "; divide by 255" if X.dtype.kind == "f" and low >= 0 and high <= 255 else ""
    raise UsageError(f"images must be uint8 or floats in 0..1, got {X.dtype} from {low:.6g} to {high:.6g}{advice}")


def _without_scale(X: np.ndarray) -> np.ndarray:
    if X.dtype == np.uint8:
        return X
    largest = max(float(X.max()), -float(X.min()))
    if not largest <= _LARGEST["float32"] / X[0].size ** 0.5:
        raise UsageError("images contain NaN, infinite values or numbers so large that their squares overflow float32")
    return X.astype(np.float32)
