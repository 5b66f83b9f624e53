"""What JULE is set to, beside what the paper prints; and where the time of its fits went."""

import inspect
from typing import TYPE_CHECKING

import pandas as pd

from clustlib.jule.rows import UNROLLING
from clustlib.records.runs import constant_cells

if TYPE_CHECKING:
    from clustlib.records import Runs

# letters of Table 2 and the estimator's arguments
_LETTERS = {"K_s": "n_neighbors", "a": "a", "K_c": "k_c", "lambda": "weight", "gamma": "gamma"}
_SIZES = {
    "coil-20": (128, 128), "coil-100": (128, 128), "usps-11000": (16, 16), "mnist-test": (28, 28), "mnist": (28, 28),
    "umist-112x92": (112, 92), "frgc": (32, 32), "cmu-pie": (32, 32), "ytf": (55, 55),
}  # fmt: skip
_UNSAID = {
    "margin": "margin of the loss; Eq. (11) has none",
    "negatives": "where negatives come from",
    "n_negatives": "negatives of a pair, at most",
    "epochs": 'epochs a period; "about 20"',
    "batch_size": "images a batch",
    "init": "first weights: N(0, 0.01^2)",
    "isolated": "a cluster without affinity to any other joins",
    "small": "clusters of a handful of images join the nearest, after every period",
    "train_first": "train on the initial clusters before the first merge",
    "train_last": "train on the final clusters too",
    "reset_rate": "learning rate begins anew in each period",
    "statistics": "batch normalisation when features are extracted",
}


def _defaults() -> dict[str, object]:
    from clustlib.jule.estimator import JULE

    return {name: parameter.default for name, parameter in inspect.signature(JULE).parameters.items()}


def _cells(rows: list[tuple[str, str, float]]) -> pd.DataFrame:
    """Rows (data set, metric, value) as ``published.compare`` takes them."""
    return constant_cells((name, "JULE", metric, value) for name, metric, value in rows)


def hyperparameters() -> pd.DataFrame:
    """Table 2 as our runs have it, in cells: the estimator's defaults, and eta by kind of data set."""
    defaults = _defaults()
    rows = [("all", letter, float(defaults[name])) for letter, name in _LETTERS.items()]  # type: ignore[arg-type]
    eta = [("digits and objects", UNROLLING.get("mnist", 0.9)), ("faces", UNROLLING["cmu-pie"])]
    return _cells([*rows, *((kind, "eta", value) for kind, value in eta)])


def unsaid() -> pd.DataFrame:
    """The estimator's defaults where the paper is silent. Columns: argument, default, meaning."""
    defaults = _defaults()
    rows = [(name, str(defaults[name]), meaning) for name, meaning in _UNSAID.items()]
    return pd.DataFrame(rows, columns=["argument", "default", "meaning"])


def network_layers() -> pd.DataFrame:
    """The talk's layer table by our rule, in cells: convolutions and poolings of each data set's network."""
    from clustlib.jule.stacking import stack

    plans = {name: stack(height, width, 0) for name, (height, width) in _SIZES.items()}
    rows = [(name, "conv_layers", float(len(plan))) for name, plan in plans.items()]
    return _cells(rows + [(name, "pool_layers", float(sum(plan))) for name, plan in plans.items()])


def network_of(channels: int, height: int, width: int, filters: int = 50, features: int = 160) -> pd.DataFrame:
    """The layers of the network for an image. Columns: layer, channels, height, width."""
    from clustlib.jule.stacking import sides, stack

    plan = stack(height, width, 0)
    rows: list[tuple[str, int, int, int]] = [("image", channels, height, width)]
    for i, pool in enumerate(plan):
        size = sides(height, width, 0, plan[: i + 1])
        rows.append((f"block {i + 1}, {'pooled' if pool else 'not pooled'}", filters, *size))
    rows.append(("linear, l2-normalised", features, 1, 1))
    return pd.DataFrame(rows, columns=["layer", "channels", "height", "width"])


def seconds_by_part(runs: "Runs") -> pd.DataFrame:
    """Mean seconds over the seeds, one row a data set. Columns: training, features, graph, merging, fit, triplets."""
    names = {"training": "training", "features": "feature", "graph": "graph", "merging": "merge", "fit": "fit"}
    rows = [
        {"dataset": record.params["dataset"]}
        | {part: record.metrics[f"{stored}_seconds"] for part, stored in {**names, "triplets": "triplet"}.items()}
        for record in runs.records
    ]
    frame = pd.DataFrame(rows, columns=["dataset", *names, "triplets"])
    return frame.groupby("dataset", sort=False).mean()
