"""DeepCluster at a scale that fits one core: what is trained, once per setting and seed, and what is read off it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clustlib import datasets, metrics, records
from clustlib._validation import check_integer, check_seed
from clustlib.checkpoints import checkpoint_of
from clustlib.errors import UsageError
from clustlib.published.tables import choose

if TYPE_CHECKING:
    from clustlib.networks.convnet import ConvNet

RUN = (
    *("n_images", "epochs", "per_class", "width", "batch_size"),
    *("reassign", "dropout", "n_components"),
)  # how a network is trained: parameters that every run here has
CLUSTERING = ("features", "pca", "clustering")  # the parts of an epoch that are not training


@dataclass(frozen=True)
class Setting:
    """A row of our tables: how the network is trained, and which."""

    training: str = "clusters"  # "clusters", "labels" or "none"
    network: str = "alexnet"
    front: str = "sobel"
    sampler: str = "uniform"
    clustering: str = "kmeans"
    split: str = "released"
    draw: str = "curated"  # "curated": as many images of each class; "uncurated": Zipf's law over the classes


SETTINGS = {
    "DeepCluster": Setting(),
    "DeepCluster RGB": Setting(front="rgb"),
    "DeepCluster released sampler": Setting(sampler="released"),
    "DeepCluster published split": Setting(split="paper"),
    "DeepCluster PIC": Setting(clustering="pic"),
    "DeepCluster uncurated": Setting(draw="uncurated"),
    "DeepCluster VGG-16": Setting(network="vgg16"),
    "Labels": Setting(training="labels"),
    "Labels RGB": Setting(training="labels", front="rgb"),
    "Labels VGG-16": Setting(training="labels", network="vgg16"),
    "Random": Setting(training="none"),
    "Random RGB": Setting(training="none", front="rgb"),
    "Random VGG-16": Setting(training="none", network="vgg16"),
}


def draw_images(labels: np.ndarray, n: int, draw: str = "curated") -> np.ndarray:
    """Indices of ``n`` images, sorted: classes in equal shares, or in shares 1, 1/2, 1/3, ... (Zipf's law).

    A class that has too few images gives all it has.
    """
    rng, classes = np.random.default_rng(0), np.unique(labels)
    shares = np.ones(len(classes)) if draw == "curated" else 1 / np.arange(1, len(classes) + 1)
    wanted = np.floor(np.cumsum(shares / shares.sum()) * n + 1e-9).astype(int)
    members = [rng.permutation(np.flatnonzero(labels == c)) for c in classes]
    return np.sort(np.concatenate([own[:m] for own, m in zip(members, np.diff(wanted, prepend=0))]))


def pool(labels: np.ndarray, n: int, draw: str = "curated") -> np.ndarray:
    """Indices of the images to train on: :func:`draw_images`, or all where ``n`` asks for all of a curated set."""
    return np.arange(len(labels)) if draw == "curated" and n >= len(labels) else draw_images(labels, n, draw)


def enlarged(images: np.ndarray, smallest: int = 24) -> np.ndarray:
    """Images whose pixels are repeated until the short side is at least ``smallest``: 8-pixel digits for a convnet."""
    times = -(-smallest // min(images.shape[2:]))
    return images.repeat(times, axis=2).repeat(times, axis=3) if times > 1 else images


def first_layer(size: int) -> dict[str, int]:
    """Kernel and stride of conv1 for crops of ``size`` pixels, which keep the maps of the later layers alive."""
    if size >= 112:
        return {"kernel": 11, "stride": 4}
    return {"kernel": 5, "stride": 2} if size >= 48 else {"kernel": 5 if size >= 28 else 3, "stride": 1}


def options_of(setting: Setting, size: int, width: float) -> dict[str, Any]:
    """The network's arguments besides its image size."""
    return {"width": width, **(first_layer(size) if setting.network == "alexnet" else {})}


def chosen(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Of a run's arguments those that say how its network is trained."""
    return {name: arguments[name] for name in RUN}


def build(setting: Setting, size: int, width: float, seed: int, dropout: float = 0.5) -> "ConvNet":
    """The setting's network with random weights."""
    import torch

    from clustlib.deepcluster.network import AlexNetSobel, VGG16Sobel
    from clustlib.networks.processes import seed_torch

    network = AlexNetSobel if setting.network == "alexnet" else VGG16Sobel
    with torch.random.fork_rng(devices=[]):
        seed_torch(seed, 6)
        options = {**options_of(setting, size, width), "dropout": dropout}
        return network(size, front=setting.front, **options)  # type: ignore[arg-type]


def train(
    dataset: str,
    method: str,
    seed: int,
    n_images: int,
    epochs: int,
    per_class: int,
    width: float,
    batch_size: int,
    device: str = "auto",
    reassign: int = 1,
    dropout: float = 0.5,
    n_components: int = 256,
) -> dict[str, np.ndarray]:
    """Train a setting's network on ``n_images`` of a data set.

    Parameters
    ----------
    reassign : epochs from one clustering to the next. n_components : dimensions that are clustered.

    Returns
    -------
    ``weights.<name>``; with clusters also ``history.<name>`` an epoch, NaN where it begins with no clustering,
    ``clusters`` (n,), ``embedding`` (n, m), and ``final_<name>`` for the agreements; ``seconds``. Beside each ``nmi_``
    there is ``chance_``, what the same clusters agree by chance.
    """
    file = checkpoint_of(train, locals())
    setting, data = SETTINGS[method], datasets.load(dataset)
    index = pool(data.labels, n_images, setting.draw)
    images, labels = enlarged(data.images[index]), data.labels[index]
    clock = time.perf_counter()
    if setting.training == "clusters":
        how = {"reassign": reassign, "dropout": dropout, "n_components": n_components}
        found = _cluster(setting, images, labels, seed, epochs, per_class, width, batch_size, device, file, how)
        file.unlink(missing_ok=True)
    else:
        rounds = epochs if setting.training == "labels" else 0
        found = _supervise(setting, images, labels, seed, rounds, width, batch_size, device, dropout)
    return {**found, "seconds": np.array(time.perf_counter() - clock)}


def _cluster(
    setting: Setting,
    images: np.ndarray,
    labels: np.ndarray,
    seed: int,
    epochs: int,
    per_class: int,
    width: float,
    batch_size: int,
    device: str,
    file: Path,
    how: Mapping[str, Any],
) -> dict[str, np.ndarray]:
    from clustlib.deepcluster.estimator import DeepCluster
    from clustlib.networks.crops import central_box

    size = central_box(*images.shape[2:])[2]
    model = DeepCluster(
        per_class * len(np.unique(labels)),
        network=setting.network,  # type: ignore[arg-type]
        front=setting.front,  # type: ignore[arg-type]
        network_options=options_of(setting, size, width),
        epochs=epochs,
        batch_size=batch_size,
        sampler=setting.sampler,  # type: ignore[arg-type]
        clustering=setting.clustering,  # type: ignore[arg-type]
        split=setting.split,  # type: ignore[arg-type]
        random_state=seed,
        device=device,
        checkpoint=file,
        checkpoint_every=10**9,
        **how,
    ).fit(images, labels, lambda entry, clusters, before: entry.update(_chances(entry, clusters, before, labels)))
    names = {name for entry in model.history_ for name in entry}
    history = {f"history.{n}": np.array([e.get(n, np.nan) for e in model.history_]) for n in sorted(names)}
    last = {**model.final_, **_chances(model.final_, model.labels_, model.previous_, labels)}
    final = {f"final_{name}": np.array(value) for name, value in last.items()}
    return {**_weights(model.network_), **history, **final, "clusters": model.labels_, "embedding": model.embedding_}


def _chances(
    entry: Mapping[str, float], clusters: np.ndarray, before: np.ndarray | None, labels: np.ndarray
) -> dict[str, float]:
    """For every agreement of an entry what the same clusters, shuffled, would have."""
    others = {"nmi_labels": labels, "nmi_previous": before}
    return {
        name.replace("nmi", "chance"): metrics.chance_nmi(other, clusters)
        for name, other in others.items()
        if name in entry and other is not None
    }


def _supervise(
    setting: Setting,
    images: np.ndarray,
    labels: np.ndarray,
    seed: int,
    epochs: int,
    width: float,
    batch_size: int,
    device: str,
    dropout: float,
) -> dict[str, np.ndarray]:
    """The same network, crops and SGD with the true labels; without epochs it stays random."""
    import torch

    from clustlib import _device
    from clustlib.deepcluster.classification import Classification
    from clustlib.kernels.sampling import Draws
    from clustlib.networks.crops import image_source
    from clustlib.networks.processes import Processes

    source, where = image_source(images, None), _device.resolve(device)
    network = build(setting, source.size, width, seed, dropout).to(where)
    sgd = {"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-5, "batch_size": batch_size, "seed": seed}
    training = Classification(network, source, Processes(), where, **sgd)  # type: ignore[arg-type]
    with torch.random.fork_rng(devices=[]):
        if epochs:
            training.new_head(int(labels.max()) + 1, 0)
        for epoch in range(epochs):
            order = np.random.default_rng([seed, epoch]).permutation(len(labels))
            training.epoch(epoch, Draws(order, labels[order]), [])
    return _weights(network)


def _weights(network: "ConvNet") -> dict[str, np.ndarray]:
    weights = {name: value for name, value in network.state_dict().items() if not name.startswith("head.")}
    return {f"weights.{name}": value.cpu().numpy() for name, value in weights.items()}


def network_of(arrays: Mapping[str, np.ndarray], method: str, size: int, width: float) -> "ConvNet":
    """The trained network behind the arrays of :func:`train`, in evaluation mode."""
    import torch

    network = build(SETTINGS[method], size, width, 0)
    prefix = "weights."
    state = {n[len(prefix) :]: torch.from_numpy(a.copy()) for n, a in arrays.items() if n.startswith(prefix)}
    network.load_state_dict(state, strict=False)
    return network.eval()


def crop_size(dataset: str) -> int:
    """Pixels of the crops that a network trained on ``dataset`` sees."""
    from clustlib.networks.crops import central_box

    _, height, width = datasets.info(dataset).shape or (3, 224, 224)
    times = max(1, -(-24 // min(height, width)))
    return central_box(height * times, width * times)[2]


def pretrain(
    dataset: str,
    method: str,
    seed: int = 0,
    n_images: int = 2500,
    epochs: int = 30,
    per_class: int = 10,
    width: float = 0.125,
    batch_size: int = 64,
    device: str = "auto",
    reassign: int = 1,
    dropout: float = 0.5,
    n_components: int = 256,
) -> dict[str, Any]:
    """Train and note how it went: Figures 2(a) and 2(b), the filters of Figure 3, the sampler, the share of time.

    Parameters
    ----------
    dataset : trained on. method : a name of ``SETTINGS`` that is trained with clusters.
    n_images : of them, drawn in equal shares of the classes (or by Zipf's law).
    per_class : clusters for each class of the data.
    width : share of the published widths that is kept.
    reassign, n_components : see :func:`train`.

    Returns
    -------
    nmi_labels_first, nmi_labels_last, nmi_previous_first, nmi_previous_last, largest_share (of targets, mean over
    epochs, times k), natural_share (of the final clusters), share_of_epoch (of the clustering phase) and
    its parts, n_empty (mean), purity of the clusters, training_seconds; history arrays by epoch; ``filters`` of conv1.
    """
    run = chosen(locals())
    arrays = records.artifact(train, dataset=dataset, method=method, seed=seed, device=device, **run)
    history = {name[8:]: value for name, value in arrays.items() if name.startswith("history.")}
    spent = {part: float(np.nansum(history[f"seconds_{part}"])) for part in (*CLUSTERING, "training")}
    whole = sum(spent.values())
    labels_nmi = np.append(history["nmi_labels"], arrays["final_nmi_labels"])
    previous = np.append(history["nmi_previous"], arrays["final_nmi_previous"])
    counts, compared = np.bincount(arrays["clusters"]), previous[~np.isnan(previous)]
    return {
        "nmi_labels_first": labels_nmi[0],
        "nmi_labels_last": labels_nmi[-1],
        "nmi_previous_first": compared[0],
        "nmi_previous_last": compared[-1],
        "largest_share": float(history["largest_share"].mean()),
        "natural_share": float(counts.max() / counts.sum() * len(counts)),
        "share_of_epoch": sum(spent[part] for part in CLUSTERING) / whole,
        **{f"share_{part}": seconds / whole for part, seconds in spent.items()},
        "n_empty": float(np.nanmean(history["n_empty"])),
        "purity": metrics.purity(_labels(dataset, method, n_images), arrays["clusters"]),
        "training_seconds": float(arrays["seconds"]),
        "nmi_labels_by_epoch": labels_nmi.astype(np.float32),
        "nmi_previous_by_epoch": previous.astype(np.float32),
        "loss": history["loss"].astype(np.float32),
        "first_loss": history["first_loss"].astype(np.float32),
        "shares": history["largest_share"].astype(np.float32),
        "filters": arrays["weights.features.0.weight"].astype(np.float32),
        "clusters": arrays["clusters"].astype(np.uint16),
    }


def _labels(dataset: str, method: str, n_images: int) -> np.ndarray:
    labels = datasets.load(dataset).labels
    return labels[pool(labels, n_images, SETTINGS[method].draw)]


def check(dataset: str, method: str, seed: int = 0, n_images: int = 2500, batch_size: int = 64, **_: Any) -> None:
    """Refuse what cannot be right before any work is done."""
    choose("data set", dataset, datasets.names())
    choose("method", method, SETTINGS)
    check_seed(seed)
    if n_images < 20:
        raise UsageError(f"n_images must be at least 20, got {n_images}")
    check_integer("batch_size", batch_size, 2)


def check_clusters(dataset: str, method: str, **params: Any) -> None:
    """As :func:`check`, for runs that look at the clusters."""
    check(dataset, method, **params)
    if SETTINGS[method].training != "clusters":
        raise UsageError(f"{method} is not trained with clusters")


def uses(params: Mapping[str, Any]) -> list[str]:
    """The setting is part of a run's sources."""
    return [repr(SETTINGS[params["method"]])]


records.declare(pretrain, check=check_clusters, uses=uses)
records.declare(train, uses=uses)
