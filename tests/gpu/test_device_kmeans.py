"""K-means on the device against the iterations in plain PyTorch."""

import numpy as np
import pytest
import torch

from clustlib.errors import UsageError
from clustlib.kernels import _lloyd_parts
from clustlib.kernels import lloyd as plain
from clustlib.kernels.cuda import lloyd
from clustlib.kernels.cuda.lloyd import kmeans


def drawn(n, dim, k, seed=0):
    rng = np.random.default_rng(seed)
    centres = 4 * rng.normal(size=(k, dim))
    x = centres[rng.integers(0, k, n)] + rng.normal(size=(n, dim))
    return torch.tensor(x, dtype=torch.float32)


@pytest.mark.parametrize(("n", "dim", "k"), [(1, 1, 1), (40, 3, 5), (150, 17, 7), (90, 40, 30)])
@pytest.mark.parametrize("split", ["released", "paper"])
def test_the_same_clusters_as_the_plain_iterations(n, dim, k, split, device):
    x = drawn(n, dim, k)
    start = x[torch.from_numpy(_lloyd_parts.starting_rows(n, k, 3))]
    labels, centroids, objective = plain.lloyd(x.double(), start.double(), 6, split=split, seed=3)
    ours = kmeans(x.to(device), k, n_iter=6, seed=3, split=split)
    assert torch.equal(ours.labels.cpu(), labels)
    torch.testing.assert_close(ours.centroids.cpu(), centroids.float(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours.objective, objective, rtol=1e-4, atol=1e-5)


def test_points_on_the_host_come_over_in_batches(device, monkeypatch):
    x = drawn(130, 6, 4)
    monkeypatch.setattr(lloyd, "_parts", lambda points, where, batch: (part.to(where) for part in points.split(batch)))
    whole, parts = (kmeans(x, 4, n_iter=5, device=device, batch=batch) for batch in (1000, 17))
    assert torch.equal(whole.labels, parts.labels) and parts.labels.device == x.device
    torch.testing.assert_close(whole.centroids, parts.centroids, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(whole.objective, parts.objective, rtol=1e-5)


@pytest.mark.parametrize(("precision", "bits"), [("tf32", 11), ("bfloat16", 8)])
def test_the_objective_is_off_by_no_more_than_is_stated(precision, bits, device):
    x = drawn(120, 20, 6).to(device)
    start = x[:6]
    exact, rough = (kmeans(x, 6, n_iter=1, start=start, precision=p) for p in ("float32", precision))
    reach = x.norm(dim=1) + start.norm(dim=1).max()
    assert abs(exact.objective[0] - rough.objective[0]) <= 4 * 2.0**-bits * float(reach.square().mean())


def test_the_same_bits_twice_and_other_clusters_for_another_seed(device):
    x = drawn(200, 5, 12).to(device)
    one, two, other = (kmeans(x, 12, n_iter=4, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.labels, two.labels) and torch.equal(one.centroids, two.centroids)
    assert not torch.equal(one.centroids, other.centroids)


def test_empty_clusters_are_filled(device):
    x = torch.cat([torch.zeros(50, 2), torch.ones(50, 2) + 0.01 * drawn(50, 2, 1)]).to(device)
    found = kmeans(x, 3, n_iter=10, start=x[:3])  # three times the same point
    assert len(found.labels.unique()) == 3


def test_what_cannot_be_right_is_refused(device):
    x = drawn(10, 2, 2).to(device)
    for points, k, options in (
        (x[0], 2, {}),
        (x.double(), 2, {}),
        (x, 11, {}),
        (x, 2, {"split": "half"}),
        (x, 2, {"precision": "int8"}),
        (torch.where(x == x[0, 0], torch.nan, x), 2, {}),
    ):
        with pytest.raises((UsageError, ValueError)):
            kmeans(points, k, **options)
