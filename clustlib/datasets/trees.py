"""The sets that are many image files in an archive or folder: what each file's name says."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from clustlib.datasets.archives import Pick, Plan, member_contents, member_names, plan_by_name, read_images
from clustlib.datasets.description import DatasetInfo
from clustlib.datasets.imageset import ImageSet
from clustlib.errors import DataCorrupt

_FLOWERS17 = (
    *("daffodil", "snowdrop", "lily of the valley", "bluebell", "crocus", "iris", "tigerlily", "tulip", "fritillary"),
    *("sunflower", "daisy", "coltsfoot", "dandelion", "cowslip", "buttercup", "windflower", "pansy"),
)
_IMAGENETTE = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}


def _by_name(pick: Callable[[str], Pick | None], fit: bool, info: DatasetInfo, paths: Sequence[Path]) -> ImageSet:
    return read_images(info, paths, lambda: plan_by_name(member_names(paths[0]), pick), fit=fit)


def flowers17_member(name: str) -> Pick | None:
    """``image_0001.jpg`` to ``image_1360.jpg``: 80 of each class in turn, whatever folder they are in."""
    match = re.search(r"(?:^|/)image_(\d{4})\.jpg$", name)
    return Pick((int(match[1]) - 1) // 80, int(match[1])) if match else None


def flowers17(info: DatasetInfo, paths: Sequence[Path]) -> ImageSet:
    """Flowers-17, official archive or resized zip."""
    read = _by_name(flowers17_member, True, info, paths)
    named = _FLOWERS17 if read.n_classes == len(_FLOWERS17) else None
    return ImageSet(read.images, read.labels, read.name, named)


def scene15_member(name: str) -> Pick | None:
    """``[train/ | test/]<class>/image_0001.jpg``; the official folders' MIT, CAL and PAR are dropped."""
    match = re.search(r"(?:^|/)(?:(train|test)/)?([A-Za-z]+)/(image_\d+\.jpg)$", name)
    return Pick(re.sub("^(MIT|CAL|PAR)", "", match[2]).lower(), match[3], match[1]) if match else None


def imagenette_member(part: str, name: str) -> Pick | None:
    """``[.../]train/<wnid>/<file>.JPEG`` or ``val/``: the file's class if it is of the wanted part."""
    match = re.search(r"(?:^|/)(train|val)/(n\d{8})/([^/]+\.jpe?g)$", name, re.IGNORECASE)
    return Pick(match[2], match[3]) if match and match[1] == part else None


def imagenette(part: str, info: DatasetInfo, paths: Sequence[Path]) -> ImageSet:
    """One part of Imagenette, classes in the order of their WordNet ids."""
    read = _by_name(partial(imagenette_member, part), True, info, paths)
    names = tuple(_IMAGENETTE.get(wnid, wnid) for wnid in read.class_names or ())
    return ImageSet(read.images, read.labels, read.name, names)


def cifar_train_member(name: str) -> Pick | None:
    """``train/<class>/<number>.jpg``."""
    match = re.search(r"(?:^|/)train/([a-z]+)/(\d+)\.jpg$", name)
    return Pick(match[1], match[2]) if match else None


def coil_member(name: str) -> Pick | None:
    """``obj<object>__<pose>.png``; poses are numbers (COIL-20) or degrees (COIL-100)."""
    match = re.search(r"(?:^|/)obj(\d+)__(\d+)\.png$", name)
    return Pick(int(match[1]), int(match[2])) if match else None


def umist_member(name: str) -> Pick | None:
    """``1a/ ... .pgm`` to ``1t/``: one folder a subject."""
    match = re.search(r"(?:^|/)(1[a-t])/(.+\.pgm)$", name, re.IGNORECASE)
    return Pick(match[1].lower(), match[2]) if match else None


def subject_member(name: str) -> Pick | None:
    """``<subject>/<image file>``, at any depth below the subject's folder."""
    match = re.search(r"^([^/]+)/(.+\.(?:png|jpe?g|bmp|ppm|pgm))$", name, re.IGNORECASE)
    return Pick(match[1], match[2]) if match else None


def lfw_member(name: str) -> Pick | None:
    """``lfw/<person>/<person>_0001.jpg``."""
    match = re.search(r"(?:^|/)([^/]+)/([^/]+_\d{4}\.jpg)$", name)
    return Pick(match[1], match[2]) if match else None


def first_subjects(info: DatasetInfo, paths: Sequence[Path]) -> ImageSet:
    """Of the folders, the first by name (JULE, section 4.1.1: YouTube Faces' first 41 subjects)."""
    names = member_names(paths[0])
    subjects = sorted({member.label for name in names if (member := subject_member(name))})[: info.n_classes]
    members = [name for name in names if (member := subject_member(name)) and member.label in subjects]
    return read_images(info, paths, lambda: plan_by_name(members, subject_member))


def flowers102(info: DatasetInfo, paths: Sequence[Path]) -> ImageSet:
    """102flowers.tgz with imagelabels.mat (``labels`` from 1) and setid.mat (``trnid``, ``valid``, ``tstid``)."""
    return read_images(info, paths, partial(_flowers102_plan, paths), fit=True)


def _flowers102_plan(paths: Sequence[Path]) -> Plan:
    from scipy.io import loadmat

    labels = loadmat(paths[1])["labels"].ravel().astype(int)
    ids = loadmat(paths[2])
    part = {int(i): name for name, key in _FLOWERS102_PARTS.items() for i in ids[key].ravel()}
    numbers = range(1, len(labels) + 1)
    members = [f"jpg/image_{number:05d}.jpg" for number in numbers]
    return Plan(members, [label - 1 for label in labels.tolist()], None, [part[number] for number in numbers])


_FLOWERS102_PARTS = {"train": "trnid", "val": "valid", "test": "tstid"}


def cub200(info: DatasetInfo, paths: Sequence[Path]) -> ImageSet:
    """CUB_200_2011.tgz: images.txt, image_class_labels.txt and train_test_split.txt name its images."""
    return read_images(info, paths, partial(_cub200_plan, paths[0]), fit=True)


def _cub200_plan(archive: Path) -> Plan:
    lists = ("images", "image_class_labels", "train_test_split")
    texts = dict(member_contents(archive, [f"CUB_200_2011/{name}.txt" for name in lists]))
    if len(texts) != len(lists):
        raise DataCorrupt(f"{archive} lacks one of {', '.join(f'CUB_200_2011/{name}.txt' for name in lists)}")
    files, labels, trains = ({i: v for i, v in _pairs(texts[f"CUB_200_2011/{name}.txt"])} for name in lists)
    names = {int(labels[i]): file.split("/")[0].partition(".")[2] for i, file in files.items()}
    return Plan(
        [f"CUB_200_2011/images/{file}" for file in files.values()],
        [int(labels[i]) - 1 for i in files],
        tuple(names[label] for label in sorted(names)),
        ["train" if trains[i] == "1" else "test" for i in files],
    )


def _pairs(text: bytes) -> list[list[str]]:
    return [line.split(maxsplit=1) for line in text.decode("utf-8").splitlines() if line.strip()]


def mit67(info: DatasetInfo, paths: Sequence[Path]) -> ImageSet:
    """indoorCVPR_09.tar with TrainImages.txt and TestImages.txt: lines ``<class>/<file>`` below ``Images/``."""
    return read_images(info, paths, partial(_mit67_plan, paths), fit=True)


def _mit67_plan(paths: Sequence[Path]) -> Plan:
    parts = {part: path.read_text(encoding="utf-8").split("\n") for part, path in zip(("train", "test"), paths[1:])}
    listed = [(line.strip(), part) for part, lines in parts.items() for line in lines if line.strip()]
    classes = sorted({line.split("/")[0] for line, _ in listed})
    labels = [classes.index(line.split("/")[0]) for line, _ in listed]
    return Plan([f"Images/{line}" for line, _ in listed], labels, tuple(classes), [part for _, part in listed])


READERS: dict[str, Callable[[DatasetInfo, Sequence[Path]], ImageSet]] = {
    "flowers-17": flowers17,
    "scene-15": partial(_by_name, scene15_member, True),
    "imagenette-train": partial(imagenette, "train"),
    "imagenette-val": partial(imagenette, "val"),
    "cifar-train": partial(_by_name, cifar_train_member, False),
    "coil": partial(_by_name, coil_member, False),
    "umist": partial(_by_name, umist_member, False),
    "subjects": partial(_by_name, subject_member, False),
    "first-subjects": first_subjects,
    "lfw": partial(_by_name, lfw_member, False),
    "flowers-102": flowers102,
    "cub-200": cub200,
    "mit-67": mit67,
}
