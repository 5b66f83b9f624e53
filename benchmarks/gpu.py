"""The GPU in one command: tests, the machine's limits, every kernel beside plain PyTorch and its peer.

    python benchmarks/gpu.py                       # needs CUDA; without it, says so and writes nothing
    python benchmarks/gpu.py --small --device cpu  # the same code under Triton's interpreter: no times worth keeping
    python benchmarks/gpu.py --only k-means neighbours

Writes ``gpu.json`` to ``_build/bench`` (``--folder book/benchmarks`` for the page). Needs torch, triton and
scikit-learn only; DBC and JULE as a whole need numba and MNIST beside them, and are left out without. A time is the
median of repeated runs between device events, after a warm-up; the *limit* is the larger of the operations over the
rate of the matrix product, and the bytes over the bandwidth of a copy, both measured first.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from clustlib.errors import DataMissing
from clustlib.timings import Bar, Timing

NOTE = (
    "Medians between device events, after a warm-up, on random data. The limit of a kernel is the larger of two times: "
    "its operations over the rate of a large matrix product in the same precision, and the bytes it must move "
    "over the bandwidth of a device-to-device copy; both were measured in the same run. *Of limit* is the limit over "
    "the time."
)


@dataclass
class Machine:
    """The device and its measured limits: bytes per second, and operations per second by precision."""

    device: torch.device
    small: bool
    bandwidth: float = 1.0
    rate: dict[str, float] = field(default_factory=dict)

    def seconds(self, work: Callable[[], Any]) -> float:
        """The median time of ``work``."""
        if self.device.type != "cuda":
            started = time.perf_counter()
            work()
            return time.perf_counter() - started
        if self._once(work) < 1:  # else it is warm, and costly
            self._once(work)
            self._once(work)
        spent: list[float] = []
        while len(spent) < 20 and (len(spent) < 3 or sum(spent) < 2):
            spent.append(self._once(work))
        return statistics.median(spent)

    @staticmethod
    def _once(work: Callable[[], Any]) -> float:
        before, after = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        before.record()
        work()
        after.record()
        after.synchronize()
        return before.elapsed_time(after) / 1000

    def random(self, *shape: int) -> torch.Tensor:
        """Standard normal float32 numbers on the device."""
        return torch.randn(*shape, device=self.device)

    def limit(self, operations: float, moved: float, precision: str) -> float:
        """The seconds that no version can beat."""
        return max(operations / self.rate[precision], moved / self.bandwidth)


def measure_limits(machine: Machine) -> None:
    """Fill in the bandwidth of a copy and the rate of a matrix product in each precision."""
    n = 1 << (12 if machine.small else 30)
    a = torch.empty(n // 4, device=machine.device).normal_()
    b = torch.empty_like(a)
    machine.bandwidth = 2 * a.nbytes / machine.seconds(lambda: b.copy_(a))
    side = 64 if machine.small else 8192
    x, y = machine.random(side, side), machine.random(side, side)
    for precision in ("float32", "tf32", "bfloat16"):
        p, q = (x.bfloat16(), y.bfloat16()) if precision == "bfloat16" else (x, y)
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        machine.rate[precision] = 2 * side**3 / machine.seconds(lambda p=p, q=q: p @ q)  # type: ignore[misc]
    torch.backends.cuda.matmul.allow_tf32 = False


Row = dict[str, Any]


def row(machine: Machine, kernel: str, seconds: float, limit: float, **more: Any) -> Row:
    """One measurement; ``plain`` and ``peer`` are seconds of the other ways."""
    found: Row = {"kernel": kernel, "ms": 1e3 * seconds, "limit (ms)": 1e3 * limit, "of limit": limit / seconds}
    for name in ("plain", "peer"):
        if name in more:
            other = more.pop(name)
            found |= {f"{name} (ms)": 1e3 * other, f"{name} over ours": other / seconds}
    return found | more


def k_means(machine: Machine) -> Iterator[Row | Bar]:
    """DeepCluster's step: 1,281,167 points of 256 dimensions, 10,000 centres."""
    from clustlib.kernels.cuda.cluster_sums import cluster_sums
    from clustlib.kernels.cuda.lloyd import kmeans
    from clustlib.kernels.cuda.nearest_centre import nearest_centre

    n, dim, k = (300, 32, 20) if machine.small else (1_281_167, 256, 10_000)
    points, centres = machine.random(n, dim), machine.random(k, dim)
    labels, _ = nearest_centre(points, centres)

    def plain(precision: str) -> None:
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        p, c = (points.bfloat16(), centres.bfloat16()) if precision == "bfloat16" else (points, centres)
        half = centres.square().sum(1).to(p.dtype) / 2
        for block in p.split(16384):
            torch.addmm(half, block, c.T, alpha=-1).argmin(1)
        torch.backends.cuda.matmul.allow_tf32 = False

    for precision in ("float32", "tf32", "bfloat16"):
        ours = machine.seconds(partial(nearest_centre, points, centres, precision))
        limit = machine.limit(2.0 * n * k * dim, points.nbytes + 8 * n, precision)
        other = machine.seconds(partial(plain, precision))
        yield row(machine, f"nearest centre, {precision}", ours, limit, plain=other)
        if precision == "bfloat16":
            share = limit / ours
            yield Bar("k-means assignment, bfloat16", "share of the product's limit", "", 0.6, share, at_least=True)
    sums = torch.zeros(k, dim, device=machine.device)
    ours = machine.seconds(lambda: cluster_sums(points, labels, k))
    other = machine.seconds(lambda: sums.zero_().index_add_(0, labels, points))
    yield row(machine, "cluster sums", ours, (points.nbytes + 8 * n) / machine.bandwidth, plain=other)
    # far from most points, random centres leave thousands of clusters empty
    for precision, start in (("float32", None), ("bfloat16", None), ("bfloat16", centres)):
        options: dict[str, Any] = {"n_iter": 2, "start": start, "precision": precision}
        whole = machine.seconds(lambda options=options: kmeans(points, k, **options))  # type: ignore[misc]
        # three assignments, of which the last only labels, and two updates
        limit = machine.limit(6.0 * n * k * dim, 5.0 * points.nbytes, precision)
        name = f"k-means, two iterations and the labels, {precision}"
        yield row(machine, name if start is None else f"{name}, empty clusters", whole, limit)
    yield from flash(machine, points, centres)


def flash(machine: Machine, points: torch.Tensor, centres: torch.Tensor) -> Iterator[Row | Bar]:
    """flash-kmeans' assignment in half precision, where it is installed."""
    try:
        from flash_kmeans.assign_euclid_triton import euclid_assign_triton
    except ImportError:
        return
    from clustlib.kernels.cuda.nearest_centre import nearest_centre

    p, c = points.bfloat16(), centres.bfloat16()
    norm2 = (p.float() ** 2).sum(1)[None]
    ours = machine.seconds(lambda: nearest_centre(p, c, "bfloat16"))
    theirs = machine.seconds(lambda: euclid_assign_triton(p[None], c[None], norm2))
    yield Bar("k-means assignment, bfloat16", "flash-kmeans over ours", "times", 1.0, theirs / ours, at_least=True)


def neighbours(machine: Machine) -> Iterator[Row | Bar]:
    """The exact graph of 20 neighbours of 70,000 images of 784 pixels."""
    from clustlib.kernels.torch_neighbours import affinities, nearest_neighbours

    n, dim, k = (200, 16, 5) if machine.small else (70_000, 784, 20)
    points = machine.random(n, dim)

    def plain() -> None:
        norms = points.square().sum(1)
        for block in points.split(2048):
            torch.addmm(norms, block, points.T, alpha=-2).topk(k + 1, largest=False)

    ours = machine.seconds(lambda: nearest_neighbours(points, k))
    limit = machine.limit(2.0 * n * n * dim, points.nbytes + 8.0 * n * k, "float32")
    yield row(machine, "exact neighbours", ours, limit, plain=machine.seconds(plain))
    graph = machine.seconds(lambda: affinities(points, k, 1.0, "published"))
    yield row(machine, "affinity graph", graph, limit)
    yield Bar("exact graph of 20 neighbours, 70,000 x 784", "features to affinities", "s", 0.5, graph)


def soft_assignment(machine: Machine) -> Iterator[Row | Bar]:
    """DBC's pair over all of MNIST's codes: 70,000 x 120, ten clusters."""
    from clustlib.kernels import soft_assignment as plain
    from clustlib.kernels.cuda import soft_assignment as fused

    n, dim, k = (200, 24, 5) if machine.small else (70_000, 120, 10)
    codes, centres = machine.random(n, dim), machine.random(k, dim)
    target = torch.softmax(machine.random(n, k), 1)

    def pair(scores: Callable, gradients: Callable) -> None:
        found, u = scores(codes, centres, 1.0)
        gradients(codes, centres, found, u, target, 1.0)

    ours = machine.seconds(partial(pair, fused.scores, fused.gradients))
    other = machine.seconds(partial(pair, plain.plain_scores, plain.plain_gradients))
    # forward reads the codes and writes S and u; backward reads all of these and the target and writes the gradient
    limit = (3.0 * codes.nbytes + 5.0 * target.nbytes) / machine.bandwidth
    yield row(machine, "soft assignment and gradients", ours, limit, plain=other)
    yield Bar("soft assignment and gradients", "time over that of its bytes", "times", 1.5, ours / limit)


def gsnmf(machine: Machine) -> Iterator[Row | Bar]:
    """One update of both factors, 5,994 x 4,096 with 1,024 components, beside its six products."""
    from clustlib.kernels import Penalty, gsnmf_update
    from clustlib.kernels.cuda.scaled_coefficients import scale_coefficients

    n, dim, k = (60, 40, 8) if machine.small else (5_994, 4_096, 1_024)
    x, h, w = (machine.random(*shape).abs() for shape in ((n, dim), (n, k), (k, dim)))

    def products() -> None:
        x @ w.T
        h @ (w @ w.T)
        (h.T @ h) @ w
        h.T @ x

    ours = machine.seconds(lambda: gsnmf_update(x, h, w, Penalty(0.1, 0.1)))
    bare = machine.seconds(products)
    yield row(machine, "GSNMF update", ours, bare)
    above, below = x @ w.T, h @ (w @ w.T)

    def passes() -> None:
        terms = torch.add(below, above, alpha=-2).add_(0.2).mul_(h)
        float(terms.sum(dtype=torch.float64))
        h.mul_(above).div_(torch.add(below, 0.1, out=terms).clamp_min_(1e-12))

    fused = machine.seconds(lambda: scale_coefficients(h, above, below, 0.1, 1e-12))
    other = machine.seconds(passes)
    yield row(machine, "what surrounds the products", fused, 4.0 * h.nbytes / machine.bandwidth, plain=other)
    yield Bar("GSNMF update, 5,994 x 4,096, L = 1,024", "time over that of its products", "times", 1.2, ours / bare)


def triplets(machine: Machine) -> Iterator[Row | Bar]:
    """The triplets of a batch of 100 images of ten clusters."""
    from clustlib.kernels import sample_triplets

    labels = torch.randint(10, (100,), device=machine.device)
    generator = torch.Generator(machine.device).manual_seed(0)
    ours = machine.seconds(lambda: sample_triplets(labels, generator=generator))
    yield row(machine, "triplets of a batch", ours, 100 * 8 / machine.bandwidth)


def dbc(machine: Machine) -> Iterator[Row | Bar]:
    """DBC on all of MNIST, both stages, from images to labels."""
    from clustlib import DBC, FCAEFeatures, metrics
    from clustlib.dbc.runs.clustering import decay_over, recipe

    images = _images("digits" if machine.small else "mnist")
    chosen = recipe("digits", 1, 1) if machine.small else recipe("mnist")
    shared: dict[str, Any] = {"random_state": 0, "device": str(machine.device)}
    started = time.perf_counter()
    features = FCAEFeatures(epochs=chosen.pretrain_epochs, whiten=chosen.whiten, **shared).fit(images.images)
    between = time.perf_counter()
    length: dict[str, Any] = {"epochs": chosen.epochs, "decay": decay_over(chosen.epochs)}
    model = DBC(images.n_classes, features=features, **length, **shared).fit(images.images)
    ended = time.perf_counter()
    print(
        f"DBC: stage I {between - started:.1f} s, stage II {ended - between:.1f} s in {len(model.history_) - 1} epochs"
    )
    yield Bar("DBC on MNIST, 70,000 images", "both stages", "s", 60, ended - started)
    reached = float(metrics.accuracy(images.labels, model.labels_))
    yield Bar("DBC on MNIST, 70,000 images", "accuracy", "", 0.95, reached, at_least=True)


def jule(machine: Machine) -> Iterator[Row | Bar]:
    """JULE on MNIST-test, from images to labels."""
    from jule_fit import timed

    from clustlib import metrics
    from clustlib.jule.runs.clustering import settings

    name = "digits" if machine.small else "mnist-test"
    images = _images(name)
    model, spent, parts = timed(images, str(machine.device), **settings(name, epochs=1 if machine.small else 20))
    print("JULE:", ", ".join(f"{part} {seconds:.1f} s" for part, seconds in parts.items()))
    yield Bar("JULE on MNIST-test", "from images to labels", "s", 30, spent)
    reached = float(metrics.nmi(images.labels, model.labels_rc_, average="geometric"))
    yield Bar("JULE on MNIST-test", "NMI of RC", "", 0.905, reached, at_least=True)


def _images(name: str) -> Any:
    """A data set, read before the clock starts."""
    from clustlib import datasets

    images = datasets.load(name)
    print(f"{name}: {images.images.shape}")
    return images


KERNELS: dict[str, Callable[[Machine], Iterator[Row | Bar]]] = {
    "k-means": k_means,
    "neighbours": neighbours,
    "soft assignment": soft_assignment,
    "GSNMF": gsnmf,
    "triplets": triplets,
    "DBC": dbc,
    "JULE": jule,
}


def tests_pass() -> bool:
    """Whether ``tests/gpu`` pass; where there is no pytest, that is said and nothing is held against the timings."""
    if find_spec("pytest") is None:
        print("tests/gpu are left out: no pytest here")
        return True
    return subprocess.run([sys.executable, "-m", "pytest", "-q", "tests/gpu"], check=False).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(KERNELS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny inputs: whether it runs, not how fast")
    parser.add_argument("--no-tests", action="store_true", help="do not run tests/gpu first")
    parser.add_argument("--folder", type=Path, help="where the JSON goes; default _build/bench")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device here: nothing was timed")
        return 0
    if arguments.device == "cpu":
        os.environ["TRITON_INTERPRET"] = "1"
    if not arguments.no_tests and not tests_pass():
        return 1
    machine = Machine(torch.device(arguments.device), arguments.small)
    measure_limits(machine)
    print(
        f"copy {machine.bandwidth / 1e9:.0f} GB/s;", *(f"{p} {r / 1e12:.1f} TFLOP/s" for p, r in machine.rate.items())
    )
    rows: list[dict[str, Any]] = []
    bars: list[Bar] = []
    for name in arguments.only or KERNELS:
        try:
            for found in KERNELS[name](machine):
                if isinstance(found, Bar):
                    bars.append(found)
                else:
                    rows.append(found)
                print(found, flush=True)
        except (DataMissing, ImportError) as missing:
            print(f"{name} is left out: {missing}", flush=True)
    print(Timing("gpu", "The kernels on a GPU", NOTE, rows, bars).save(arguments.folder))
    return int(not all(bar.held for bar in bars))


if __name__ == "__main__":
    sys.exit(main())
