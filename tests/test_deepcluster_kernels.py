"""DeepCluster's kernels against plain references: whitening, k-means with splits, sampling, power iteration."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clustlib import kernels, metrics
from clustlib.deepcluster import equations
from clustlib.errors import UsageError
from clustlib.kernels import _lloyd_parts
from clustlib.kernels import lloyd as lloyd_module
from clustlib.kernels.lloyd import assign, lloyd
from clustlib.kernels.sampling import draw_epoch, largest_share
from clustlib.kernels.whitening import Moments, pca_whiten


def correlated(n: int, d: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 100 * rng.normal(size=d)).astype(np.float32)


def blobs(n: int, d: int, k: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(k, d))[rng.integers(k, size=n)] * 3 + rng.normal(size=(n, d))).astype(np.float32)


class TestWhitening:
    @settings(max_examples=10, deadline=None)
    @given(st.integers(0, 2**31), st.integers(2, 40), st.integers(1, 12))
    def test_streamed_moments_are_those_of_all_rows(self, seed, n, d):
        rows = torch.from_numpy(correlated(n, d, seed))
        cuts = sorted(np.random.default_rng(seed).integers(0, n + 1, size=3))
        streamed = Moments(d)
        for part in np.split(rows.numpy(), cuts):
            streamed.update(torch.from_numpy(part))
        wanted = np.cov(rows.numpy().astype(np.float64).T, bias=True).reshape(d, d) * n
        assert streamed.count == n
        np.testing.assert_allclose(streamed.mean, rows.double().mean(0), rtol=1e-12, atol=1e-9)
        np.testing.assert_allclose(streamed.scatter, wanted, rtol=1e-9, atol=1e-6 * np.abs(wanted).max())

    def test_the_covariance_is_the_identity_and_rows_have_unit_length(self):
        rows = torch.from_numpy(correlated(3000, 30))
        found = pca_whiten(rows.split(256), 16)
        projected = found(rows, normalise=False).double()
        assert projected.shape == (3000, 16)
        np.testing.assert_allclose(np.cov(projected.T, bias=True), np.eye(16), atol=1e-3)
        np.testing.assert_allclose(projected.mean(0), 0, atol=1e-3)
        np.testing.assert_allclose(found(rows).norm(dim=1), 1, rtol=1e-5)

    def test_it_keeps_the_leading_components_in_order(self):
        rows = correlated(500, 8)
        found = pca_whiten([torch.from_numpy(rows)], 3)
        wanted = equations.whitened(rows.astype(np.float64), 3)
        projected = found(torch.from_numpy(rows), normalise=False).numpy()
        np.testing.assert_allclose(np.abs(projected), np.abs(wanted), atol=2e-3)

    def test_it_agrees_with_faiss(self):
        faiss = pytest.importorskip("faiss")
        rows = correlated(800, 12)
        other = faiss.PCAMatrix(12, 5, -0.5)
        other.train(rows)
        found = pca_whiten([torch.from_numpy(rows)], 5)(torch.from_numpy(rows), normalise=False).numpy()
        # faiss divides by the scatter, not the covariance: a common factor that the l2 norm takes away
        np.testing.assert_allclose(np.abs(found), np.abs(other.apply(rows)) * 800**0.5, atol=2e-2)

    def test_directions_without_variance_are_left_out(self):
        rows = torch.from_numpy(correlated(50, 6))
        rows = torch.cat([rows, torch.zeros(50, 4), rows[:, :1]], dim=1)
        found = pca_whiten([rows], 11)
        assert found.matrix.shape == (11, 6)
        assert torch.isfinite(found(rows)).all()

    def test_equal_rows_give_zero_and_no_nan(self):
        found = pca_whiten([torch.ones(9, 4)], 2)
        assert torch.equal(found(torch.ones(9, 4)), torch.zeros(9, 1))

    def test_bad_input(self):
        with pytest.raises(UsageError, match="at least two rows"):
            pca_whiten([], 2)
        with pytest.raises(UsageError, match="at least two rows"):
            pca_whiten([torch.ones(1, 3)], 2)
        with pytest.raises(UsageError, match="NaN"):
            pca_whiten([torch.full((5, 3), float("nan"))], 2)

    def test_moments_of_parts_combine(self):
        rows = torch.from_numpy(correlated(90, 5))
        parts = [Moments(5), Moments(5), Moments(5)]
        for part, own in zip(parts, rows.split([10, 0, 80])):
            part.update(own)
        in_step(3, lambda i, total: parts[i].combine(total))
        whole = Moments(5)
        whole.update(rows)
        for part in parts:
            assert part.count == 90
            np.testing.assert_allclose(part.scatter, whole.scatter, rtol=1e-9)
            np.testing.assert_allclose(part.mean, whole.mean, rtol=1e-12)


def in_step(n: int, call) -> None:
    """Run ``call(i, total)`` in n threads; ``total`` sums what the threads pass in the same step."""
    barrier, given_, lock = threading.Barrier(n), {}, threading.Lock()

    def total_of(i):
        def total(values):
            with lock:
                given_[i] = values.clone()
            barrier.wait()
            result = sum(given_[j] for j in range(n))
            barrier.wait()
            return result

        return total

    with ThreadPoolExecutor(n) as pool:
        for done in [pool.submit(call, i, total_of(i)) for i in range(n)]:
            done.result()


def split_one_by_one(centroids, sizes, n_rows, split, generator):
    """The split of empty clusters with one random number at a time and every step in torch."""
    sizes = sizes.astype(np.float32)
    for empty in np.flatnonzero(sizes == 0):
        if split == "released":
            spare = np.float32(n_rows - len(sizes)) if n_rows > len(sizes) else None
            chances = np.ones_like(sizes) if spare is None else (sizes - 1) / spare
            donor = 0
            while not np.float32(generator.randint(0, 2**32, dtype=np.uint32)) / np.float32(2**32 - 1) < chances[donor]:
                donor = (donor + 1) % len(sizes)
            sign = torch.ones_like(centroids[donor])
            sign[1::2] = -1
            centroids[empty] = centroids[donor] * (1 + sign / 1024)
            centroids[donor] = centroids[donor] * (1 - sign / 1024)
        else:
            donor = int(generator.choice(np.flatnonzero(sizes >= 1)))
            noise = torch.from_numpy(generator.standard_normal(centroids.shape[1])).to(centroids)
            spread = centroids[donor].norm() / centroids.shape[1] ** 0.5
            centroids[empty] = centroids[donor] + spread / 1024 * noise
        sizes[empty] = sizes[donor] / 2
        sizes[donor] -= sizes[empty]
    return centroids


class TestSplit:
    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 2**31), st.integers(1, 50), st.integers(1, 40), st.floats(0, 1), st.integers(1, 30))
    @pytest.mark.parametrize("split", ["released", "paper"])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_the_same_bits_as_one_by_one(self, split, dtype, seed, k, d, share, most):
        rng = np.random.default_rng(seed)
        sizes = rng.integers(0, most, k) * (rng.random(k) < share)
        sizes[rng.integers(k)] += max(0, k - sizes.sum())
        centroids = torch.from_numpy(rng.normal(size=(k, d))).to(dtype)
        one, other = (np.random.RandomState(seed) for _ in range(2))
        n_rows = int(sizes.sum())
        wanted = split_one_by_one(centroids.clone(), sizes, n_rows, split, one)
        assert torch.equal(_lloyd_parts.split_empty(centroids, sizes, n_rows, split, other), wanted)
        if split == "paper":  # goes on with the same generator in the next iteration
            assert one.random_sample() == other.random_sample()

    def test_the_same_bits_where_random_numbers_come_in_several_parts(self, monkeypatch):
        monkeypatch.setattr(_lloyd_parts, "_AHEAD", 7)
        sizes = np.r_[np.zeros(60, int), np.arange(1, 61)]
        centroids = torch.from_numpy(blobs(120, 5, 4))
        arguments = sizes, int(sizes.sum()), "released"
        wanted = split_one_by_one(centroids.clone(), *arguments, np.random.RandomState(1234))
        assert torch.equal(_lloyd_parts.split_empty(centroids, *arguments, np.random.RandomState(1234)), wanted)


class TestKMeans:
    def test_torch_takes_the_same_steps_as_faiss(self):
        pytest.importorskip("faiss")
        rows = blobs(600, 8, 12)
        theirs = kernels.kmeans(rows, 12, seed=3, backend="faiss")
        ours = kernels.kmeans(rows, 12, seed=3, backend="torch")
        assert np.array_equal(theirs.labels, ours.labels)
        np.testing.assert_allclose(theirs.centroids, ours.centroids, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(*zip(*zip(theirs.objective, ours.objective)), rtol=1e-4)

    def test_torch_splits_empty_clusters_as_faiss_does(self):
        pytest.importorskip("faiss")
        rows = blobs(600, 6, 6)
        start = np.concatenate(
            [rows[:4], np.full((2, 6), 1e3, np.float32), rows[4:6]]
        )  # nothing is near to two of them
        theirs = lloyd_module._kmeans_faiss(rows, start, 2, torch.device("cpu"))
        ours = lloyd(torch.from_numpy(rows), torch.from_numpy(start.copy()), 2)
        np.testing.assert_allclose(theirs.objective, ours[2], rtol=1e-3)
        assert len(np.unique(theirs.labels)) == len(start)
        assert (theirs.labels == ours[0].numpy()).mean() > 0.99
        np.testing.assert_allclose(theirs.centroids, ours[1], atol=0.02)

    def test_against_a_plain_reference(self):
        rows = blobs(300, 4, 5).astype(np.float64)
        centroids = rows[_lloyd_parts.starting_rows(300, 5, 0)].copy()
        for _ in range(7):
            labels = ((rows[:, None] - centroids) ** 2).sum(-1).argmin(1)
            centroids = np.stack([rows[labels == j].mean(0) for j in range(5)])
        found = kernels.kmeans(rows.astype(np.float32), 5, n_iter=7, seed=0)
        np.testing.assert_allclose(found.centroids, centroids, atol=1e-3)
        assert np.array_equal(found.labels, ((rows[:, None] - centroids) ** 2).sum(-1).argmin(1))

    def test_the_objective_falls(self):
        objective = kernels.kmeans(blobs(500, 8, 10), 10, seed=0).objective
        assert 2 < len(objective) <= 20 and (np.diff(objective) <= 1e-6).all()

    @pytest.mark.parametrize("split", ["released", "paper"])
    def test_empty_clusters_get_half_of_another(self, split):
        rows = torch.from_numpy(blobs(200, 6, 4))
        start = torch.cat([rows[:4], torch.full((3, 6), 1e3)])
        labels, _, _ = lloyd(rows, start.clone(), 10, split=split, seed=0)
        assert len(torch.unique(labels)) == 7

    def test_rows_spread_over_processes_give_the_same(self):
        rows = torch.from_numpy(blobs(301, 6, 8))
        start = rows[:8].clone()
        whole = lloyd(rows, start.clone(), 10)
        found = [None] * 3
        parts = rows.split([100, 1, 200])

        def part(i, total):
            found[i] = lloyd(parts[i], start.clone(), 10, total=total)

        in_step(3, part)
        assert torch.equal(torch.cat([f[0] for f in found]), whole[0])
        np.testing.assert_allclose(found[0][1], whole[1], rtol=1e-5)
        np.testing.assert_allclose(found[2][2], whole[2], rtol=1e-6)

    def test_as_many_clusters_as_rows(self):
        rows = blobs(9, 3, 3)
        assert len(np.unique(kernels.kmeans(rows, 9, backend="torch").labels)) == 9
        kernels.kmeans(np.zeros((9, 3), np.float32), 9, backend="torch")  # ends, though no cluster has a row to spare

    def test_blocks_change_nothing(self, monkeypatch):
        rows, centroids = torch.from_numpy(blobs(100, 5, 4)), torch.from_numpy(blobs(7, 5, 4))
        whole = assign(rows, centroids)
        monkeypatch.setattr(lloyd_module, "_BLOCK", 70)
        assert torch.equal(assign(rows, centroids)[0], whole[0])
        wanted = torch.cdist(rows.double(), centroids.double()) ** 2
        np.testing.assert_allclose(whole[1], wanted.min(1).values, rtol=1e-4, atol=1e-4)

    def test_bad_input(self):
        rows = blobs(10, 3, 2)
        with pytest.raises(ValueError, match="more than the 10 samples"):
            kernels.kmeans(rows, 11)
        with pytest.raises(UsageError, match="split must be"):
            kernels.kmeans(rows, 2, split="half")
        with pytest.raises(UsageError, match="backend must be"):
            kernels.kmeans(rows, 2, backend="abacus")
        with pytest.raises(UsageError, match="its own way"):
            kernels.kmeans(rows, 2, split="paper", backend="faiss")
        with pytest.raises(UsageError, match="NaN"):
            kernels.kmeans(np.full((4, 2), np.nan, np.float32), 2)


def zipf_labels(n: int, k: int, seed: int) -> np.ndarray:
    weights = 1 / np.arange(1, k + 1)
    return np.random.default_rng(seed).choice(k, n, p=weights / weights.sum())


class TestSampling:
    @settings(max_examples=20, deadline=None)
    @given(st.integers(0, 2**31), st.integers(20, 400), st.integers(1, 10), st.sampled_from(["uniform", "released"]))
    def test_every_image_comes_with_its_own_label(self, seed, n, k, sampler):
        labels = zipf_labels(n, k, seed)
        labels[::7] = -1
        drawn = draw_epoch(labels, np.random.default_rng(seed), sampler)
        assert len(drawn.images) == (labels >= 0).sum()
        assert np.array_equal(labels[drawn.images], drawn.targets) and (drawn.targets >= 0).all()

    def test_uniform_is_uniform_and_released_is_not(self):
        labels = zipf_labels(20000, 10, 0)
        natural = largest_share(labels)
        shares = {
            s: largest_share(draw_epoch(labels, np.random.default_rng(0), s).targets) for s in ("uniform", "released")
        }
        assert natural > 3
        assert shares["uniform"] < 1.05
        assert abs(shares["released"] - natural) < 0.1 * natural

    def test_permuting_the_clusters_changes_no_share(self):
        labels = zipf_labels(3000, 8, 1)
        permuted = np.random.default_rng(0).permutation(8)[labels]
        assert metrics.nmi(labels, permuted, average="geometric") == pytest.approx(1)
        for sampler in ("uniform", "released"):
            counts = [
                np.sort(np.bincount(draw_epoch(x, np.random.default_rng(2), sampler).targets))
                for x in (labels, permuted)
            ]
            np.testing.assert_allclose(counts[0], counts[1], rtol=0.2, atol=25)

    def test_small_clusters_repeat_and_large_ones_do_not(self):
        labels = np.array([0] * 90 + [1] * 10)
        drawn = draw_epoch(labels, np.random.default_rng(0))
        large = drawn.images[drawn.targets == 0]
        assert len(np.unique(large)) == len(large)
        assert abs((drawn.targets == 0).mean() - 0.5) < 0.02

    def test_empty_clusters_are_skipped(self):
        drawn = draw_epoch(np.array([5, 5, 9, 9]), np.random.default_rng(0))
        assert set(drawn.targets) == {5, 9}

    def test_bad_input(self):
        with pytest.raises(UsageError, match="no image"):
            draw_epoch(np.array([-1, -1]), np.random.default_rng(0))
        with pytest.raises(UsageError, match="sampler must be"):
            draw_epoch(np.array([0, 1]), np.random.default_rng(0), "natural")


def reference_pic(rows: np.ndarray, k: int, sigma: float, alpha: float, n_iter: int) -> np.ndarray:
    """Dense, one step at a time."""
    n = len(rows)
    squared = ((rows[:, None] - rows[None]) ** 2).sum(-1)
    near = np.argsort(squared + np.diag(np.full(n, np.inf)), axis=1, kind="stable")[:, :k]
    w = np.zeros((n, n))
    for i in range(n):
        w[i, near[i]] = np.exp(-squared[i, near[i]] / sigma**2)
    w = w + w.T
    v = np.full(n, 1 / n)
    for _ in range(n_iter):
        v = alpha * w @ v + (1 - alpha) / n
        v /= v.sum()
    ends = []
    for i in range(n):
        while True:
            ascent = w[i] * (v - v[i])
            if ascent.max() <= 0:
                break
            i = int(ascent.argmax())
        ends.append(i)
    found = np.array(ends)
    for i in range(n):
        if (np.array(ends) == ends[i]).sum() == 1:
            several = [j for j in near[i] if (np.array(ends) == ends[j]).sum() > 1]
            found[i] = ends[several[0]] if several else ends[i]
    return np.unique(found, return_inverse=True)[1]


class TestPowerIteration:
    @pytest.mark.parametrize("seed", range(4))
    def test_against_a_plain_reference(self, seed):
        rows = blobs(120, 3, 5, seed).astype(np.float64) / 10
        found = kernels.power_iteration_clusters(rows.astype(np.float32), n_iter=50)
        wanted = reference_pic(rows.astype(np.float32).astype(np.float64), 5, 0.2, 0.001, 50)
        assert metrics.nmi(wanted, found, average="geometric") > 0.999

    def test_it_finds_well_separated_groups_whole(self):
        rng = np.random.default_rng(0)
        truth = np.repeat(np.arange(4), 30)
        rows = (np.eye(4)[truth] * 5 + rng.normal(scale=0.05, size=(120, 4))).astype(np.float32)
        found = kernels.power_iteration_clusters(rows)
        assert all(len(np.unique(truth[found == c])) == 1 for c in np.unique(found))
        assert np.array_equal(np.unique(found), np.arange(found.max() + 1))

    def test_too_few_rows(self):
        with pytest.raises(UsageError, match="need more than 5 rows"):
            kernels.power_iteration_clusters(np.zeros((5, 2), np.float32))
