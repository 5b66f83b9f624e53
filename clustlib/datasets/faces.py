"""Faces in pairs: LFW's restricted protocol, and as many of YouTube Faces' images as are asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from clustlib.datasets import fetch
from clustlib.datasets.archives import member_contents
from clustlib.datasets.folders import ImageFolder
from clustlib.datasets.imageset import ImageSet
from clustlib.datasets.pictures import Unreadable, decoded
from clustlib.datasets.registry import info
from clustlib.errors import DataCorrupt, DataMissing, UsageError


class Pairs(NamedTuple):
    """P pairs of images, as positions in an array of images.

    ``first``, ``second`` (P,) int64; ``same`` (P,) bool, whether they show one person; ``fold`` (P,) int64.
    """

    first: np.ndarray
    second: np.ndarray
    same: np.ndarray
    fold: np.ndarray


def read_pairs(text: str) -> tuple[list[str], Pairs]:
    """LFW's ``pairs.txt``: "folds TAB n", then for each fold n lines of one person and n of two.

    Returns
    -------
    The file names that occur ("Ada_L/Ada_L_0001.jpg"), and the pairs among them.

    Raises
    ------
    DataCorrupt : another number of lines than the first line says, or a line of another form.
    """
    table = [line.split("\t") for line in text.splitlines() if line.strip()]
    header, lines = table[:1], table[1:]
    try:
        folds, each = map(int, *header)
        if len(lines) != 2 * folds * each:
            raise ValueError(f"{len(lines)} pairs where {folds} x 2 x {each} are announced")
        rows = [_pair(line) for line in lines]
    except (TypeError, ValueError) as error:
        raise DataCorrupt(f"pairs.txt: {error}") from None
    names = sorted({name for row in rows for name in row})
    place = {name: i for i, name in enumerate(names)}
    first, second = (np.array([place[row[side]] for row in rows]) for side in (0, 1))
    same = np.array([len(line) == 3 for line in lines])
    return names, Pairs(first, second, same, np.repeat(np.arange(folds), 2 * each))


def _pair(line: list[str]) -> tuple[str, str]:
    if len(line) not in (3, 4):
        raise ValueError(f"cannot read {' '.join(line)!r}")
    one, other = (line[0], line[1]), (line[-2] if len(line) == 4 else line[0], line[-1])
    return _file(*one), _file(*other)


def _file(person: str, number: str) -> str:
    return f"{person}/{person}_{int(number):04d}.jpg"


def lfw_pairs(side: int, crop: float = 0.5) -> tuple[np.ndarray, Pairs]:
    """The images of LFW's ten folds, (M, 3, side, side) uint8, and their pairs.

    ``crop`` is the share of the 250 x 250 photograph, about its middle, that is kept before it is resized: faces are
    centred there. The JULE paper does not say how it cut them.

    Raises
    ------
    DataMissing : LFW's images, or ``pairs.txt`` beside them, are not on this machine.
    """
    archive = _place("lfw")
    listing = archive.parent / "pairs.txt"
    if not listing.is_file():
        raise DataMissing(f"{listing} is missing: fetch it from http://vis-www.cs.umass.edu/lfw/pairs.txt")
    names, pairs = read_pairs(listing.read_text(encoding="utf-8"))
    images = np.empty((len(names), 3, side, side), np.uint8)
    place = {f"lfw/{name}": i for i, name in enumerate(names)}
    found = 0
    for name, content in member_contents(archive, place):
        images[place[name]] = _face(content, side, crop, f"{archive}: {name}")
        found += 1
    if found != len(names):
        raise DataCorrupt(f"{archive} holds {found} of the {len(names)} images that pairs.txt names")
    return images, pairs


def ytf_faces(n: int, seed: int, side: int = 55) -> ImageSet:
    """``n`` images drawn from all subjects of YouTube Faces (section 4.2.2), resized to (3, side, side).

    The folder is that of the registered set "ytf": cropped faces, one folder a subject, whatever lies below it.

    Raises
    ------
    DataMissing : it is not on this machine. UsageError : it has fewer images.
    """
    where = _place("ytf")
    folder = ImageFolder(where)
    if n > len(folder):
        raise UsageError(f"{where} has {len(folder):,} images, cannot take {n:,}")
    drawn = np.sort(np.random.default_rng(seed).permutation(len(folder))[:n])
    images = np.stack([_face(folder.paths[i].read_bytes(), side, 1.0, str(folder.paths[i])) for i in drawn])
    subjects = [folder.paths[i].relative_to(where).parts[0] for i in drawn]
    names, labels = np.unique(subjects, return_inverse=True)
    return ImageSet(images, labels, f"ytf-{n}", tuple(names))


def pairs_within(labels: Sequence[int] | np.ndarray, n_folds: int = 10, n_each: int = 100, seed: int = 0) -> Pairs:
    """Pairs of a set of labelled faces in LFW's form: no person is in two folds, as many pairs match as do not.

    A fold has ``n_each`` pairs of each kind, or as many of both as it can.

    Raises
    ------
    UsageError : fewer than two persons a fold, or a fold in which nobody has two images.
    """
    labels = np.asarray(labels)
    drawn = np.random.default_rng(seed)
    people = drawn.permutation(np.unique(labels))
    if n_folds < 2 or len(people) < 2 * n_folds:
        raise UsageError(f"{n_folds} folds need at least two persons each, there are {len(people)}")
    parts = []
    for fold, chosen in enumerate(np.array_split(people, n_folds)):
        images = np.flatnonzero(np.isin(labels, chosen))
        first, second = images[np.stack(np.triu_indices(len(images), 1))]
        same = labels[first] == labels[second]
        n = min(n_each, same.sum(), (~same).sum())
        if n == 0:
            raise UsageError("a fold has nobody with two images")
        chosen_pairs = np.concatenate([drawn.permutation(np.flatnonzero(kind))[:n] for kind in (same, ~same)])
        parts.append((first[chosen_pairs], second[chosen_pairs], same[chosen_pairs], np.full(2 * n, fold)))
    return Pairs(*(np.concatenate(column) for column in zip(*parts)))


def _place(name: str) -> Path:
    known = info(name)
    located = fetch.locate(known)
    if located is None:
        raise fetch.missing(known)
    for path, file in zip(located.paths, located.layout.files):
        fetch.verify(path, file)
    return located.paths[0]


def _face(content: bytes, side: int, crop: float, what: str) -> np.ndarray:
    from PIL import Image

    try:
        image = decoded(content, "RGB")
    except Unreadable as error:
        raise DataCorrupt(f"{what} cannot be decoded: {error}") from None
    width, height = (max(1, round(crop * length)) for length in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    resized = image.crop((left, top, left + width, top + height)).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(resized).transpose(2, 0, 1)
