"""How many of its components a factorisation uses: behind the page on what the text leaves open."""

from typing import Any

import numpy as np

from clustlib import records
from clustlib.fcn.runs.clustering import _check, _uses, unit_features
from clustlib.fcn.runs.representations import represent, settings_of
from clustlib.records.runs import taking


@taking(represent)
def components_in_use(dataset: str, method: str, seed: int = 0, **settings: Any) -> dict[str, float]:
    """Over how many components the l2-normalised features of the clustered images spread.

    The participation ratio (sum e)^2 / sum e^2 of the components' energies e: L where all have the same, 1 where one
    has everything.

    Parameters
    ----------
    Those of :func:`clustlib.fcn.runs.clustering.cluster_features`, whose features these are.

    Returns
    -------
    components : of the energies over all images. components_per_image : the mean of those of each image alone.
    """
    made = records.artifact(represent, **settings_of(dataset, method, seed=seed, **settings))
    return spread(unit_features(made))


def spread(features: np.ndarray) -> dict[str, float]:
    """The participation ratios of features (N, L): of all rows together, and the mean of those of each row."""
    energy = features.astype(float) ** 2
    lit = energy[energy.any(axis=1)]
    return {
        "components": float(_participation(energy.sum(0, keepdims=True)).sum()),
        "components_per_image": float(_participation(lit).mean()) if len(lit) else 0.0,
    }


def _participation(energy: np.ndarray) -> np.ndarray:
    """(sum e)^2 / sum e^2 of each row; 0 where a row has no energy."""
    squares = (energy**2).sum(axis=1)
    return np.where(squares > 0, energy.sum(axis=1) ** 2 / np.where(squares > 0, squares, 1), 0)


records.declare(components_in_use, check=_check, uses=_uses)
