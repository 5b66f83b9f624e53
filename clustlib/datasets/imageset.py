"""The one form in which every data set arrives: images as they came, labels, names."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from clustlib._arrays import held, one_line, shown
from clustlib._validation import check_integer, check_seed
from clustlib.errors import UsageError

_NORMS = ("l2", "unit", None)


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Images and their labels; read-only, so that :attr:`checksum` stays true.

    Parameters
    ----------
    images : (N, C, H, W) uint8. Channels are 1 (gray) or 3 (red, green, blue).
    labels : (N,) integers, kept as int64; None where nobody knows any. Used by scores only, never by a clustering
        method.
    name : the registered name, or what a table should call the set.
    class_names : one name per label value, in order, where the set has them.
    split : (N,) strings that name each image's official part ("train", "test", ...), where there are any.
    files : the file of each image, where each had one.

    Raises
    ------
    UsageError
        Wrong rank or dtype, or lengths that do not agree.
    """

    images: np.ndarray
    labels: Any  # (N,) int64 or None: what reads registered sets need not ask
    name: str
    class_names: tuple[str, ...] | None = None
    split: np.ndarray | None = None
    files: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        images = np.ascontiguousarray(self.images)
        if images.ndim != 4 or images.dtype != np.uint8:
            raise UsageError(f"{self.name}: images must be (N, C, H, W) uint8, got {images.dtype} {images.shape}")
        if images.size == 0:
            raise UsageError(f"{self.name}: there are no images in an array of shape {images.shape}")
        self._set("images", _read_only(_own(images)))
        if self.labels is not None:
            labels = np.asarray(held(self.labels, "labels"))
            if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
                raise UsageError(
                    f"{self.name}: labels must be ({len(images)},) integers, got {labels.dtype} {labels.shape}"
                )
            if labels.max() > np.iinfo(np.int64).max:
                raise UsageError(f"{self.name}: labels must be below 2**63, got {labels.max()}")
            self._set("labels", _read_only(labels.astype(np.int64)))
        if self.class_names is not None:
            self._set("class_names", self._names("class_names"))
            if self.n_classes > len(self.class_names):
                raise UsageError(
                    f"{self.name}: {len(self.class_names)} class_names for labels of {self.n_classes} classes"
                )
        if self.split is not None:
            split = self._split()
            if split.shape != images.shape[:1]:
                raise UsageError(f"{self.name}: split must name the part of each of the {len(images)} images")
            self._set("split", _read_only(split))
        if self.files is not None:
            self._set("files", self._names("files"))
            if len(self.files) != len(images):
                raise UsageError(f"{self.name}: {len(self.files)} files for {len(images)} images")

    def __reduce__(self) -> tuple:
        return ImageSet, (self.images, self.labels, self.name, self.class_names, self.split, self.files)

    def _split(self) -> np.ndarray:
        try:
            return np.asarray(self.split, dtype=np.str_)
        except ValueError as error:  # a ragged list
            raise UsageError(f"{self.name}: split must be names: {one_line(error)}") from None

    def _names(self, field: str) -> tuple[str, ...]:
        names = getattr(self, field)
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise UsageError(f"{self.name}: {field} must be a sequence of names, got {shown(names)}")
        return tuple(map(str, names))

    def _set(self, field: str, value: Any) -> None:
        object.__setattr__(self, field, value)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def n_classes(self) -> int:
        """How many different labels there are; 0 where nobody knows any."""
        return 0 if self.labels is None else len(np.unique(self.labels))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the official split, in order of appearance; empty where there is none."""
        return () if self.split is None else tuple(dict.fromkeys(self.split.tolist()))

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.shape))
        classes = "no labels" if self.labels is None else f"{self.n_classes} classes"
        said = f"{self.name}: {len(self):,} images of {shape}, {classes}"
        if self.split is not None:
            said += ", " + " + ".join(f"{int((self.split == part).sum()):,} {part}" for part in self.parts)
        return f"<ImageSet {said}>"

    @cached_property
    def checksum(self) -> str:
        """SHA-256 (hex) of the images' shape and content and of the labels, if any, however the files were packed."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(self.images.data)
        if self.labels is not None:
            digest.update(self.labels.astype("<i8").data)
        return digest.hexdigest()

    def pixels(self, norm: str | None = "l2") -> np.ndarray:
        """Each image as one row: (N, C*H*W) float32, in C, H, W order.

        Parameters
        ----------
        norm : ``"l2"`` scales every image's intensities to unit Euclidean length (an all-zero image stays
            zero); ``"unit"`` maps 0..255 to [0, 1]; ``None`` leaves 0..255.

        The result is the only float copy that is made.
        """
        if norm not in _NORMS:
            raise UsageError(f"norm must be one of {', '.join(map(repr, _NORMS))}, got {norm!r}")
        rows = self.images.reshape(len(self), -1).astype(np.float32)
        if norm == "unit":
            rows /= 255
        elif norm == "l2":
            lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
            rows /= np.where(lengths == 0, 1, lengths).astype(np.float32)[:, None]
        return rows

    def take(self, n: int, seed: int) -> "ImageSet":
        """``n`` images drawn without replacement, in their original order.

        The same seed draws nested subsets: ``take(100, s)`` is contained in ``take(200, s)``. Classes are
        not balanced.

        Raises
        ------
        UsageError
            ``n`` below 1 or above the number of images, or a seed that is not a non-negative integer.
        """
        check_integer("n", n, 1)
        check_seed(seed)
        if n > len(self):
            raise UsageError(f"{self.name} has {len(self):,} images, cannot take {n:,}")
        drawn = np.random.default_rng(seed).permutation(len(self))[:n]
        return self._subset(np.sort(drawn), self.name)

    def part(self, which: str) -> "ImageSet":
        """The images of one part of the official split, named ``"<name>-<part>"``."""
        if self.split is None:
            raise UsageError(f"{self.name} has no official split")
        if which not in self.parts:
            raise UsageError(f"{self.name} has the parts {', '.join(self.parts)}, not {which!r}")
        return self._subset(np.flatnonzero(self.split == which), f"{self.name}-{which}", keep_split=False)

    def _subset(self, index: np.ndarray, name: str, keep_split: bool = True) -> "ImageSet":
        split = self.split[index] if self.split is not None and keep_split else None
        labels = None if self.labels is None else self.labels[index]
        files = None if self.files is None else tuple(self.files[i] for i in index.tolist())
        images = self.images[index]
        images.flags.writeable = False  # nobody else holds it
        return ImageSet(images, labels, name, self.class_names, split, files)


def _own(images: np.ndarray) -> np.ndarray:
    """``images``, or a copy where the caller could still write into them; what is read-only, as from a file, stays."""
    whole = images
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    return images.copy() if whole.flags.writeable else images


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def joined(name: str, parts: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> ImageSet:
    """One set from (part, images, labels) triples, its split named by them."""
    split = np.repeat([part for part, _, _ in parts], [len(labels) for _, _, labels in parts])
    images, labels = (np.concatenate([triple[i] for triple in parts]) for i in (1, 2))
    return ImageSet(images, labels, name, split=split)
