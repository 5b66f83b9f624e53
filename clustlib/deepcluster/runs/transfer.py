"""What DeepCluster's features are good for, at the scale of one core: probes, retrieval, what filters respond to."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clustlib import datasets, records
from clustlib._validation import check_integer
from clustlib.deepcluster.runs import buildings, own_training, training
from clustlib.deepcluster.runs.training import SETTINGS, enlarged
from clustlib.errors import DataCorrupt, UsageError
from clustlib.published.tables import choose

# our settings by the names of the paper's rows
ROWS = {"ImageNet labels": "Labels", "Random": "Random", "DeepCluster": "DeepCluster"}
# sets whose test images are a set of their own
TESTED_ON = {"imagenette": "imagenette-val", "cifar-10-train": "cifar-10"}
SEED_OF_SPLIT = 0


def split(dataset: str, n_labelled: int, n_tested: int) -> tuple[Any, np.ndarray, Any, np.ndarray]:
    """Images and labels to train a classifier on, and to test it on: of the official parts, else halves drawn once.

    Of a set that is read image by image the images are folders, ``train`` and ``val`` of its own.
    """
    if datasets.info(dataset).streamed:
        return _of_folders(datasets.folder(dataset), n_labelled, n_tested)
    data = datasets.load(dataset)
    if dataset in TESTED_ON:
        test = datasets.load(TESTED_ON[dataset])
    elif {"train", "test"} <= set(data.parts):
        data, test = data.part("train"), data.part("test")
    else:
        order = np.random.default_rng(SEED_OF_SPLIT).permutation(len(data))
        half = len(data) // 2
        return _drawn(data, order[:half], n_labelled) + _drawn(data, order[half:], n_tested)
    return _drawn(data, np.arange(len(data)), n_labelled) + _drawn(test, np.arange(len(test)), n_tested)


def _of_folders(where: Path, n_labelled: int, n_tested: int) -> tuple[Any, np.ndarray, Any, np.ndarray]:
    train, test = (datasets.ImageFolder(where / part) for part in ("train", "val"))
    rank = {name: i for i, name in enumerate(train.class_names)}
    if not rank or not set(test.class_names) <= set(rank):
        raise DataCorrupt(f"{where} needs train/<class>/ and val/<class>/ with the same classes")
    parts: list[Any] = []
    for folder, n in ((train, n_labelled), (test, n_tested)):
        labels = np.array([rank[name] for name in folder.class_names])[folder.labels]
        index = training.pool(labels, n)
        parts += [folder.only(index), labels[index]]
    return tuple(parts)  # type: ignore[return-value]


def _drawn(data: datasets.ImageSet, index: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    index = index[training.draw_images(data.labels[index], min(n, len(index)))]
    return enlarged(data.images[index]), data.labels[index]


def grids(
    run: Callable,
    named: Sequence[str],
    trained_on: str | Mapping[str, str] | None,
    settings: Mapping[str, Any],
    method: str | Sequence[str],
    weights: str | Mapping[str, str] | None = None,
    **more: Any,
) -> records.Runs:
    """:func:`clustlib.records.grid` for each data set, with what its networks were trained on, and how.

    Parameters
    ----------
    run : a run of this module. named : the data sets.
    trained_on : one for all, or by data set; None where a run has a single set for both.
    settings : parameters of the training; one that is a mapping is given by the set that is trained on.
    weights : trainings of one's own, see :func:`probe`: one, or by method; methods without are left out, and a random
        network is that of the trained one.
    """
    methods, runs = [method] if isinstance(method, str) else list(method), records.Runs()
    for dataset in named:
        source = given_for(dataset, "trained_on", trained_on)
        own = {name: given_for(source or dataset, name, value) for name, value in settings.items()}
        own |= {} if source is None else {"trained_on": source}
        for some, theirs in own_training.by_method(weights, methods):
            given = {} if theirs is None else {"weights": theirs}
            runs += records.grid(run, dataset=dataset, method=some, **given, **own, **more)
    return runs


def given_for(key: str, name: str, value: Any, by: str = "data set") -> Any:
    """A parameter's value for a data set (or what ``by`` says): its own where there is one for each.

    Raises
    ------
    UsageError : there is one for each, and none for ``key``.
    """
    if not isinstance(value, Mapping):
        return value
    if key not in value:
        raise UsageError(f"{name} is given by {by} and has none for {key}: set it to one value for all")
    return value[key]


def rows(weights: Any = None) -> dict[str, str]:
    """:data:`ROWS`; with the weights of a training of one's own, which has no labels, those that need none."""
    return {row: method for row, method in ROWS.items() if weights is None or SETTINGS[method].training != "labels"}


def trained(
    method: str, seed: int, trained_on: str, run: Mapping[str, Any], device: str, weights: str | None = None
) -> tuple[Any, float, int]:
    """The network of a setting, the seconds of its training (0 of one that was trained elsewhere), its crops' size."""
    if weights is not None:
        return own_training.network(weights, method, seed)
    settings = dict(run)
    if SETTINGS[method].training != "clusters":
        # not read: one run serves every clustering
        settings |= {"per_class": 10, "reassign": 1, "n_components": 256}
    if SETTINGS[method].training == "none":
        settings |= {"epochs": 0, "dropout": 0.5}
    arrays = records.artifact(training.train, dataset=trained_on, method=method, seed=seed, device=device, **settings)
    size = training.crop_size(trained_on)
    return training.network_of(arrays, method, size, run["width"]), float(arrays["seconds"]), size


def probe(
    dataset: str,
    method: str,
    seed: int = 0,
    trained_on: str = "imagenette",
    n_images: int = 2500,
    epochs: int = 30,
    per_class: int = 10,
    width: float = 0.125,
    batch_size: int = 64,
    n_labelled: int = 2500,
    n_tested: int = 1000,
    probe_epochs: int = 15,
    device: str = "auto",
    reassign: int = 1,
    dropout: float = 0.5,
    n_components: int = 256,
    weights: str | None = None,
) -> dict[str, float]:
    """Linear classifiers on each layer of a trained network (Table 1, Figures 2(c) and 3, Tables 3 and 4).

    Parameters
    ----------
    dataset : classified; ImageNet and Places from their folders. trained_on : what the network was trained on, with
        the parameters up to ``batch_size`` and the three after ``device``, see
        :func:`clustlib.deepcluster.runs.training.train`.
    n_labelled, n_tested : images to train and to test the classifiers with.
    weights : a training of one's own, see :func:`clustlib.deepcluster.runs.own_training.network`; then nothing is
        trained here, and the parameters of a training are not read.

    Returns
    -------
    conv1 ... conv5: accuracy on ten crops (of a VGG-16: its five blocks); score: their mean; training_seconds.
    """
    from clustlib import _device
    from clustlib.transfer.probes import linear_probes

    run = training.chosen(locals())
    network, seconds, size = trained(method, seed, trained_on, run, device, weights)
    images, labels, test_images, test_labels = split(dataset, n_labelled, n_tested)
    found = linear_probes(
        network,
        images,
        labels,
        test_images,
        test_labels,
        size=size,
        epochs=probe_epochs,
        batch_size=64,
        seed=seed,
        device=_device.resolve(device),
    )
    layers = {f"conv{i + 1}": float(accuracy) for i, accuracy in enumerate(found.accuracy)}
    return {**layers, "score": float(found.accuracy.mean()), "training_seconds": seconds}


def retrieve(
    dataset: str,
    method: str,
    seed: int = 0,
    trained_on: str = "imagenette",
    whitened_on: str = "flowers-17",
    n_images: int = 2500,
    epochs: int = 30,
    per_class: int = 10,
    width: float = 0.125,
    batch_size: int = 64,
    resolution: int = 128,
    levels: int = 3,
    device: str = "auto",
    reassign: int = 1,
    dropout: float = 0.5,
    n_components: int = 256,
    weights: str | None = None,
) -> dict[str, float]:
    """Search a set with R-MAC (Table 5).

    Parameters
    ----------
    dataset : searched: "oxford5k" or "paris6k" by their published queries, boxes and judgements, or a set of classes,
        five queries a class, every other image of the class is right.
    whitened_on : the set that the PCA of the regions is learnt on, another one of the same kind.
    resolution : pixels of the (square) images, of the longer side for Oxford and Paris; the paper has 1,024.
    weights : see :func:`probe`.

    Returns
    -------
    map: mean average precision by the Oxford protocol; training_seconds.
    """
    from clustlib import _device
    from clustlib.kernels import pca_whiten
    from clustlib.transfer.retrieval import class_queries, mean_average_precision, region_vectors, rmac

    run = training.chosen(locals())
    network, seconds, _ = trained(method, seed, trained_on, run, device, weights)
    where = _device.resolve(device)
    network = network.to(where)
    if dataset in buildings.SETS:
        found = buildings.precision(network, dataset, whitened_on, resolution, levels, where)
        return {"map": found, "training_seconds": seconds}
    other, data = datasets.load(whitened_on), datasets.load(dataset)
    regions = [region_vectors(m, levels).flatten(0, 1) for m in _last_maps(network, other.images, resolution, where)]
    whitening = pca_whiten(regions, regions[0].shape[1])
    vectors = [rmac(m, levels, whitening).cpu().numpy() for m in _last_maps(network, data.images, resolution, where)]
    descriptors, queries = np.concatenate(vectors), class_queries(data.labels)
    found = mean_average_precision(descriptors, descriptors[[q.image for q in queries]], queries)
    return {"map": found, "training_seconds": seconds}


def _last_maps(network: Any, images: np.ndarray, resolution: int, device: Any) -> Any:
    """The maps of the last convolution of whole images, a batch at a time."""
    import torch

    from clustlib.networks.crops import resample

    images = enlarged(images)
    whole = np.array([0, 0, *images.shape[2:]])
    with torch.no_grad():
        for batch in np.array_split(np.arange(len(images)), -(-len(images) // 64)):
            boxes, flips = np.tile(whole, (len(batch), 1)), np.zeros(len(batch), bool)
            sized = resample(torch.from_numpy(np.ascontiguousarray(images[batch])), boxes, flips, resolution)
            yield network.activations(sized.to(device))[-1]


def filter_images(
    dataset: str,
    method: str,
    seed: int = 0,
    stage: int = 4,
    n_filters: int = 6,
    n_images: int = 2500,
    epochs: int = 30,
    per_class: int = 10,
    width: float = 0.125,
    batch_size: int = 64,
    steps: int = 300,
    thumbnail: int = 32,
    device: str = "auto",
    reassign: int = 1,
    dropout: float = 0.5,
    n_components: int = 256,
    weights: str | None = None,
) -> dict[str, Any]:
    """What filters of a layer respond to (Figures 4 and 5), for those whose nine strongest images agree most in class.

    Parameters
    ----------
    stage : the layer, conv1 is 0. n_filters : of those that respond at all.

    Returns
    -------
    ``learnt`` (n, 3, size, size) uint8; ``top`` (n, 9, C, t, t) uint8, thumbnails; ``filters`` (n,); ``agreement``:
    share of a filter's nine images that are of their most frequent class, mean over all filters that respond, and
    ``chance``: the same for nine images at random.
    """
    from clustlib import _device
    from clustlib.transfer import filters as shown

    run = training.chosen(locals())
    network, seconds, size = trained(method, seed, dataset, run, device, weights)
    data, where = datasets.load(dataset), _device.resolve(device)
    images = enlarged(data.images)
    response = shown.responses(network, images, stage, size=size, device=where)
    alive = np.flatnonzero(response.std(axis=0) > 1e-6)
    if len(alive) == 0:
        raise UsageError(f"no filter of stage {stage} responds to anything")
    top = shown.top_images(response[:, alive])
    agreement = np.array([np.bincount(data.labels[nine]).max() / len(nine) for nine in top])
    order = np.argsort(-agreement, kind="stable")[:n_filters]
    learnt = shown.exciting_images(network, stage, alive[order].tolist(), size=size, steps=steps, device=where)
    step = max(1, images.shape[2] // thumbnail)
    rng = np.random.default_rng(0)
    random = [np.bincount(data.labels[rng.choice(len(data), 9, replace=False)]).max() / 9 for _ in range(200)]
    return {
        "agreement": float(agreement.mean()),
        "chance": float(np.mean(random)),
        "responding": float(len(alive)),
        "training_seconds": seconds,
        "learnt": learnt,
        "top": images[top[order]][..., ::step, ::step],
        "filters": alive[order].astype(np.int64),
        "shares": agreement[order].astype(np.float32),
    }


def _check(dataset: str, method: str, seed: int = 0, **params: Any) -> None:
    """Refuse what cannot be right before any work is done."""
    for name in ("trained_on", "whitened_on"):
        if name in params:
            choose("data set", params[name], datasets.names())
    for name in ("resolution", "levels", "n_filters", "steps", "probe_epochs", "n_labelled", "n_tested"):
        if name in params:
            check_integer(name, params[name], 1)
    training.check(dataset, method, seed, **{n: params[n] for n in ("n_images", "batch_size") if n in params})
    own_training.check(params.get("weights"), method)


def uses(params: Mapping[str, Any]) -> list[str]:
    """The setting, and the weights that were trained elsewhere, are part of a run's sources."""
    return [*training.uses(params), *own_training.uses(params.get("weights"))]


records.declare(probe, retrieve, filter_images, check=_check, uses=uses)
