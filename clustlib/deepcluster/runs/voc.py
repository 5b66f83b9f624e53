"""Transfer to PASCAL VOC (Table 2), and its classification part on a stand-in of one class an image."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from clustlib import datasets, records
from clustlib._validation import check_integer
from clustlib.deepcluster.runs import own_training, training
from clustlib.deepcluster.runs.transfer import split, trained, uses
from clustlib.errors import DataMissing, UsageError
from clustlib.published.tables import choose

TASKS = ("classification", "detection", "segmentation")
LAYERS = ("fc68", "all")
# how the network is tuned, by task: as the port does it, as here before that was possible, and the steps between
PROTOCOLS: dict[str, dict[str, dict[str, Any]]] = {
    "port": {},
    "adapted": {
        "classification": {"shape": "stretched", "fresh": False, "statistics": "of the batches"},
        "detection": {"mirror": False, "normalise": False},
    },
    "stretched crops": {"classification": {"shape": "stretched"}},
    "fc6 and fc7 kept": {"classification": {"fresh": False}},
    "statistics of the batches": {"classification": {"statistics": "of the batches"}},
}
YEARS = {"voc2007": "VOC2007", "voc2012": "VOC2012"}


def transfer_to(
    dataset: str,
    method: str,
    task: str = "classification",
    layers: str = "fc68",
    batch_norm: str = "trained",
    protocol: str = "adapted",
    seed: int = 0,
    trained_on: str = "imagenette",
    n_images: int = 2500,
    epochs: int = 30,
    per_class: int = 10,
    width: float = 0.125,
    batch_size: int = 64,
    steps: int = 80_000,
    n_labelled: int = 2500,
    n_tested: int = 1000,
    device: str = "auto",
    reassign: int = 1,
    dropout: float = 0.5,
    n_components: int = 256,
    weights: str | None = None,
) -> dict[str, float]:
    """Fine-tune a trained network for a task of VOC and test it.

    Parameters
    ----------
    dataset : "voc2007" or "voc2012" in their official layouts, or for classification any set with one class an image.
    task : "classification" and "detection" (trained on trainval, tested on test), "segmentation" (train, val).
    layers : "fc68" or "all". batch_norm : of the frozen convolutions, see
        :func:`clustlib.transfer.fine_tuning.trained_parameters`.
    protocol : a name of :data:`PROTOCOLS`.
    n_labelled, n_tested : read for stand-ins only. weights : see :func:`clustlib.deepcluster.runs.transfer.probe`.

    Returns
    -------
    score: mean average precision (classification, detection) or mean intersection over union; training_seconds.

    Raises
    ------
    DataMissing : VOC, or the selective-search boxes that detection needs, are not on this machine.
    """
    from clustlib import _device

    run = training.chosen(locals())
    where = datasets.folder(dataset) if dataset in YEARS else None
    network, seconds, size = trained(method, seed, trained_on, run, device, weights)
    how = {"layers": layers, "batch_norm": batch_norm, "steps": steps, "seed": seed, "device": _device.resolve(device)}
    how |= PROTOCOLS[protocol].get(task, {})
    if where is None:
        score = _classify_stand_in(network, dataset, size, n_labelled, n_tested, how)
    else:
        score = _ON_VOC[task](network, where, dataset, size, how)
    return {"score": score, "training_seconds": seconds}


def _classify_stand_in(
    network: Any, dataset: str, size: int, n_labelled: int, n_tested: int, how: Mapping[str, Any]
) -> float:
    from clustlib.networks.crops import ArrayImages

    images, labels, test_images, test_labels = split(dataset, n_labelled, n_tested)
    truth = np.eye(int(labels.max()) + 1, dtype=np.int8)
    sources = ArrayImages(images, size), ArrayImages(test_images, size)
    return _classify(network, *sources, truth[labels], truth[test_labels], how)


def _classify(
    network: Any, train: Any, test: Any, truth: np.ndarray, test_truth: np.ndarray, how: Mapping[str, Any]
) -> float:
    from clustlib.transfer.fine_tuning import class_scores, fine_tune
    from clustlib.transfer.voc import mean_average_precision

    fine_tune(network, train, truth, **how)
    return mean_average_precision(
        class_scores(network, test, shape=how.get("shape", "square"), device=how["device"]), test_truth
    )


def _classify_voc(network: Any, where: Any, dataset: str, size: int, how: Mapping[str, Any]) -> float:
    from clustlib.networks.crops import FolderImages
    from clustlib.transfer.voc import VocKit

    kit = VocKit(where / "VOCdevkit" / YEARS[dataset])
    train, test = (FolderImages(kit.images(kit.ids(part)), size) for part in ("trainval", "test"))
    return _classify(network, train, test, kit.labels("trainval"), kit.labels("test"), how)


def _detect_voc(network: Any, where: Any, dataset: str, size: int, how: Mapping[str, Any]) -> float:
    from clustlib.transfer import detection
    from clustlib.transfer.voc import CLASSES, VocKit, detection_precision

    kit, year = VocKit(where / "VOCdevkit" / YEARS[dataset]), YEARS[dataset][3:]
    files = {part: where / "selective_search_data" / f"voc_{year}_{part}.mat" for part in ("trainval", "test")}
    for path in files.values():
        if not path.is_file():
            raise DataMissing(f"{path} is missing: the selective-search boxes that were released with Fast R-CNN")
    ids = {part: kit.ids(part) for part in files}
    boxes = {part: detection.read_proposals(path) for part, path in files.items()}
    truth = {part: [kit.objects(name) for name in names] for part, names in ids.items()}
    detector = detection.train_detector(
        network, kit.images(ids["trainval"]), truth["trainval"], boxes["trainval"], **how
    )
    detections = detection.detect(detector, kit.images(ids["test"]), boxes["test"], device=how["device"])
    return float(np.nanmean([detection_precision(detections[c], truth["test"], c) for c in range(len(CLASSES))]))


def _segment_voc(network: Any, where: Any, dataset: str, size: int, how: Mapping[str, Any]) -> float:
    from clustlib.transfer.segmentation import segment, train_segmenter
    from clustlib.transfer.voc import VocKit, mean_intersection_over_union

    kit = VocKit(where / "VOCdevkit" / YEARS[dataset])
    ids = {part: kit.ids(part, "Segmentation") for part in ("train", "val")}
    truth = {part: [kit.segmentation(name) for name in names] for part, names in ids.items()}
    segmenter = train_segmenter(network, kit.images(ids["train"]), truth["train"], **how)
    return mean_intersection_over_union(segment(segmenter, kit.images(ids["val"]), how["device"]), truth["val"])


_ON_VOC = {"classification": _classify_voc, "detection": _detect_voc, "segmentation": _segment_voc}


def _check(
    dataset: str,
    method: str,
    task: str = "classification",
    layers: str = "fc68",
    protocol: str = "adapted",
    **params: Any,
) -> None:
    choose("task", task, TASKS)
    choose("setting", layers, LAYERS)
    choose("protocol", protocol, PROTOCOLS)
    if dataset not in YEARS and task != "classification":
        raise UsageError(f"{task} needs VOC, got {dataset!r}")
    training.check(dataset, method, **params)
    check_integer("steps", params.get("steps", 80_000), 1)
    own_training.check(params.get("weights"), method)


def _uses(params: Mapping[str, Any]) -> list[str]:
    return [
        *uses(params),
        *(f"clustlib.deepcluster.runs.voc:{f.__name__}" for f in _ON_VOC.values()),
    ]


records.declare(transfer_to, check=_check, uses=_uses)
