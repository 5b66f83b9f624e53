"""The methods of others in DBC's Tables 3 to 6, as ClustPy has them: DAE-KMS, AEC, DEN, DCN and DEC.

ClustPy (https://github.com/collinleiber/ClustPy) is an optional package; without it these runs have no result and the
cells of the tables say so. What is set here and not by ClustPy's defaults: the scaling of the pixels, twenty restarts
of k-means and the width of DEN's kernel. The page of the method lists all of it.
"""

import contextlib
import io
import time
from importlib.util import find_spec
from typing import Any

import numpy as np

from clustlib import datasets, records
from clustlib._validation import check_integer, check_seed
from clustlib.errors import PackageMissing
from clustlib.metrics import scores
from clustlib.published.tables import choose

METHODS = ("DAE-KMS", "AEC", "DEN", "DCN", "DEC")
PACKAGE = "clustpy==0.0.3"
NEEDS = f"needs clustpy: pip install {PACKAGE}"
BATCH = 256
PRETRAIN_EPOCHS = 100  # ClustPy's defaults, of DEN's training too
EPOCHS = 150
RESTARTS = 20  # of k-means, as in the DEC paper; ClustPy's own default is one
# the clusters that an estimator itself ended with, where ClustPy's ``labels_`` are a new k-means on its codes
OWN_LABELS = {"DEC": "dec_labels_", "DCN": "dcn_labels_"}


def reasons() -> dict[str, str]:
    """Why a row of Tables 3 to 6 has no measurement here, by method; a row that can be run is not named."""
    found = {"IEC": "reported by its own paper only: no library has it"}
    return found if find_spec("clustpy") else found | dict.fromkeys(METHODS, NEEDS)


def _clustpy() -> Any:
    """``clustpy.deep``, or :class:`PackageMissing` with the line that installs it."""
    try:
        from clustpy import deep
    except ImportError:
        raise PackageMissing(NEEDS) from None
    return deep


def standardised(images: datasets.ImageSet) -> np.ndarray:
    """The pixels as (N, D) float32 rows of mean 0 and variance 1 over the whole set, each channel by itself.

    The mean square of a number is then 1, as the DEC paper asks; ClustPy prepares images for its own runs so.
    """
    pixels = images.images.astype(np.float32)
    mean, deviation = pixels.mean((0, 2, 3), keepdims=True), pixels.std((0, 2, 3), keepdims=True)
    return ((pixels - mean) / np.where(deviation > 0, deviation, 1)).reshape(len(pixels), -1)


def train_autoencoder(dataset: str, seed: int, pretrain_epochs: int, device: str = "auto") -> dict[str, np.ndarray]:
    """ClustPy's auto-encoder D-500-500-2000-10, trained end to end; DAE-KMS, AEC, DCN and DEC of a seed share it.

    Returns
    -------
    ``weights.<name>`` of the network, ``codes`` (N, 10) float32, ``seconds`` of the training.
    """
    from clustlib import _device

    deep = _clustpy()
    X = standardised(datasets.load(dataset))
    on, clock = _device.resolve(device), time.perf_counter()
    deep.set_torch_seed(seed)
    with contextlib.redirect_stdout(io.StringIO()):
        network = deep.get_trained_network(
            data=X, n_epochs=pretrain_epochs, batch_size=BATCH, device=on, random_state=seed
        )
    seconds = np.array(time.perf_counter() - clock)
    weights = {f"weights.{name}": value.cpu().numpy() for name, value in network.state_dict().items()}
    parts = [network.transform(X[start : start + 4096]) for start in range(0, len(X), 4096)]
    return {**weights, "codes": np.concatenate(parts).astype(np.float32), "seconds": seconds}


def _network(arrays: dict[str, np.ndarray], size: int, seed: int) -> Any:
    """The trained auto-encoder behind the arrays of :func:`train_autoencoder`, for images of ``size`` numbers."""
    import torch

    network = _clustpy().get_neural_network(size, device=torch.device("cpu"), random_state=seed)
    prefix = "weights."
    weights = {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
    network.fitted = True
    return network


def _kernel_width(X: np.ndarray, n_neighbors: int, device: str) -> float:
    """The t of DEN's heat kernel exp(-||x - x'||^2 / t): the mean of the squared distance between neighbours.

    ClustPy's 1 is far below the distance of any two images of this size, and all weights would be zero.
    """
    from clustlib.kernels import knn

    return float(knn(X, n_neighbors, device=device)[1].mean(dtype=np.float64))


def cluster(
    dataset: str,
    method: str,
    seed: int = 0,
    pretrain_epochs: int | None = None,
    epochs: int | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """One row of another paper in Tables 3 to 6, by ClustPy. A killed run starts again behind the auto-encoder.

    Parameters
    ----------
    dataset : a registered name. seed : of the weights, the order of the images and k-means.
    method : "DAE-KMS" (k-means on the codes of an auto-encoder), "AEC", "DEN", "DCN" or "DEC".
    pretrain_epochs : of the auto-encoder, or of DEN as a whole; None is ClustPy's 100.
    epochs : of the joint training of AEC, DCN and DEC; None is ClustPy's 150.

    Returns
    -------
    The scores, ``labels`` (N,) uint8, training_seconds (with the auto-encoder's share); of DEC and DCN also
    ``accuracy_reclustered`` and so on, of a new k-means on their codes, which is what ClustPy's ``labels_`` are.

    Raises
    ------
    PackageMissing : ClustPy is not installed.
    """
    _clustpy()  # before any work is done
    images = datasets.load(dataset)
    first = PRETRAIN_EPOCHS if pretrain_epochs is None else pretrain_epochs
    if method == "DEN":
        labels, more = _den(images, seed, first, device)
    else:
        shared: dict[str, Any] = {"dataset": dataset, "seed": seed, "pretrain_epochs": first, "device": device}
        trained = records.artifact(train_autoencoder, **shared)
        then = EPOCHS if epochs is None else epochs
        labels, more = _from_autoencoder(images, trained, method, seed, then, device)
    return {**scores(images.labels, labels), **more, "labels": labels.astype(np.uint8)}


def _den(images: datasets.ImageSet, seed: int, epochs: int, device: str) -> tuple[np.ndarray, dict[str, float]]:
    """Labels and cost of DEN, which trains one network on all its terms from the first epoch on."""
    from clustlib import _device

    deep, X = _clustpy(), standardised(images)
    width = _kernel_width(X, 4, device)  # ClustPy counts the image itself as the fifth
    settings = {"pretrain_epochs": epochs, "heat_kernel_t_parameter": width, "batch_size": BATCH}
    clock = time.perf_counter()
    model = deep.DEN(images.n_classes, **settings, device=_device.resolve(device), random_state=seed).fit(X)
    return model.labels_, {"training_seconds": time.perf_counter() - clock}


def _from_autoencoder(
    images: datasets.ImageSet, arrays: dict[str, np.ndarray], method: str, seed: int, epochs: int, device: str
) -> tuple[np.ndarray, dict[str, float]]:
    """Labels and further numbers of a row that starts from the shared auto-encoder."""
    from clustlib import _device
    from clustlib.cluster.kmeans import KMeans

    seconds = float(arrays["seconds"])
    if method == "DAE-KMS":
        labels = KMeans(images.n_classes, n_init=RESTARTS, random_state=seed).fit(arrays["codes"]).labels_
        return labels, {"training_seconds": seconds}
    X = standardised(images)
    settings: dict[str, Any] = {"clustering_epochs": epochs, "batch_size": BATCH}
    if method != "AEC":  # which starts from random clusters
        settings["initial_clustering_params"] = {"n_init": RESTARTS}
    estimator = getattr(_clustpy(), method)
    clock = time.perf_counter()
    model = estimator(
        images.n_classes,
        neural_network=_network(arrays, X.shape[1], seed),
        device=_device.resolve(device),
        random_state=seed,
        **settings,
    ).fit(X)
    more = {"training_seconds": seconds + time.perf_counter() - clock}
    if method in OWN_LABELS:
        more |= {f"{name}_reclustered": value for name, value in scores(images.labels, model.labels_).items()}
    return np.asarray(getattr(model, OWN_LABELS.get(method, "labels_"))), more


def _check(
    dataset: str, method: str, seed: int = 0, pretrain_epochs: int | None = None, epochs: int | None = None, **_: Any
) -> None:
    """Refuse what cannot be right before any work is done."""
    choose("data set", dataset, datasets.names())
    choose("method", method, METHODS)
    check_seed(seed)
    for name, value in (("pretrain_epochs", pretrain_epochs), ("epochs", epochs)):
        if value is not None:
            check_integer(name, value, 1)


records.declare(cluster, check=_check, fills=lambda params: {"pretrain_epochs": PRETRAIN_EPOCHS, "epochs": EPOCHS})
