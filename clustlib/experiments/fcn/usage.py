"""How many of its components a factorisation uses: behind the page on what the text leaves open."""

import numpy as np

from clustlib import records
from clustlib.experiments.fcn.clustering import _check, _unit, _uses
from clustlib.experiments.fcn.protocol import STAND_IN_CNN
from clustlib.experiments.fcn.representations import represent, settings_of


def components_in_use(
    dataset: str,
    method: str,
    seed: int = 0,
    cnn: str = STAND_IN_CNN,
    size: int = 224,
    n_components: int = 1024,
    l1: float = 0.05,
    l2: float = 0.02,
    l21: float = 0.0,
    init: str = "nndsvd",
    basis_norm: str | None = "unit",
    batch_size: int | None = None,
    forget_factor: float = 0.7,
    max_iter: int = 50,
    transform_iter: int = 50,
    products: str = "float32",
    epochs: int = 5,
    ae_epochs: int = 200,
    ep_sets: int = 100,
    n_images: int | None = None,
    n_learn: int | None = None,
    device: str = "auto",
) -> dict[str, float]:
    """Over how many components the l2-normalised features of the clustered images spread.

    The participation ratio (sum e)^2 / sum e^2 of the components' energies e: L where all have the same, 1 where one
    has everything.

    Parameters
    ----------
    Those of :func:`clustlib.experiments.fcn.cluster_features`, whose features these are.

    Returns
    -------
    components : of the energies over all images. components_per_image : the mean of those of each image alone.
    """
    made = records.artifact(represent, **settings_of(method, dict(locals())))
    energy = _unit(made.get("cluster", made["learn"])).astype(float) ** 2
    lit = energy[energy.any(axis=1)]
    return {
        "components": float(_participation(energy.sum(0, keepdims=True)).sum()),
        "components_per_image": float(_participation(lit).mean()) if len(lit) else 0.0,
    }


def _participation(energy: np.ndarray) -> np.ndarray:
    """(sum e)^2 / sum e^2 of each row; 0 where a row has no energy."""
    squares = (energy**2).sum(axis=1)
    return np.where(squares > 0, energy.sum(axis=1) ** 2 / np.where(squares > 0, squares, 1), 0)


components_in_use.check = _check  # type: ignore[attr-defined]
components_in_use.uses = _uses  # type: ignore[attr-defined]
