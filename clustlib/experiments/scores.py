"""The scores of a clustering that every experiment records."""

import numpy as np

from clustlib import metrics


def compact(labels: np.ndarray) -> np.ndarray:
    """Labels from 0 on in the smallest unsigned integers that hold them."""
    return labels.astype(np.min_scalar_type(int(labels.max())))


def scores(labels: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Every clustering score that the papers' tables print, under one name each."""
    return {
        "nmi_geometric": metrics.nmi(labels, found, average="geometric"),
        "nmi_max": metrics.nmi(labels, found, average="max"),
        "accuracy": metrics.accuracy(labels, found),
        "purity": metrics.purity(labels, found),
        "n_clusters": len(np.unique(found)),
    }
