"""The memory of DBC's joint training: a few numbers an image, whatever the clusters times the code's length."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from clustlib import DBC, FCAEFeatures
from clustlib.dbc import estimator as module

K, D = 20, 60
IMAGES = np.random.default_rng(0).integers(0, 256, (8000, 1, 8, 8)).astype(np.uint8)


def peak(function: Callable[[], object]) -> int:
    """The most bytes that torch held at a time while ``function`` ran, over those it held before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        function()
    changes = [event.nbytes() for event in watched.profiler.kineto_results.events() if event.name() == "[memory]"]
    return int(np.cumsum(changes).max())


@pytest.fixture(scope="module")
def features():
    return FCAEFeatures(epochs=0, whiten=D, random_state=0).fit(IMAGES[:500])


def training(features: FCAEFeatures, n: int, batch_size: int, discriminant: bool = False) -> int:
    settings = {"epochs": 1, "n_init": 1, "smoothing": 0, "discriminant": discriminant, "random_state": 0}
    return peak(lambda: DBC(K, features=features, batch_size=batch_size, **settings).fit(IMAGES[:n]))


def plain_soft_assign(Z: torch.Tensor, centers: torch.Tensor, v: float = 1.0) -> torch.Tensor:
    """Eq. (1) by way of all differences, (N, k, d)."""
    S = (1 + ((Z[:, None] - centers) ** 2).sum(2) / v) ** (-(v + 1) / 2)
    return S / S.sum(1, keepdim=True)


def by_image(features: FCAEFeatures, discriminant: bool = False) -> float:
    """Bytes by which the peak grows with every image more, at the same size of a batch."""
    small, large = (training(features, n, 256, discriminant) for n in (4000, 8000))
    return (large - small) / 4000


def test_the_measure_sees_what_torch_holds():
    held = peak(lambda: torch.zeros(250, 1000) + torch.zeros(250, 1000))
    assert 3_000_000 <= held < 3_100_000
    assert peak(lambda: [torch.zeros(250, 1000).sum() for _ in range(5)]) < 1_100_000


def test_an_image_more_costs_its_code_and_some_scores_of_each_cluster(features):
    assert by_image(features) < 4 * (D + 8 * K) < 4 * K * D / 5


def test_turning_the_code_costs_some_codes_in_double_precision_and_no_more(features):
    assert by_image(features, discriminant=True) < 8 * 4 * D < 4 * K * D / 2


def test_the_plain_formula_would_be_seen(features, monkeypatch):
    monkeypatch.setattr(module, "soft_assign", plain_soft_assign)
    assert by_image(features) > 4 * K * D


def test_the_rest_grows_with_the_batch(features):
    assert training(features, 4000, 4000) > 2 * training(features, 4000, 500)
