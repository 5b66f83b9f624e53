"""Image input of the methods: checked once, one clear ``ValueError`` each."""

from typing import Any

import numpy as np


def check_images(images: Any, n_clusters: int | None = None, *, minimum: int = 2) -> np.ndarray:
    """``images`` as a C-contiguous (N, C, H, W) array, uint8 or float32; (N, H, W) becomes one channel.

    Raises
    ------
    ValueError
        Wrong rank or dtype, empty, NaN or infinite, fewer images than ``minimum`` or than ``n_clusters``.
    """
    if hasattr(images, "detach"):  # a torch tensor, without importing torch
        images = images.detach().cpu().numpy()
    images = np.asarray(images)
    if images.dtype.kind not in "fiub":
        raise ValueError(f"images must be numbers, got dtype {images.dtype}")
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4:
        raise ValueError(f"images must have shape (N, C, H, W) or (N, H, W), got {images.shape}")
    if images.size == 0:
        raise ValueError(f"images are empty: shape {images.shape}")
    if images.dtype != np.uint8:
        images = images.astype(np.float32, copy=False)
        if not np.isfinite(images).all():
            raise ValueError("images contain NaN or infinite values")
    needed = max(minimum, n_clusters or 0)
    if len(images) < needed:
        raise ValueError(f"needs at least {needed} images, got {len(images)}")
    return np.ascontiguousarray(images)


def unit_rows(images: np.ndarray) -> np.ndarray:
    """Each image as a row of unit Euclidean length, (N, C H W) float32; an all-zero image stays zero."""
    rows = images.reshape(len(images), -1).astype(np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    rows /= np.where(lengths == 0, 1, lengths).astype(np.float32)[:, None]
    return rows
