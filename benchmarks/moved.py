"""How much of a tree's NMI hangs on nothing: exact trees of points moved a little, beside approximate neighbours.

    python benchmarks/moved.py                      # 300,000 points: four trees, 15 minutes on two cores
    python benchmarks/moved.py --points 20000       # whether it runs

The points are those of ``million.py``. Nothing here is a time, so other work on the machine does no harm. Prints a
table and writes ``moved.json`` to ``_build/bench`` (``--folder book/benchmarks`` for the page).
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from million import CUTS, DIMENSIONS, points

from clustlib.timings import Timing

NOTE = (
    "NMI with the ten digits of graph degree linkage on the points of *Graph linkage of a million points*, cut at 10, "
    "100, ... clusters. *Moved* are exact neighbours of points that each took a random step of a thousandth of their "
    "length, so that the tree of one and the same set is seen twice more. *Apart* is the largest difference from the "
    "exact tree over the cuts: what approximate neighbours cost can be told no finer than what such a step does."
)
STEP = 1e-3  # of a point's length, which is 1


def moved(X: np.ndarray, seed: int) -> np.ndarray:
    """Unit rows, each a step of length ``STEP`` in expectation away from its own."""
    steps = np.random.default_rng(seed).normal(scale=STEP / DIMENSIONS**0.5, size=X.shape)
    rows = X + steps
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def row(name: str, X: np.ndarray, y: np.ndarray, method: Any = "exact") -> dict[str, Any]:
    """One tree: recall of its neighbours and NMI at every cut."""
    from clustlib.cluster import GraphLinkage
    from clustlib.metrics import nmi

    model = GraphLinkage(10, neighbor_method=method).fit(X)
    scores = {f"NMI at {k:,}": nmi(y, model.labels_at(k), average="geometric") for k in CUTS if k <= model.n_leaves_}
    return {"neighbours": name, "recall": float(model.history_[0]["recall"]), **scores}


def trees(n: int, seeds: int) -> list[dict[str, Any]]:
    """The exact tree, the approximate one and those of moved points, each with how far it is from the first."""
    X, y = points(n)
    rows = [row("exact", X, y)]
    todo = [("approximate", X, "approximate")]
    todo += [(f"moved, seed {seed}", moved(X, seed), "exact") for seed in range(seeds)]
    for name, rows_of, method in todo:
        found = row(name, rows_of, y, method)
        apart = max(abs(found[key] - rows[0][key]) for key in found if key.startswith("NMI"))
        rows.append({**found, "apart": apart})
    return rows


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--points", type=int, default=300_000)
    options.add_argument("--seeds", type=int, default=2, help="how often the points are moved")
    options.add_argument("--folder", type=Path, help="where the JSON goes; default _build/bench")
    given = options.parse_args()
    rows = trees(given.points, given.seeds)
    for found in rows:
        print(", ".join(f"{k}: {v:.4f}" if isinstance(v, float) else f"{k}: {v}" for k, v in found.items()))
    title = f"How far apart trees of {given.points:,} points are"
    print(Timing("moved", title, NOTE, rows).save(given.folder))


if __name__ == "__main__":
    main()
