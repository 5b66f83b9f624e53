"""What the factorisation costs: seconds against N, L and T, and one pass of the network (section 3.3)."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from clustlib import datasets, records
from clustlib._arrays import shown
from clustlib.errors import DeviceMissing, UsageError
from clustlib.fcn.runs import protocol
from clustlib.fcn.runs.protocol import STAND_IN_CNN
from clustlib.published.tables import choose


def multiplications(N: int, M: int, L: int) -> dict[str, int]:
    """Multiplications of one update of both factors, by product (Eq. 6 in the Gram form)."""
    return {
        "X W'": N * M * L,
        "W W'": L * L * M,
        "H (W W')": N * L * L,
        "H' X": N * M * L,
        "H' H": N * L * L,
        "(H' H) W": L * L * M,
    }


def time_updates(
    dataset: str,
    sizes_N: str = "1000 2000 4000 8000",
    sizes_L: str = "128 256 512 1024",
    sizes_T: str = "5 10 20 40",
    N: int = 2000,
    L: int = 256,
    cnn: str = STAND_IN_CNN,
    size: int = 224,
    n_images: int | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Seconds of GSNMF's updates against images N, dimension L and iterations T, each with the others fixed.

    X is drawn with replacement from the data set's features: the time depends on its shape alone.

    Returns
    -------
    slope_N, slope_L, slope_T: slopes of log seconds against log size; and for each the sizes and the seconds.
    """
    from clustlib._validation import unit_rows

    features = unit_rows(protocol.features(protocol.split(dataset, n_images).learn, cnn, size, device=device))
    grids = {name: [int(n) for n in text.split()] for name, text in zip("NLT", (sizes_N, sizes_L, sizes_T))}
    out: dict[str, Any] = {}
    for name, sizes in grids.items():
        seconds = [_seconds(features, **{"N": N, "L": L, "T": 5, name: value}) for value in sizes]
        out[f"slope_{name}"] = float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
        out[f"sizes_{name}"], out[f"seconds_{name}"] = np.array(sizes), np.array(seconds)
    return out


def _seconds(features: np.ndarray, N: int, L: int, T: int, repeats: int = 3) -> float:
    """The best of several timings of T updates."""
    from clustlib.kernels.gsnmf import Penalty, gsnmf_update

    random = np.random.default_rng(0)
    X = features[random.integers(len(features), size=N)]
    W, start = random.random((L, X.shape[1]), np.float32), random.random((N, L), np.float32)
    best = np.inf
    for _ in range(repeats):
        H, basis = start.copy(), W.copy()
        clock = time.perf_counter()
        for _ in range(T):
            gsnmf_update(X, H, basis, Penalty(0.05, 0.02))
        best = min(best, time.perf_counter() - clock)
    return best


def time_pass(
    dataset: str,
    cnn: str = STAND_IN_CNN,
    size: int = 224,
    batch: int = 256,
    n_components: int = 1024,
    where: str = "cpu",
) -> dict[str, Any]:
    """Seconds of one step of the fine-tuning of a batch: forward through the network, Eq. (6), backward into the last
    hidden layer.

    Parameters
    ----------
    where : "cpu" or "gpu". Here it is part of the question, so that each has a record of its own.

    Returns
    -------
    seconds_pass, and its parts seconds_forward (the frozen trunk) and seconds_step (head, factors, gradient); each the
    best of three, after a first that warms up.

    Raises
    ------
    DeviceMissing : a GPU was asked for, and there is none.
    """
    import torch

    from clustlib.checkpoints import Checkpoint
    from clustlib.fcn.estimator import FCN
    from clustlib.fcn.extraction import extract
    from clustlib.fcn.fine_tuning import FineTuning
    from clustlib.fcn.weights import pretrained

    if where == "gpu" and not torch.cuda.is_available():
        raise DeviceMissing("needs a GPU")
    device = "cuda" if where == "gpu" else "cpu"
    images = protocol.split(dataset).learn.images[:batch]
    how: dict[str, Any] = {"n_components": n_components, "init": "nndsvd", "max_iter": 1, "random_state": 0}
    model = FCN(network=cnn, fine_tune=True, device=device, **how)
    network = pretrained(cnn)
    hidden, forward = _best(lambda: extract(images, network, size=size, hidden=True, device=device, engine="torch"))
    model.epochs = 1
    model.fit_features(hidden)
    tuning = FineTuning(model, hidden, Checkpoint(None, {}))
    _, step = _best(lambda: tuning.step(torch.arange(len(hidden)), 0.0))
    return {"seconds_pass": forward + step, "seconds_forward": forward, "seconds_step": step}


def _best(work: Callable[[], Any], repeats: int = 3) -> tuple[Any, float]:
    """What ``work`` returns, and the least of its seconds; it must leave nothing running on a device."""
    result, best = work(), np.inf
    for _ in range(repeats):
        clock = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - clock)
    return result, best


def _check(dataset: str, where: str = "cpu", **others: Any) -> None:
    choose("data set", dataset, datasets.names())
    choose("place", where, ("cpu", "gpu"))
    for name in ("sizes_N", "sizes_L", "sizes_T"):
        sizes = str(others.get(name, "1 2")).split()
        if len(set(sizes)) < 2 or not all(size.isdecimal() and int(size) > 0 for size in sizes):
            raise UsageError(f"{name} takes two whole numbers or more, as '200 400'; got {shown(others[name])}")


records.declare(time_updates, time_pass, check=_check)
