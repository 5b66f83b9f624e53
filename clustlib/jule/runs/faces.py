"""Face verification with features learned without labels: table 7 of the JULE paper (section 4.2.2)."""

from typing import Any

import numpy as np

from clustlib import datasets, records
from clustlib._validation import check_integer
from clustlib.checkpoints import checkpoint_of
from clustlib.errors import UsageError
from clustlib.jule.runs.clustering import (
    check_fit,
    fitted,
    seconds_of,
    settings,
    train_jule,
    uses_fit,
    weights_of,
)
from clustlib.jule.runs.features import as_shaped
from clustlib.published.tables import choose

METHODS = ("Supervised", "OURS")
SIZES = (10_000, 20_000, 30_000, 50_000, 100_000)  # images of YouTube Faces
_SIDE = 55  # of a face of YouTube Faces
_AT_ONCE = 500


def faces(dataset: str, n_train: int, seed: int) -> datasets.ImageSet:
    """``n_train`` images of YouTube Faces, or of another set with labels; 0 takes all images of the other set."""
    if dataset == "ytf":
        from clustlib.datasets.faces import ytf_faces

        return ytf_faces(n_train or SIZES[0], seed, _SIDE)
    images = datasets.load(dataset)
    return images.take(n_train, seed) if n_train else images


def train_network(
    dataset: str,
    method: str,
    seed: int = 0,
    n_train: int = 0,
    epochs: int = 20,
    softmax_epochs: int = 20,
    precision: str = "float32",
    device: str = "auto",
) -> dict[str, np.ndarray]:
    """The network of a row, as arrays for the cache: ``weights:<name>`` and ``seconds``.

    "OURS": JULE's network, then a softmax on the clusters that it found (OURS-RC). "Supervised": the same network from
    random weights, a softmax on the true labels. ``epochs`` are JULE's, ``softmax_epochs`` those of the softmax; the
    section gives neither.
    """
    checkpoint = checkpoint_of(train_network, locals())
    import torch

    from clustlib import _device
    from clustlib.jule.network import JuleNet
    from clustlib.jule.softmax import fine_tune_softmax

    images = faces(dataset, n_train, seed)
    network = JuleNet(*images.shape, generator=torch.Generator().manual_seed(seed))
    labels, seconds = images.labels, 0.0
    if method == "OURS":
        run = {"dataset": dataset, "seed": seed, "epochs": epochs, "precision": precision, "device": device}
        whole = dataset != "ytf" and n_train == 0
        fit = records.artifact(train_jule, **run) if whole else records.artifact(train_part, n_train=n_train, **run)
        names = [name for name in fit if name.startswith("weights:")]
        network.load_state_dict({name.removeprefix("weights:"): torch.from_numpy(fit[name]) for name in names})
        labels, seconds = fit["OURS-RC"], float(fit["seconds"])
    labels = np.unique(labels, return_inverse=True)[1]
    where = _device.resolve(device)
    seconds += fine_tune_softmax(
        network, images.images, labels, epochs=softmax_epochs, seed=seed, device=where, checkpoint=checkpoint
    )
    return {**weights_of(network), "seconds": np.array(seconds)}


def train_part(
    dataset: str,
    n_train: int,
    seed: int = 0,
    epochs: int = 20,
    precision: str = "float32",
    device: str = "auto",
) -> dict[str, np.ndarray]:
    """JULE on a part of a set, as many clusters as it has persons: ``OURS-RC``, ``weights:<name>``, ``seconds``."""
    checkpoint = checkpoint_of(train_part, locals())
    images = faces(dataset, n_train, seed)
    model = fitted(
        images.images, images.labels, seed, precision, device, checkpoint, **settings(dataset, epochs=epochs)
    )
    return {"OURS-RC": model.labels_rc_, **weights_of(model.network_), "seconds": seconds_of(model)}


def verify(
    dataset: str,
    method: str,
    target: str = "lfw",
    seed: int = 0,
    n_train: int = 0,
    epochs: int = 20,
    softmax_epochs: int = 20,
    crop: float = 0.5,
    n_folds: int = 10,
    precision: str = "float32",
    device: str = "auto",
) -> dict[str, Any]:
    """Train on ``dataset`` and tell pairs of ``target``'s faces apart, by the cosine of the last linear layer's output.

    Parameters
    ----------
    target : "lfw": the official pairs in ten folds, see :func:`clustlib.datasets.faces.lfw_pairs` (also for ``crop``).
        Another set: pairs made from its labels, in ``n_folds`` folds without a common person, up to 100 of each kind a
        fold. The images are resized, and their channels averaged or repeated, to what the network reads.
    n_train : images of ``dataset``; 0 for all of a stand-in.
    method, epochs, softmax_epochs, precision : see :func:`train_network`.

    Returns
    -------
    accuracy, raw_accuracy (the same by the cosine of the pixels), n_pairs, training_seconds.

    Raises
    ------
    DataMissing : YouTube Faces or LFW are not on this machine.
    """
    from clustlib.transfer.verification import cosine, verification_accuracy

    images, pairs = _target(target, crop, n_folds)
    shape = (3, _SIDE, _SIDE) if dataset == "ytf" else datasets.load(dataset).shape
    run: dict[str, Any] = {"n_train": n_train, "epochs": epochs, "softmax_epochs": softmax_epochs}
    fit = records.artifact(
        train_network, dataset=dataset, method=method, seed=seed, precision=precision, device=device, **run
    )
    resized = as_shaped(images, shape)
    scores = {}
    for name, rows in (
        ("accuracy", _features(fit, resized, device)),
        ("raw_accuracy", resized.reshape(len(resized), -1)),
    ):
        similarity = cosine(rows[pairs.first], rows[pairs.second])
        scores[name] = verification_accuracy(similarity, pairs.same, pairs.fold)
    return {**scores, "n_pairs": len(pairs.same), "training_seconds": float(fit["seconds"])}


def _target(target: str, crop: float, n_folds: int) -> tuple[np.ndarray, Any]:
    from clustlib.datasets.faces import lfw_pairs, pairs_within

    if target == "lfw":
        return lfw_pairs(_SIDE, crop)
    images = datasets.load(target)
    return np.array(images.images), pairs_within(images.labels, n_folds)


def _features(fit: dict[str, np.ndarray], images: np.ndarray, device: str) -> np.ndarray:
    """What the softmax read, (N, 160) float32, for images (N, C, H, W) float32."""
    import torch

    from clustlib import _device
    from clustlib.jule.network import JuleNet
    from clustlib.jule.softmax import softmax_features

    where = _device.resolve(device)
    weights = {
        name.removeprefix("weights:"): torch.from_numpy(fit[name]) for name in fit if name.startswith("weights:")
    }
    network = JuleNet(*images.shape[1:], features=len(weights["top.bias"]))
    network.load_state_dict(weights)
    network.to(where).eval()
    with torch.inference_mode():
        parts = [softmax_features(network, part.to(where)).cpu() for part in torch.from_numpy(images).split(_AT_ONCE)]
    return torch.cat(parts).numpy()


def runs_of(dataset: list[str], target: list[str], sizes: list[int], seed: list[int], **how: Any) -> records.Runs:
    """Both rows of table 7: YouTube Faces at every size and tested on LFW, stand-ins with all images on the others."""
    runs = records.Runs()
    for name in dataset:
        official = name == "ytf"
        targets = [one for one in target if (one == "lfw") == official]
        for one in targets:
            n_train = sizes if official else 0
            runs += records.grid(
                verify, dataset=name, method=list(METHODS), target=one, n_train=n_train, seed=seed, **how
            )
    return runs


def _check(dataset: str, method: str, target: str = "lfw", **others: Any) -> None:
    check_fit(dataset, **{name: others[name] for name in ("seed", "epochs") if name in others})
    choose("method", method, METHODS)
    choose("data set", target, datasets.names())
    if dataset == "lfw" or target == "ytf":
        raise UsageError("LFW is tested on and YouTube Faces learned from, not the other way round")
    for name, least in (("n_train", 0), ("softmax_epochs", 1), ("n_folds", 2)):
        check_integer(name, others.get(name, 2), least)
    if not 0 < others.get("crop", 0.5) <= 1:
        raise UsageError(f"crop must be above 0 and at most 1, got {others['crop']!r}")


def _uses(params: dict[str, Any]) -> list[str]:
    return uses_fit({"dataset": params["dataset"], "epochs": params.get("epochs", 20)})


records.declare(train_part, train_network, uses=_uses)
records.declare(verify, check=_check, uses=_uses)
