"""Whole fits of JULE: seconds by part, peak memory and NMI, beside the times that it may take.

    python benchmarks/jule_fit.py                         # USPS and MNIST-test at the paper's settings: minutes
    python benchmarks/jule_fit.py --memory                # all of MNIST, one epoch a period: for its memory only
    python benchmarks/jule_fit.py --quick                 # digits, one epoch a period: whether it runs

Run it with nothing else on the machine. Each fit is a process of its own on all cores. Prints a table and writes
``jule-fit.json`` to ``_build/bench`` (``--folder book/benchmarks`` for the page).
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from clustlib.timings import Bar, Timing

NOTE = (
    "From images in memory to the labels of both read-outs, seed 0, the settings of the tables, in a process of its "
    "own with all cores and nothing else running. *Training* is the epochs of the backward passes, *features* the "
    "passes over all images, *graph* the neighbours, *merging* the forward passes. Peak memory is that of the whole "
    "process, PyTorch and the images included. NMI is RC's. A row with one epoch a period shows the memory that all "
    "70,000 images take, and nothing else."
)
MINUTES = {"usps": 1, "mnist-test": 4}
MOST_GB = 3.0


def timed(images: Any, device: str, **chosen: Any) -> tuple[Any, float, dict[str, float]]:
    """A fit on images in memory: the model, its seconds, and those of its parts."""
    from clustlib import JULE
    from clustlib.jule.runs.clustering import PARTS

    started = time.perf_counter()
    model = JULE(images.n_classes, random_state=0, device=device, **chosen).fit(images.images)
    spent = time.perf_counter() - started
    return model, spent, {part: sum(line.get(f"{part}_seconds", 0.0) for line in model.history_) for part in PARTS}


def fit(dataset: str, precision: str, epochs: int) -> dict[str, Any]:
    """One fit in this process: a row of the table."""
    from clustlib import datasets, metrics
    from clustlib.jule.runs.clustering import settings

    images = datasets.load(dataset)
    chosen = settings(dataset, epochs=epochs) | {"precision": precision, "network": {"features": 160}}
    model, spent, parts = timed(images, "cpu", **chosen)
    titles = ("training", "features", "graph", "merging")
    return {
        "data set": dataset,
        "images": len(images),
        "epochs a period": epochs,
        "precision": precision,
        "seconds": round(spent, 1),
        **{f"{title} (s)": round(seconds, 1) for title, seconds in zip(titles, parts.values(), strict=True)},
        "peak memory (GB)": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "NMI": round(float(metrics.nmi(images.labels, model.labels_rc_, average="geometric")), 3),
    }


def in_a_process(dataset: str, precision: str, epochs: int) -> dict[str, Any]:
    """:func:`fit` in a fresh interpreter, whose memory is its own."""
    call = [sys.executable, __file__, "--fit", dataset, precision, str(epochs)]
    found = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True, encoding="utf-8").stdout
    return json.loads(found.splitlines()[-1])


def bars_of(row: dict[str, Any]) -> list[Bar]:
    """The limits that a row can be held to: time where the fit is a whole one, memory where the set is all of MNIST."""
    work = f"JULE on {row['data set']}, {row['images']:,} images"
    found = []
    if row["epochs a period"] == 20 and row["data set"] in MINUTES:
        found.append(Bar(work, "from images to labels", "s", 60.0 * MINUTES[row["data set"]], row["seconds"]))
    if row["data set"] == "mnist":
        found.append(Bar(work, "peak memory", "GB", MOST_GB, row["peak memory (GB)"]))
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--datasets", nargs="*", default=list(MINUTES))
    options.add_argument("--precision", default="bfloat16", choices=["float32", "bfloat16"])
    options.add_argument("--memory", action="store_true", help="all of MNIST too, one epoch a period")
    options.add_argument("--quick", action="store_true", help="digits only, one epoch a period")
    options.add_argument("--folder", type=Path, help="where the JSON goes; default _build/bench")
    options.add_argument("--fit", nargs=3, metavar=("DATASET", "PRECISION", "EPOCHS"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.fit:
        print(json.dumps(fit(given.fit[0], given.fit[1], int(given.fit[2]))))
        return
    plan = [(name, 20) for name in given.datasets] + ([("mnist", 1)] if given.memory else [])
    rows, bars = [], []
    for dataset, epochs in [("digits", 1)] if given.quick else plan:
        rows.append(in_a_process(dataset, given.precision, epochs))
        bars += bars_of(rows[-1])
        print(", ".join(f"{key}: {value}" for key, value in rows[-1].items()), flush=True)
    for bar in bars:
        verdict = "held" if bar.held else "MISSED"
        print(f"{bar.work}, {bar.quantity}: {bar.measured} {bar.unit}, at most {bar.limit:g}: {verdict}")
    print(Timing("jule-fit", "Whole fits of JULE", NOTE, rows, bars).save(given.folder))


if __name__ == "__main__":
    main()
