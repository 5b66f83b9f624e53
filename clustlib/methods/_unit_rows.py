"""Rows of unit length, from images or from features."""

import numpy as np


def unit_rows(samples: np.ndarray) -> np.ndarray:
    """Each sample as a row of unit Euclidean length, (N, D) float32; a sample of zeros stays zero."""
    rows = samples.reshape(len(samples), -1).astype(np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    rows /= np.where(lengths == 0, 1, lengths).astype(np.float32)[:, None]
    return rows
