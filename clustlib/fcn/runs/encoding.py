"""How many updates a new image gets, from none (X Wᵀ) on: one basis, its coefficients after every number of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from clustlib import datasets, records
from clustlib._validation import check_seed, unit_rows
from clustlib.errors import UsageError
from clustlib.fcn.runs import protocol
from clustlib.fcn.runs.clustering import clustered_both_ways, unit, zeros
from clustlib.fcn.runs.protocol import STAND_IN_CNN
from clustlib.fcn.runs.usage import spread
from clustlib.published.tables import choose
from clustlib.records.runs import bind, taking

# the l1 and the l2 weight of each method of the page on encoding
PENALTIES = {"GSNMF-FCN-OTS": (0.05, 0.02), "NMF-FCN": (0.0, 0.0), "GSNMF-FCN-without-l1": (0.0, 0.02)}
UPDATES = "0 1 3 10 50 200"


def codes(
    dataset: str,
    method: str,
    seed: int = 0,
    updates: str = UPDATES,
    cnn: str = STAND_IN_CNN,
    size: int = 224,
    n_components: int = 1024,
    init: str = "nndsvd",
    max_iter: int = 50,
    n_images: int | None = None,
    device: str = "auto",
) -> dict[str, np.ndarray]:
    """Factorise the part of a data set that is learnt from; code the other with every number of updates.

    Returns
    -------
    ``after_n`` (N, n_components) float32 for every number n.
    """
    from clustlib.fcn.gsnmf import GSNMF

    split, (l1, l2) = protocol.split(dataset, n_images), PENALTIES[method]
    learn, other = (unit_rows(protocol.features(p, cnn, size, device=device)) for p in (split.learn, split.cluster))
    how: dict[str, Any] = {"l1": l1, "l2": l2, "init": init, "max_iter": max_iter, "random_state": seed}
    model = GSNMF(n_components, **how, device=device).fit(learn)
    return {f"after_{number}": model.set_params(transform_iter=number).transform(other) for number in _numbers(updates)}


@taking(codes)
def encode_features(dataset: str, method: str, seed: int = 0, **settings: Any) -> dict[str, float]:
    """Cluster the images of section 4.3 by their coefficients after different numbers of updates, the basis fixed.

    Parameters
    ----------
    method : a name of ``PENALTIES``. seed : of both clusterings, and of the factorisation where it starts at random.
    updates : the numbers of updates, with spaces between; 0 leaves X Wᵀ.

    Returns
    -------
    With ``_after_n`` behind each name, for every number n: accuracy_kmeans, nmi_kmeans, accuracy_sc, nmi_sc (NMI over
    the larger entropy, Eq. 8), zeros (share of the coefficients within 1e-6 of 0), components (in use, see
    :mod:`clustlib.fcn.runs.usage`).
    """
    how = bind(codes, {"dataset": dataset, "method": method, "seed": seed, **settings})
    # from another start the factorisation is one, whatever the seed of the clusterings
    arrays = codes(**how) if how["init"] == "random" else records.artifact(codes, **{**how, "seed": 0})
    truth = protocol.split(dataset, how["n_images"]).cluster.labels
    out: dict[str, float] = {}
    for name, codes_of in arrays.items():
        features = unit(codes_of)
        scores = clustered_both_ways(features, truth, seed, how["device"])
        scores |= {"zeros": zeros(features), "components": spread(features)["components"]}
        out |= {f"{score}_{name}": float(v) for score, v in scores.items() if not isinstance(v, np.ndarray)}
    return out


def _numbers(updates: str) -> list[int]:
    words = updates.split()
    if not words or not all(word.isdecimal() for word in words):
        raise UsageError(f'updates must be numbers from 0 on, such as "0 1 3"; got {updates!r}')
    return [int(word) for word in words]


def _check(dataset: str, method: str, seed: int = 0, updates: str = UPDATES, **_: Any) -> None:
    choose("data set", dataset, datasets.names())
    choose("method", method, PENALTIES)
    check_seed(seed)
    _numbers(updates)


def by_dataset(
    datasets: list[str], images_at_most: Mapping[str, int], fn: Any = encode_features, **settings: Any
) -> Any:
    """``records.grid`` over data sets, each with all its images or as many, taken at random, as it is allowed."""
    runs = records.Runs()
    for name in datasets:
        runs += records.grid(fn, dataset=name, n_images=images_at_most.get(name), **settings)
    return runs


records.declare(encode_features, check=_check)
