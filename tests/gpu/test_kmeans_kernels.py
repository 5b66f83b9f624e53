"""Nearest centres and cluster sums against float64, over shapes that fit no block."""

import numpy as np
import pytest
import torch

from clustlib.errors import UsageError
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


def test_among_equal_centres_the_first_wins(device):
    x, c = drawn(40, 6, 8, device=device)
    labels, _ = nearest_centre(x, torch.cat([c, c, c]))
    assert int(labels.max()) < 6


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
    with pytest.raises(ValueError, match="below 3"):
        cluster_sums(x, torch.full((10,), 3, device=device), 3)


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


def test_sums_of_strided_points(device):
    x, _ = drawn(80, 1, 12, device=device)
    labels = torch.arange(80, device=device) % 7
    torch.testing.assert_close(cluster_sums(x.T.contiguous().T, labels, 7)[0], cluster_sums(x, labels, 7)[0])
