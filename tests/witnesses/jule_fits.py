"""Fits of JULE."""

import numpy as np

from witnesses._data import digits, errors_of, untimed, weights_of
from witnesses._find import find

SMALL = {"epochs": 1, "n_neighbors": 5, "batch_size": 12, "network": {"filters": 4, "features": 6}, "device": "cpu"}


def _fit(**options) -> dict[str, np.ndarray]:
    images, labels = digits()
    model = find("JULE")(options.pop("n_clusters", 4), **{**SMALL, **options}).fit(images, labels)
    stages = {f"stage.{i}.{name}": value for i, stage in enumerate(model.stages_) for name, value in stage.items()}
    return {
        "sf": model.labels_sf_, "rc": model.labels_rc_, "embedding": model.embedding_, "n": np.array(model.n_clusters_),
        "heights": model.merge_tree_.heights, "children": model.merge_tree_.children, "at 3": model.labels_at(3),
        **untimed(model.history_), **stages, **weights_of(model.network_),
    }  # fmt: skip


def jule() -> dict[str, np.ndarray]:
    """The paper's settings, small: several periods, handfuls that are absorbed."""
    return _fit(unrolling_rate=0.4, epochs=2)


WITNESSES = {"jule": jule}
