"""Seconds and memory of GSNMF's updates at the FCN paper's size, beside their matrix products alone and scikit-learn.

    python benchmarks/gsnmf.py                     # 5,994 x 4,096, L = 1,024, 100 updates
    python benchmarks/gsnmf.py --updates 10        # the ratios with less patience
    python benchmarks/gsnmf.py --size 1500 1280 256 --updates 20

Prints a table and writes ``gsnmf.json`` to ``_build/bench`` (``--folder book/benchmarks`` for the page). The contenders
take turns, a few updates each, so that what else the machine does falls on all of them alike; the ratios are of the
sums. ``--clock cpu`` counts the processor's seconds instead of the wall's: with OMP_NUM_THREADS=1 that is fair on a
machine that is not idle. Peak memory is measured in a process of its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from clustlib.timings import Bar, Timing

SIZE = (5994, 4096, 1024)
NOTE = (
    "Updates of both factors, Eq. (6), of a random X of the size of Birds-200's training split under VGG's fc7. The "
    "contenders take turns, a few updates at a time. Peak memory is what a process holds beyond X, W and H."
)


def problem(size: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """X, H, W float32: sparse non-negative rows of unit length and a random start."""
    N, M, L = size
    random = np.random.default_rng(0)
    X = random.random((N, M), np.float32)
    for row in X:  # one at a time: the peak of memory is the update's
        row *= random.random(M, np.float32) < 0.2
        row /= max(float(np.linalg.norm(row)), 1e-6)
    H, W = random.random((N, L), np.float32), random.random((L, M), np.float32)
    return X, H, W / np.linalg.norm(W, axis=1, keepdims=True)


def updates(size: tuple[int, int, int], products: str) -> Callable[[int], None]:
    from clustlib.kernels.gsnmf import Penalty, gsnmf_update

    X, H, W = problem(size)

    def run(n: int) -> None:
        for _ in range(n):
            gsnmf_update(X, H, W, Penalty(0.05, 0.02), products=products)

    return run


def products_alone(size: tuple[int, int, int]) -> Callable[[int], None]:
    """The six products, each in one call, into memory that is there already."""
    import torch

    X, H, W = (torch.from_numpy(a) for a in problem(size))
    (N, L), M = H.shape, X.shape[1]
    XW, HG, HX = torch.empty(N, L), torch.empty(N, L), torch.empty(L, M)
    G, HH, D = torch.empty(L, L), torch.empty(L, L), torch.empty(L, M)

    def run(n: int) -> None:
        for _ in range(n):
            torch.mm(W, W.T, out=G)
            torch.mm(X, W.T, out=XW)
            torch.mm(H, G, out=HG)
            torch.mm(H.T, X, out=HX)
            torch.mm(H.T, H, out=HH)
            torch.mm(HH, W, out=D)

    return run


def scikit_learn(size: tuple[int, int, int]) -> Callable[[int], None]:
    """``NMF(solver="mu")`` at the same penalties, going on from where the last call ended."""
    import warnings

    from sklearn.decomposition import NMF

    X, H, W = problem(size)
    total = 0.07

    def run(n: int) -> None:
        model = NMF(
            len(W),
            solver="mu",
            init="custom",
            alpha_W=total / X.shape[1],
            alpha_H=0.0,
            l1_ratio=0.05 / total,
            max_iter=n,
            tol=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            H[:] = model.fit_transform(X, W=H, H=W)
        W[:] = model.components_

    return run


def peak_memory(size: tuple[int, int, int], products: str) -> float:
    """GB that three updates take beyond X, H and W, in this process."""
    run = updates(size, products)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(3)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) * 1024 / 1e9


def in_own_process(size: tuple[int, int, int], products: str) -> float:
    """:func:`peak_memory` in a fresh interpreter."""
    command = [sys.executable, __file__, "--memory-of", products, "--size", *map(str, size)]
    return float(
        json.loads(subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8").stdout)
    )


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def take_turns(
    contenders: dict[str, Callable[[int], None]], total: int, turn: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Seconds of ``total`` updates of each, ``turn`` at a time, after one that is not counted."""
    seconds = dict.fromkeys(contenders, 0.0)
    for run in contenders.values():
        run(1)
    for _ in range(-(-total // turn)):
        for name, run in contenders.items():
            started = clock()
            run(turn)
            seconds[name] += clock() - started
    return seconds


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--size", type=int, nargs=3, default=SIZE, metavar=("N", "M", "L"))
    options.add_argument("--updates", type=int, default=100)
    options.add_argument("--turn", type=int, default=5, help="updates before the next contender's turn")
    options.add_argument("--clock", choices=CLOCKS, default="wall")
    options.add_argument("--folder", type=Path)
    options.add_argument("--memory-of", help=argparse.SUPPRESS)
    given = options.parse_args()
    size = tuple(given.size)
    if given.memory_of:
        print(peak_memory(size, given.memory_of))
        return
    contenders = {
        "products alone": products_alone(size),
        "float32": updates(size, "float32"),
        "bfloat16 products": updates(size, "bfloat16"),
        "scikit-learn": scikit_learn(size),
    }
    seconds = take_turns(contenders, given.updates, given.turn, CLOCKS[given.clock])
    memory = {products: in_own_process(size, products) for products in ("float32", "bfloat16")}
    X_size = 4 * size[0] * size[1] / 1e9
    rows = [
        {
            "what": name,
            "updates": given.updates,
            f"seconds ({given.clock})": s,
            "over the products": s / seconds["products alone"],
        }
        for name, s in seconds.items()
    ]
    for row, products in zip(rows[1:3], memory):
        row["GB beyond X, W, H"] = memory[products]
    work = f"{given.updates} updates, {size[0]:,} x {size[1]:,}, L = {size[2]:,}"
    bars = [
        Bar(work, "float32 over its products", "times", 1.15, seconds["float32"] / seconds["products alone"]),
        Bar(work, "float32 over scikit-learn", "times", 1.0, seconds["float32"] / seconds["scikit-learn"]),
        Bar(
            work,
            "scikit-learn over bfloat16 products",
            "times",
            2.5,
            seconds["scikit-learn"] / seconds["bfloat16 products"],
            at_least=True,
        ),
        Bar(work, "memory beyond X, W, H, of X", "times", 1.0, memory["float32"] / X_size),
    ]
    for row in rows:
        print(
            "  ".join(f"{name}: {value:.3g}" if isinstance(value, float) else f"{value}" for name, value in row.items())
        )
    for bar in bars:
        print(f"{'held  ' if bar.held else 'MISSED'} {bar.quantity}: {bar.measured:.3f} (bar {bar.limit:g})")
    print(Timing("gsnmf", "Group-sparse NMF", NOTE, rows, bars).save(given.folder))


if __name__ == "__main__":
    main()
