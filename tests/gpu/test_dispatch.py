"""What lies on a GPU is worked on there: which code a tensor's device chooses, and that it gives the same result.

On a machine without a GPU the two questions "is it on one?" are answered with yes, and the kernels interpreted.
"""

import numpy as np
import pytest
import torch

from clustlib import _device, kernels
from clustlib.kernels import _lloyd_parts, gsnmf, lloyd, neighbours
from clustlib.kernels.cuda import lloyd as device_lloyd


@pytest.fixture
def treated_as_gpu(monkeypatch, device):
    """Tensors and devices of the test count as a GPU's; arrays do not."""

    def yes(what):
        return isinstance(what, (torch.Tensor, torch.device)) or (isinstance(what, str) and what != "cpu")

    if device.type == "cpu":
        monkeypatch.setattr(neighbours, "on_gpu", yes)
        monkeypatch.setattr(gsnmf, "on_gpu_with_triton", yes)
        monkeypatch.setattr(lloyd, "on_gpu", yes)
        monkeypatch.setattr(lloyd, "on_gpu_with_triton", yes)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1 << 40, 1 << 40))
        monkeypatch.setattr(_device, "resolve", lambda name: torch.device("cpu"))


def points(n=180, dim=6, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


@pytest.mark.parametrize("variant", ["published", "released"])
@pytest.mark.parametrize("n_neighbors", [1, 7])
def test_the_affinity_graph(variant, n_neighbors, device, treated_as_gpu):
    x = points()
    wanted = kernels.affinity_graph(x, n_neighbors, 0.7, variant=variant, device="cpu")
    there = kernels.affinity_graph(torch.from_numpy(x).to(device), n_neighbors, 0.7, variant=variant)
    assert all(isinstance(part, torch.Tensor) and part.device.type == device.type for part in there[:2])
    from_host = kernels.affinity_graph(x, n_neighbors, 0.7, variant=variant, device="cuda")
    for indices, weights, sigma2 in (tuple(part.cpu().numpy() for part in there[:2]) + there[2:], from_host):
        np.testing.assert_array_equal(indices, wanted.indices)
        np.testing.assert_allclose(weights, wanted.weights, rtol=1e-9)
        assert indices.dtype == np.int32 and weights.dtype == np.float64
        assert sigma2 == pytest.approx(wanted.sigma2, rel=1e-12)


def test_neighbours_of_a_tensor_stay_beside_it(device, treated_as_gpu):
    x = points()
    indices, d2 = kernels.knn(torch.from_numpy(x).to(device), 5)
    wanted = kernels.knn(x, 5, device="cpu")
    assert indices.device.type == d2.device.type == device.type and d2.dtype == torch.float32
    np.testing.assert_array_equal(indices.cpu().numpy(), wanted[0])
    np.testing.assert_allclose(d2.cpu().numpy(), wanted[1], rtol=1e-6)


def test_points_that_coincide_have_weights_of_one(device, treated_as_gpu):
    graph = kernels.affinity_graph(torch.ones((30, 4), device=device), 3)
    assert graph.sigma2 == 0 and (graph.weights == 1).all()


@pytest.mark.parametrize("split", ["released", "paper"])
def test_k_means_of_a_tensor_and_of_rows_of_the_host(split, device, treated_as_gpu):
    x = points(150, 5) + 3 * np.repeat(points(5, 5, 1), 30, axis=0)
    options = {"n_iter": 8, "seed": 2, "split": split}
    there = kernels.kmeans(torch.from_numpy(x).to(device), 5, **options)
    from_host = kernels.kmeans(x, 5, device=device, **options)
    start = torch.from_numpy(x[_lloyd_parts.starting_rows(150, 5, 2)])
    labels, centroids, objective = plain_lloyd(torch.from_numpy(x), start, 8, split=split, seed=2)
    assert isinstance(there.labels, torch.Tensor) and there.labels.device.type == device.type
    assert isinstance(from_host.labels, np.ndarray) and from_host.labels.dtype == np.int64
    for found in (there, from_host):
        np.testing.assert_array_equal(np.asarray(torch.as_tensor(found.labels).cpu()), labels.numpy())
        np.testing.assert_allclose(np.asarray(torch.as_tensor(found.centroids).cpu()), centroids, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.objective, objective, rtol=1e-4)


def test_k_means_without_triton(device, treated_as_gpu, monkeypatch):
    x = points(120, 4)
    options = {"n_iter": 5, "seed": 1}
    wanted = kernels.kmeans(x, 6, device=device, **options)
    monkeypatch.setattr(lloyd, "on_gpu_with_triton", lambda what: False)
    for rows in (x, torch.from_numpy(x).to(device)):
        found = kernels.kmeans(rows, 6, device=device, **options)
        np.testing.assert_array_equal(torch.as_tensor(found.labels).cpu().numpy(), wanted.labels)


@pytest.mark.parametrize("rows", [points(4, 3), np.full((9, 3), np.nan, np.float32), points(9, 3)[0]])
def test_k_means_refuses_what_cannot_be_right(rows, device, treated_as_gpu):
    for there in (rows, torch.from_numpy(rows).to(device)):
        with pytest.raises(ValueError, match=r"more than the 4|NaN|\(N, d\)"):
            kernels.kmeans(there, 5, device=device)


def plain_lloyd(rows, start, n_iter, **options):
    """The iterations in plain PyTorch, whatever counts as a GPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lloyd, "on_gpu_with_triton", lambda what: False)
        return lloyd.lloyd(rows, start, n_iter, **options)


def test_iterations_that_several_processes_share(device, treated_as_gpu):
    rows = torch.from_numpy(points(90, 4))
    wanted = plain_lloyd(rows, rows[:6], 5, total=lambda part: 2 * part)
    found = lloyd.lloyd(rows.to(device), rows[:6].to(device), 5, total=lambda part: 2 * part)
    assert torch.equal(found[0].cpu(), wanted[0])
    torch.testing.assert_close(found[1].cpu(), wanted[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[2], wanted[2], rtol=1e-4)


def test_what_does_not_fit_comes_over_in_batches(device, treated_as_gpu, monkeypatch):
    seen = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 100))
    monkeypatch.setattr(device_lloyd, "_parts", lambda points, where, batch: seen.append(points) or [points.to(where)])
    kernels.kmeans(points(40, 3), 4, n_iter=2, device=device)
    assert all(part.device.type == "cpu" for part in seen) and seen


@pytest.mark.parametrize("products", gsnmf.PRODUCTS)
def test_an_update_of_the_factors(products, device, treated_as_gpu, monkeypatch):
    rng = np.random.default_rng(0)
    arrays = [rng.random(shape) for shape in ((50, 30), (50, 8), (8, 30))]
    penalty = kernels.Penalty(0.1, 0.2)
    ours = [torch.tensor(a, dtype=torch.float32, device=device) for a in arrays]
    value = kernels.gsnmf_update(*ours, penalty, products=products)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gsnmf, "on_gpu_with_triton", lambda what: False)
        plain = [torch.tensor(a, dtype=torch.float32) for a in arrays]
        wanted = kernels.gsnmf_update(*plain, penalty, products=products)
    # PyTorch adds bfloat16 products in bfloat16, the fused pass in the factors' own type
    rough = 1e-5 if products == "float32" else 2e-3
    assert value == pytest.approx(wanted, rel=rough)
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one.cpu(), other, rtol=10 * rough, atol=1e-6)


def test_what_is_on_a_gpu():
    assert not _device.on_gpu(np.ones(2)) and not _device.on_gpu(torch.ones(2)) and not _device.on_gpu("cpu")
    assert _device.on_gpu(torch.device("cuda")) and not _device.on_gpu(torch.device("cpu"))
    assert _device.on_gpu("auto") == torch.cuda.is_available() == _device.on_gpu_with_triton("auto")
