"""No kernel takes more of the device's memory than its outputs and the workspace that its docstring states."""

import pytest
import torch

from clustlib import kernels
from clustlib.kernels.cuda.cluster_sums import cluster_sums
from clustlib.kernels.cuda.lloyd import kmeans
from clustlib.kernels.cuda.nearest_centre import nearest_centre
from clustlib.kernels.cuda.scaled_coefficients import scale_coefficients
from clustlib.kernels.torch_neighbours import nearest_neighbours

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="memory is counted on a CUDA device only")

N, D, K = 200_000, 64, 500
SLACK = 1 << 20  # numbers of a few bytes each, rounded up to the allocator's blocks


def drawn(*shape, seed=0):
    return torch.randn(*shape, device="cuda", generator=torch.Generator("cuda").manual_seed(seed))


def taken(work):
    """The peak of bytes allocated during a second call of ``work``, beyond what there was."""
    work()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    result = work()
    torch.cuda.synchronize()
    del result
    return torch.cuda.max_memory_allocated() - before


@pytest.mark.parametrize(("precision", "copies"), [("float32", 0), ("tf32", 0), ("bfloat16", 2 * (N + K) * D)])
def test_nearest_centre(precision, copies):
    points, centres = drawn(N, D), drawn(K, D, seed=1)
    table = 64 << 20 if precision == "float32" else 0
    stated = 12 * N + 8 * N + 8 * K + 4 * K * D + copies + table
    assert taken(lambda: nearest_centre(points, centres, precision)) <= stated + SLACK < 4 * N * K


def test_cluster_sums():
    points, labels = drawn(N, D), torch.randint(K, (N,), device="cuda")
    stated = 4 * K * D + 8 * K + max(30 * N, 10 * N + 16 * K + 4096 * D)
    assert taken(lambda: cluster_sums(points, labels, K)) <= stated + SLACK


def test_kmeans_holds_no_table_of_distances():
    points = drawn(N, D)
    sums = 30 * N + 16 * K + 4096 * D
    stated = 24 * K * D + 12 * N + max(8 * N + 8 * K + 4 * K * D + (64 << 20), sums)
    assert taken(lambda: kmeans(points, K, n_iter=2)) <= stated + SLACK < 4 * N * K


def test_neighbours():
    points, k = drawn(20_000, 32), 20
    stated = points.nbytes + int(1.4 * 2**30) + 12 * 30 * len(points) + 12 * k * len(points)
    assert taken(lambda: nearest_neighbours(points, k)) <= stated + SLACK < 8 * len(points) ** 2


def test_soft_assignment():
    codes, centres = drawn(N, D).requires_grad_(), drawn(10, D, seed=1).requires_grad_()
    target = torch.softmax(drawn(N, 10, seed=2), dim=1)
    # at the end: S and u, the gradient by the codes, and the same times the loss's own; before, the parts by centres
    stated = 2 * 4 * N * 10 + 2 * codes.nbytes + centres.nbytes * (512 + 3)

    def pair():
        return torch.autograd.grad(kernels.boosted_kl(codes, centres, target), [codes, centres])

    assert taken(pair) <= stated + SLACK < 4 * N * 10 * D


def test_coefficients():
    parts = [drawn(N, D, seed=seed).abs() for seed in range(3)]
    assert taken(lambda: scale_coefficients(*parts, 0.1, 1e-12)) <= 8 * (N * D // 1024 + 1) + SLACK


def test_an_update_of_the_factors():
    X, H, W = (drawn(*shape, seed=i).abs() for i, shape in enumerate(((N, D), (N, 32), (32, D))))
    block = 3 * 4 * 16384 * 32  # two products and their terms, for a block of samples
    factors = 4 * (4 * 32 * D + 4 * 32 * 32)
    assert taken(lambda: kernels.gsnmf_update(X, H, W, kernels.Penalty(0.1, 0.1))) <= block + factors + SLACK < X.nbytes
