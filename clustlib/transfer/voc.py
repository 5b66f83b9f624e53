"""PASCAL VOC as its organisers publish it: the layout of the development kit, and the scores of its three tasks."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from clustlib._arrays import array_of, check_made, held, shown
from clustlib._validation import check_integer
from clustlib.datasets.folders import ImageFolder
from clustlib.errors import DataCorrupt, UsageError
from clustlib.transfer.checks import boxes_of, check_boxes, sequence_of, text_of

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
VOID = 255  # pixels of a segmentation that do not count


class Objects(NamedTuple):
    """``boxes`` (m, 4) float32 (left, top, right, bottom) from 0, ``classes`` (m,) int64, ``difficult`` (m,) bool."""

    boxes: np.ndarray
    classes: np.ndarray
    difficult: np.ndarray


class VocKit:
    """One year's folder, ``VOCdevkit/VOC2007`` or ``VOC2012``.

    Raises
    ------
    DataCorrupt : a file that the layout asks for is missing or has another form.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def ids(self, part: str, task: str = "Main") -> list[str]:
        """The images of "train", "val", "trainval" or "test"; ``task`` is "Main" or "Segmentation"."""
        return self._lines(f"ImageSets/{task}/{part}.txt")

    def labels(self, part: str) -> np.ndarray:
        """(N, 20) int8: 1 the class is there, 0 it is not, -1 there but difficult, which counts neither way."""
        ids = self.ids(part)
        columns = []
        for name in CLASSES:
            rows = [line.split() for line in self._lines(f"ImageSets/Main/{name}_{part}.txt")]
            if [row[0] for row in rows] != ids:
                raise DataCorrupt(f"{self.folder}: {name}_{part}.txt does not list the images of {part}.txt")
            if wrong := [row for row in rows if len(row) != 2 or row[1] not in _PRESENCE]:
                raise DataCorrupt(f"{self.folder}: {name}_{part}.txt has no 1, 0 or -1 after {shown(wrong[0][0])}")
            columns.append([_PRESENCE[row[1]] for row in rows])
        return np.array(columns, dtype=np.int8).T

    def objects(self, image: str) -> Objects:
        """What is annotated in an image."""
        path = self.folder / f"Annotations/{image}.xml"
        try:
            elements = ElementTree.parse(path).getroot().findall("object")
            boxes = [[float(o.findtext(f"bndbox/{side}", "")) - 1 for side in _SIDES] for o in elements]
            classes = [CLASSES.index(o.findtext("name", "")) for o in elements]
            difficult = [o.findtext("difficult", "0") == "1" for o in elements]
            check_boxes([np.array(boxes).reshape(-1, 4)])
        except (OSError, ElementTree.ParseError, ValueError) as error:
            raise DataCorrupt(f"{path} cannot be read: {error}") from None
        return Objects(
            np.array(boxes, np.float32).reshape(-1, 4), np.array(classes, np.int64), np.array(difficult, bool)
        )

    def segmentation(self, image: str) -> np.ndarray:
        """(H, W) uint8: 0 background, 1 to 20 the classes, 255 not counted."""
        from PIL import Image

        path = self.folder / f"SegmentationClass/{image}.png"
        try:
            with Image.open(path) as opened:
                if opened.mode not in ("P", "L"):
                    raise DataCorrupt(f"{path} holds colours ({opened.mode}), not the numbers of classes")
                return np.asarray(opened)
        except OSError as error:
            raise DataCorrupt(f"{path} cannot be read: {error}") from None

    def images(self, ids: Sequence[str]) -> ImageFolder:
        """The images of a list of ids, read one by one."""
        folder = ImageFolder(self.folder / "JPEGImages", upright=False)  # as its boxes and masks are
        by_name = {path.stem: path for path in folder.paths}
        missing = [name for name in ids if name not in by_name]
        if missing:
            raise DataCorrupt(f"{self.folder}: JPEGImages lacks {missing[0]}.jpg and {len(missing) - 1} more")
        folder.paths, folder.labels = [by_name[name] for name in ids], None
        return folder

    def _lines(self, name: str) -> list[str]:
        path = self.folder / name
        if not path.is_file():
            raise DataCorrupt(f"{path} is missing: {self.folder} is not laid out as VOC's development kit")
        return [line for line in text_of(path).splitlines() if line.strip()]


_PRESENCE = {"1": 1, "-1": 0, "0": -1}
_SIDES = ("xmin", "ymin", "xmax", "ymax")


def average_precision(scores: np.ndarray, truth: np.ndarray, n_positive: int | None = None) -> float:
    """VOC 2007's: the mean of the largest precision at a recall of at least 0, 0.1, ..., 1.

    Parameters
    ----------
    scores : (N,) numbers. truth : (N,), 1 right, 0 wrong, -1 left out. n_positive : where not all were found.

    Returns
    -------
    NaN where there is nothing to find.

    Raises
    ------
    UsageError : NaN or infinite scores, another length or another truth, more found than there are.
    """
    scores = array_of("scores", scores, "(N,)").astype(np.float64)
    truth = _checked_truth(truth, f"({len(scores)},)")
    if n_positive is not None:
        check_integer("n_positive", n_positive, int((truth == 1).sum()))
    return _interpolated(scores, truth, n_positive)


def _interpolated(scores: np.ndarray, truth: np.ndarray, n_positive: int | None = None) -> float:
    """:func:`average_precision` of what has been checked; scores that are NaN come last."""
    scores, truth = scores[truth >= 0].astype(np.float64), truth[truth >= 0]
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(truth[order] == 1)
    total = int((truth == 1).sum()) if n_positive is None else n_positive
    if total == 0:
        return float("nan")
    precision, recall = right / np.arange(1, len(right) + 1), right / total
    # recall is a quotient: 0.3 must count as reached by 3 of 10
    reached = [precision[recall >= level / 10 - 1e-9] for level in range(11)]
    return float(np.mean([p.max() if len(p) else 0.0 for p in reached]))


def mean_average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Mean over the classes of :func:`average_precision`; (N, classes) both. A class without images is left out.

    An image all of whose scores are NaN, as those of a damaged file are, comes last. Raises :class:`UsageError` where
    all are, or where some are not finite.
    """
    truth = _checked_truth(truth, "(N, classes)")
    scores = np.asarray(held(scores, "scores"))
    if scores.shape != truth.shape or scores.dtype.kind not in "fiub":
        raise UsageError(f"scores {scores.shape} must be numbers, in the same shape as truth {truth.shape}")
    damaged = np.isnan(scores).all(axis=1)
    if damaged.all() or not np.isfinite(scores[~damaged]).all():
        raise UsageError("scores contain NaN or infinite values")
    if not (truth == 1).any():
        raise UsageError("truth has nothing to find: no image of any class")
    return float(np.nanmean([_interpolated(s, t) for s, t in zip(scores.T, truth.T)]))


def _checked_truth(truth: np.ndarray, form: str) -> np.ndarray:
    """Whole numbers of a form such as "(N, classes)", each 1 (right), 0 (wrong) or -1 (counts neither way)."""
    truth = array_of("truth", truth, form)
    if not np.isin(truth, (-1, 0, 1)).all():
        raise UsageError("truth must hold 1 (right), 0 (wrong) and -1 (neither counts) alone")
    return truth.astype(np.int8)


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of (m, 4) with (n, 4) boxes whose sides include both ends: (m, n)."""
    boxes, others = boxes_of(boxes), boxes_of(others, "others")
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = (high - low + 1).clip(min=0).prod(2)
    areas = [(b[:, 2:] - b[:, :2] + 1).prod(1) for b in (boxes, others)]
    return common / (areas[0][:, None] + areas[1][None] - common)


class Detection(NamedTuple):
    """One found box: ``image`` (its index), ``box`` (4,), ``score``."""

    image: int
    box: np.ndarray
    score: float


def detection_precision(found: Sequence[Detection], truth: Sequence[Objects], class_: int) -> float:
    """Average precision of one class: a box is right if it covers an object by at least a half that no better box has.

    Difficult objects count neither way. NaN where there is no object of the class.

    Raises
    ------
    UsageError : a class that VOC has not, a detection in an image that is not there, whose box is none or whose score
    is not finite.
    """
    check_integer("class_", class_, 0, len(CLASSES) - 1)
    for one in sequence_of("truth", truth):
        check_objects(one)
    for detection in sequence_of("found", found):
        _check_detection(detection, len(truth))
    found = sorted(found, key=lambda d: -float(d.score))
    taken = [np.zeros(len(objects.classes), bool) for objects in truth]
    outcome = []
    for detection in found:
        objects = truth[detection.image]
        own = np.flatnonzero(objects.classes == class_)
        cover = overlaps(np.asarray(detection.box)[None], objects.boxes[own])[0] if len(own) else np.zeros(0)
        best = int(own[cover.argmax()]) if len(own) and cover.max() >= 0.5 else None
        if best is not None and objects.difficult[best]:
            outcome.append(-1)
            continue
        outcome.append(int(best is not None and not taken[detection.image][best]))
        if best is not None:
            taken[detection.image][best] = True
    n_positive = sum(int(((t.classes == class_) & ~t.difficult).sum()) for t in truth)
    return average_precision(np.array([d.score for d in found]), np.array(outcome, dtype=int), n_positive)


def check_objects(objects: Any) -> None:
    """Raise :class:`UsageError` unless what is annotated in an image is boxes with a class each."""
    check_made("truth", objects, "Objects", "boxes", "classes", "difficult")
    if not all(isinstance(part, np.ndarray) for part in (objects.boxes, objects.classes, objects.difficult)):
        raise UsageError("boxes, classes and difficult of Objects must be arrays")
    n = len(boxes_of(objects.boxes))
    classes = array_of("classes", objects.classes, f"({n},)", "iu")
    array_of("difficult", objects.difficult, f"({n},)", "b")
    if n and not 0 <= classes.min() <= classes.max() < len(CLASSES):
        raise UsageError(f"objects have classes from {classes.min()} to {classes.max()}; there are 0 to 19")


def _check_detection(detection: Detection, n_images: int) -> None:
    check_made("found", detection, "Detections", "image", "box", "score")
    check_integer("image", detection.image, 0, n_images - 1)
    array_of("box", detection.box, "(4,)")
    array_of("scores of detections", detection.score, "()")


def mean_intersection_over_union(
    found: Sequence[np.ndarray], truth: Sequence[np.ndarray], n_classes: int = 21
) -> float:
    """Mean over the classes, background included, of common over all pixels of either; void ones do not count.

    Raises
    ------
    UsageError : not as many masks, masks of another size, a class from ``n_classes`` on, nothing to count.
    """
    check_integer("n_classes", n_classes, 1, VOID)
    found = [array_of("found", one, "(H, W)", "iu") for one in sequence_of("found", found)]
    truth = [array_of("truth", one, "(H, W)", "iu") for one in sequence_of("truth", truth)]
    if not len(truth) or [one.shape for one in found] != [other.shape for other in truth]:
        raise UsageError(f"{len(found)} masks and {len(truth)} to compare with must be as many, of the same sizes")
    counts = np.zeros((n_classes, n_classes), dtype=np.int64)
    for one, other in zip(found, truth):
        counted = other != VOID
        both = np.concatenate([one[counted], other[counted]])
        if both.min(initial=0) < 0 or both.max(initial=0) >= n_classes:
            raise UsageError(f"a mask has classes below 0 or from {n_classes} on")
        pairs = other[counted].astype(np.int64) * n_classes + one[counted].astype(np.int64)
        counts += np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)
    union = counts.sum(0) + counts.sum(1) - counts.diagonal()
    present = union > 0
    if not present.any():
        raise UsageError("no pixel counts: the masks to compare with are void")
    return float((counts.diagonal()[present] / union[present]).mean())
