"""Nearest centres and cluster sums against float64, over shapes that fit no block."""

from unittest.mock import MagicMock

import numpy as np
import pytest
import torch

from clustlib.errors import UsageError
from clustlib.kernels.cuda import cluster_sums as sums_module
from clustlib.kernels.cuda import nearest_centre as module
from clustlib.kernels.cuda.cluster_sums import cluster_sums
from clustlib.kernels.cuda.nearest_centre import nearest_centre

SHAPES = [(1, 1, 1), (1, 5, 3), (7, 1, 4), (130, 3, 17), (129, 130, 33), (140, 40, 100), (65, 9, 300)]
BITS = {"float32": 2.0**-24, "tf32": 2.0**-11, "bfloat16": 2.0**-8}


def drawn(n, k, dim, seed=0, device="cpu"):
    rng = np.random.default_rng(seed + n + 7 * k + 31 * dim)
    x, c = rng.normal(size=(n, dim)), rng.normal(size=(k, dim))
    return torch.tensor(x, dtype=torch.float32, device=device), torch.tensor(c, dtype=torch.float32, device=device)


def exact(x, c):
    return torch.cdist(x.double(), c.double(), compute_mode="donot_use_mm_for_euclid_dist").square().cpu()


@pytest.mark.parametrize("precision", list(BITS))
@pytest.mark.parametrize("shape", SHAPES)
def test_nearest_centres(shape, precision, device):
    x, c = drawn(*shape, device=device)
    labels, d2 = nearest_centre(x, c, precision)
    wanted = exact(x, c)
    # the rounding of a product of D terms, with room for the three sums
    size = (x.double().norm(dim=1)[:, None] + c.double().norm(dim=1)).square().cpu()
    error = 4 * BITS[precision] * size
    rows = torch.arange(len(x))
    assert labels.dtype == torch.int64 and d2.dtype == torch.float32
    assert ((d2.cpu() - wanted[rows, labels.cpu()]).abs() <= error[rows, labels.cpu()]).all()
    assert (wanted[rows, labels.cpu()] <= (wanted + error).min(dim=1).values + error[rows, labels.cpu()]).all()


def test_float32_finds_the_nearest(device, large):
    x, c = drawn(200 * large, 37, 20, device=device)
    labels, d2 = nearest_centre(x, c)
    wanted = exact(x, c)
    assert torch.equal(labels.cpu(), wanted.argmin(dim=1))
    torch.testing.assert_close(d2.cpu().double(), wanted.min(dim=1).values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("precision", list(BITS))
@pytest.mark.parametrize("copies", [3, 60])
def test_among_equal_centres_the_first_wins(precision, copies, device):
    rng = np.random.default_rng(0)  # small integers: every product and sum is exact
    x, c = (torch.tensor(rng.integers(-3, 4, (n, 8)), dtype=torch.float32, device=device) for n in (300, 6))
    labels, d2 = nearest_centre(x, torch.cat([c] * copies), precision)
    wanted = torch.tensor(exact(x, c).numpy().argmin(axis=1))
    assert torch.equal(labels.cpu(), wanted)
    torch.testing.assert_close(d2.cpu().double(), exact(x, c).min(dim=1).values, rtol=1e-5, atol=1e-4)


def test_float32_in_several_tables(device, monkeypatch):
    x, c = drawn(90, 7, 12, device=device)
    wanted = nearest_centre(x, c)
    monkeypatch.setattr(module, "_TABLE", 50)
    labels, d2 = nearest_centre(x, c)
    assert torch.equal(labels, wanted[0])
    torch.testing.assert_close(d2, wanted[1])


def test_strided_and_transposed_input(device):
    x, c = drawn(60, 12, 24, device=device)
    wanted, _ = nearest_centre(x, c)
    wide = torch.cat([x, x], dim=1)[:, :24]
    for points in (wide, x.T.contiguous().T, torch.repeat_interleave(x, 2, dim=0)[::2]):
        assert torch.equal(nearest_centre(points, c.T.contiguous().T)[0], wanted)


def test_no_points(device):
    labels, d2 = nearest_centre(torch.empty((0, 4), device=device), torch.ones((3, 4), device=device))
    assert labels.shape == d2.shape == (0,)


def test_what_cannot_be_right_is_refused(device):
    x, c = drawn(10, 3, 4, device=device)
    with pytest.raises(UsageError, match="precision"):
        nearest_centre(x, c, "float8")
    with pytest.raises(ValueError, match=r"centres \(k, D\)"):
        nearest_centre(x, c[:, :3])
    with pytest.raises(ValueError, match=r"centres \(k, D\)"):
        nearest_centre(x, c[:0])
    with pytest.raises(ValueError, match="labels must have shape"):
        cluster_sums(x, torch.zeros(9, dtype=torch.int64, device=device), 3)
    for wrong in (-1, 3, 1 << 16):
        with pytest.raises(ValueError, match="below 3"):
            cluster_sums(x, torch.full((10,), wrong, device=device), 3)


@pytest.mark.parametrize(("n", "k", "dim"), [(1, 1, 1), (50, 7, 3), (333, 5, 130), (90, 80, 20), (64, 64, 16)])
def test_cluster_sums(n, k, dim, device):
    x, _ = drawn(n, k, dim, device=device)
    labels = torch.tensor(np.random.default_rng(n).integers(0, max(1, k - 1), n), device=device)  # the last is empty
    sums, counts = cluster_sums(x, labels, k)
    wanted = torch.zeros((k, dim), dtype=torch.float64).index_add_(0, labels.cpu(), x.cpu().double())
    assert torch.equal(counts.cpu(), torch.bincount(labels.cpu(), minlength=k))
    torch.testing.assert_close(sums.cpu().double(), wanted, rtol=1e-5, atol=1e-5 * n**0.5)
    again, _ = cluster_sums(x, labels, k)
    assert torch.equal(sums, again)


@pytest.mark.parametrize("k", [(1 << 15) - 1, 1 << 15])
def test_more_clusters_than_narrow_labels_hold(k, device, monkeypatch):
    monkeypatch.setattr(sums_module, "_segment_sums", MagicMock())  # only what is sorted is looked at
    labels = torch.tensor([k - 1, 0, k - 1, 5], device=device)
    _, counts = cluster_sums(torch.ones((4, 2), device=device), labels, k)
    assert counts[[0, 5, k - 1]].tolist() == [1, 1, 2] and int(counts.sum()) == 4


def test_sums_of_no_points(device):
    sums, counts = cluster_sums(torch.empty((0, 4), device=device), torch.empty(0, dtype=torch.int64, device=device), 3)
    assert sums.shape == (3, 4) and not sums.any() and counts.tolist() == [0, 0, 0]


def test_sums_of_strided_points(device):
    x, _ = drawn(80, 1, 12, device=device)
    labels = torch.arange(80, device=device) % 7
    torch.testing.assert_close(cluster_sums(x.T.contiguous().T, labels, 7)[0], cluster_sums(x, labels, 7)[0])
