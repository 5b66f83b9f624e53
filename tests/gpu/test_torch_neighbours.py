"""Exact neighbours on the device against float64 distances, and against the search in NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clustlib.errors import UsageError
from clustlib.kernels import knn, torch_neighbours
from clustlib.kernels.torch_neighbours import nearest_neighbours

SHAPES = [(2, 1, 1), (5, 3, 4), (70, 17, 3), (300, 2, 20), (129, 300, 7), (1000, 5, 2), (90, 4096, 5), (200, 8, 128)]


def exact(x, k):
    """The k nearest by (distance, index), in float64 without a product."""
    d2 = np.square(x.astype(np.float64)[:, None] - x.astype(np.float64)[None]).sum(axis=2)
    np.fill_diagonal(d2, np.inf)
    order = np.argsort(d2, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(d2, order, axis=1)


def check(x, k, device):
    indices, d2 = nearest_neighbours(torch.from_numpy(x).to(device), k)
    wanted, distances = exact(x, k)
    assert indices.dtype == torch.int32 and d2.dtype == torch.float64
    assert indices.device.type == d2.device.type == torch.device(device).type
    np.testing.assert_allclose(d2.cpu().numpy(), distances, rtol=1e-12, atol=1e-300)
    found = indices.cpu().numpy()
    assert (found != np.arange(len(x))[:, None]).all()
    # two distances that differ in float64's last bits may change places; nothing else may
    apart = np.diff(distances, axis=1) > 1e-12 * distances[:, 1:] if k > 1 else np.ones((len(x), 0), bool)
    if apart.all():
        np.testing.assert_array_equal(found[:, :-1], wanted[:, :-1])


@pytest.mark.parametrize(("n", "dim", "k"), SHAPES)
def test_against_float64(n, dim, k, device):
    rng = np.random.default_rng(n + dim)
    check(rng.normal(size=(n, dim)).astype(np.float32), k, device)


@pytest.mark.parametrize("group", [2, 16])
def test_blocks_and_groups_of_any_size(group, device, monkeypatch):
    monkeypatch.setattr(torch_neighbours, "_GROUP", group)
    monkeypatch.setattr(torch_neighbours, "_ROWS", 37)
    monkeypatch.setattr(torch_neighbours, "_COLUMNS", 101)
    monkeypatch.setattr(torch_neighbours, "_RANKED", 1000)
    rng = np.random.default_rng(0)
    classes = np.repeat(rng.normal(size=(9, 6)), 40, axis=0) * 30  # sorted by class: near points share a group
    check((classes + rng.normal(size=classes.shape)).astype(np.float32), 3, device)
    check(rng.normal(size=(450, 6)).astype(np.float32), 11, device)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 60), st.integers(1, 4), st.integers(0, 2**16))
def test_ties_and_duplicates_go_by_index(n, dim, seed):
    x = np.random.default_rng(seed).integers(0, 3, size=(n, dim)).astype(np.float32)
    k = 1 + seed % (n - 1)
    wanted, distances = exact(x, k)
    indices, d2 = nearest_neighbours(torch.from_numpy(x), k)
    np.testing.assert_array_equal(indices.numpy(), wanted)
    np.testing.assert_array_equal(d2.numpy(), distances)


def test_more_duplicates_than_candidates(device):
    x = torch.zeros((500, 3), device=device)
    indices, d2 = nearest_neighbours(x, 2)
    assert not d2.any()
    assert indices[0].tolist() == [1, 2] and indices[1].tolist() == [0, 2] and indices[400].tolist() == [0, 1]


def test_far_from_the_origin(device):
    rng = np.random.default_rng(3)
    check((rng.normal(size=(200, 4)) + 1e4).astype(np.float32), 6, device)


def test_as_the_search_in_numpy(device):
    x = np.random.default_rng(5).normal(size=(400, 30)).astype(np.float32)
    indices, d2 = knn(x, 9, backend="blocks")
    ours = nearest_neighbours(torch.from_numpy(x).to(device), 9)
    np.testing.assert_array_equal(ours[0].cpu().numpy(), indices)
    np.testing.assert_allclose(ours[1].cpu().numpy(), d2, rtol=1e-6)


def test_other_layouts_and_types(device):
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(60, 8)).astype(np.float32)).to(device)
    wanted = nearest_neighbours(x, 5)
    for same in (x.T.contiguous().T, torch.cat([x, x], dim=1)[:, :8], torch.repeat_interleave(x, 2, dim=0)[::2]):
        assert torch.equal(nearest_neighbours(same, 5)[0], wanted[0])
    for other in (x.half(), x.bfloat16()):
        assert torch.equal(nearest_neighbours(other, 5)[0], nearest_neighbours(other.float(), 5)[0])


def test_float64_is_ranked_as_it_is(device):
    x = np.random.default_rng(2).normal(size=(80, 3)) * 1e-9 + np.arange(80)[:, None] // 40  # float32 sees two points
    indices, d2 = nearest_neighbours(torch.from_numpy(x).to(device), 4)
    wanted, distances = exact(x, 4)
    np.testing.assert_array_equal(indices.cpu().numpy(), wanted)
    np.testing.assert_allclose(d2.cpu().numpy(), distances, rtol=1e-12)


def test_what_cannot_be_right_is_refused(device):
    x = torch.ones((10, 2), device=device)
    for k in (0, 10, True, 2.0):
        with pytest.raises(UsageError, match="from 1 to 9"):
            nearest_neighbours(x, k)
    for bad in (float("nan"), float("inf"), 1e30):
        with pytest.raises(UsageError, match="not finite"):
            nearest_neighbours(torch.where(torch.arange(20, device=device).view(10, 2) == 5, bad, x), 3)
    for shape in (x[0], x.int(), x[:, :0]):
        with pytest.raises(UsageError, match=r"\(N, D\)"):
            nearest_neighbours(shape, 1)
