"""Reading image files out of zip and tar archives and folders, and keeping the decoded array.

Nothing is ever unpacked to disk. A decoded archive is kept in the user cache under its checksum, as a plain
array that later loads map into memory.
"""

import hashlib
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from clustlib.datasets import fetch
from clustlib.datasets.description import DatasetInfo
from clustlib.datasets.imageset import ImageSet
from clustlib.datasets.pictures import Unreadable, decoded
from clustlib.datasets.space import mapped_array
from clustlib.errors import DataCorrupt

_RULE = 2  # part of the decoded arrays' names: raise it when what a plan or `decode` makes of a set changes
_LARGEST_MEMBER = 64 << 20  # bytes; no image of any registered set comes near


@dataclass(frozen=True)
class Plan:
    """Which members of an archive are the set's images, in order, and what they are."""

    members: list[str]
    labels: list[int]
    class_names: tuple[str, ...] | None = None
    split: list[str] | None = None


@dataclass(frozen=True)
class Pick:
    """What a member's name says: its class (sortable), its place within the class, its part of a split."""

    label: int | str
    order: int | str
    part: str | None = None


def plan_by_name(names: Iterable[str], pick: Callable[[str], Pick | None]) -> Plan:
    """Order members by class, then within it; labels are the classes' ranks."""
    picked = [(name, found) for name in names if (found := pick(name)) is not None]
    picked.sort(key=lambda pair: (pair[1].label, pair[1].order, pair[0]))
    classes = sorted({found.label for _, found in picked})
    rank = {label: i for i, label in enumerate(classes)}
    parts = [found.part for _, found in picked if found.part is not None]
    return Plan(
        [name for name, _ in picked],
        [rank[found.label] for _, found in picked],
        tuple(label for label in classes if isinstance(label, str)) or None,
        parts if parts and len(parts) == len(picked) else None,
    )


def _safe(archive: Path, name: str) -> str:
    """A member's name without a leading "./".

    Names are only compared, never used as paths; one that points outside is refused all the same, since it
    says that the archive is not what it claims to be.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or re.match(r"[A-Za-z]:", name):
        raise DataCorrupt(f"{archive} holds a member with the unsafe name {name!r}")
    return path.as_posix()


def member_names(source: Path) -> list[str]:
    """The names of all files in an archive or below a folder."""
    return [name for name, _ in _walk(source, None)]


def member_contents(source: Path, wanted: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the wanted files, in the archive's own order: a tar is read once, front to back."""
    return _walk(source, frozenset(wanted))


def _walk(source: Path, wanted: frozenset[str] | None) -> Iterator[tuple[str, bytes]]:
    """Every file's name with no content, or the wanted ones with theirs."""
    if source.is_dir():
        return _walk_folder(source, wanted)
    return _walk_zip(source, wanted) if source.suffix == ".zip" else _walk_tar(source, wanted)


def _walk_folder(source: Path, wanted: frozenset[str] | None) -> Iterator[tuple[str, bytes]]:
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source).as_posix()
        if (wanted is None or name in wanted) and path.is_file():
            _check_size(source, name, path.stat().st_size)
            yield name, b"" if wanted is None else path.read_bytes()


def _walk_zip(source: Path, wanted: frozenset[str] | None) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(source) as archive:
        for member in archive.infolist():
            name = _safe(source, member.filename)
            if member.is_dir() or (wanted is not None and name not in wanted):
                continue
            _check_size(source, name, member.file_size)
            yield name, b"" if wanted is None else archive.read(member)


def _walk_tar(source: Path, wanted: frozenset[str] | None) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(source, "r:*") as archive:
        for member in archive:
            name = _safe(source, member.name)
            if not member.isfile() or (wanted is not None and name not in wanted):
                continue
            _check_size(source, name, member.size)
            content = archive.extractfile(member) if wanted is not None else None
            yield name, content.read() if content is not None else b""


def _check_size(source: Path, name: str, size: int) -> None:
    if size > _LARGEST_MEMBER:
        raise DataCorrupt(f"{source}: {name} unpacks to {size:,} bytes, which no image of this set does")


def decode(content: bytes, shape: tuple[int, int, int], *, fit: bool, what: str = "image") -> np.ndarray:
    """One image file as (C, H, W) uint8, gray for C = 1 and RGB for C = 3.

    With ``fit`` the image is scaled (bicubic, with antialiasing) until its short side fills the shape, if it
    does not already, and the middle is cut out; otherwise it must have the size it is meant to have.
    """
    channels, height, width = shape
    try:
        image = decoded(content, "L" if channels == 1 else "RGB")
    except Unreadable as error:
        raise DataCorrupt(f"{what} cannot be decoded: {error}") from error
    if fit:
        image = _fitted(image, width, height)
    if image.size != (width, height):
        raise DataCorrupt(f"{what} is {image.width}x{image.height} pixels, must be {width}x{height}")
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _fitted(image: Any, width: int, height: int) -> Any:
    """Scaled only where the short side does not fit, and cut at whole pixels, so that a fitting image is kept as is."""
    scale = max(width / image.width, height / image.height)
    if scale != 1:
        size = max(width, round(image.width * scale)), max(height, round(image.height * scale))
        image = image.resize(size, 3)  # PIL's BICUBIC
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _decode_into(images: np.ndarray, source: Path, members: list[str], info: DatasetInfo, fit: bool) -> None:
    from tqdm.auto import tqdm

    place = {name: i for i, name in enumerate(members)}
    if len(place) != len(members):
        raise DataCorrupt(f"{source} holds two members of the same name")
    contents = member_contents(source, place)
    done = 0
    for name, content in tqdm(contents, f"decoding {info.name}", len(members), leave=False, delay=1, unit="img"):
        images[place[name]] = decode(content, images.shape[1:], fit=fit, what=f"{source}: {name}")
        done += 1
    if done != len(members):
        raise DataCorrupt(f"{source} holds {done:,} of the {len(members):,} images that it should")


def read_images(info: DatasetInfo, paths: Sequence[Path], plan: Callable[[], Plan], *, fit: bool = False) -> ImageSet:
    """A set from the image files of an archive or folder, the first of ``paths``, in the order of ``plan``.

    An archive is decoded once: the array is kept in the user cache under the checksums of all ``paths``, the lists that
    ``plan`` reads among them, so that neither ``plan`` nor any image is read again. A folder has no checksum and is
    read each time.
    """
    assert info.shape is not None
    source = paths[0]
    if source.is_dir():
        return _decoded(info, source, plan(), fit)
    target = fetch.cache_folder() / "decoded" / f"{_key(info, paths, fit)}.npy"
    try:
        return _kept(info, target)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # absent, or not whole: made again
        pass
    planned = plan()
    try:
        _keep(info, source, planned, fit, target)
    except DataCorrupt:
        raise
    except OSError:  # a cache that cannot be written, or has no room: decode to memory
        return _decoded(info, source, planned, fit)
    return _kept(info, target)


def _key(info: DatasetInfo, paths: Sequence[Path], fit: bool) -> str:
    """A name that holds everything that shapes the array: the files, what is asked of them, and the decoder."""
    import PIL

    assert info.shape is not None
    sums = [fetch.digest(path) for path in paths]
    shaping = (info.shape, info.n_classes, fit, [layout.reader for layout in info.layouts], PIL.__version__, _RULE)
    both = hashlib.sha256(repr((sums, shaping)).encode()).hexdigest()
    return f"{info.name}-{'x'.join(map(str, info.shape[1:]))}-{both[:24]}"


def _decoded(info: DatasetInfo, source: Path, plan: Plan, fit: bool) -> ImageSet:
    images = np.empty((len(plan.members), *info.shape), np.uint8)  # type: ignore[misc]
    _decode_into(images, source, plan.members, info, fit)
    return _as_set(info, images, np.array(plan.labels, np.int64), plan.class_names or (), plan.split or ())


def _keep(info: DatasetInfo, source: Path, plan: Plan, fit: bool, target: Path) -> None:
    if not plan.members:
        raise DataCorrupt(f"{source} holds none of the images of {info.title}")
    with fetch.replacing(target) as pixels:
        shape = (len(plan.members), *info.shape)  # type: ignore[misc]
        images = mapped_array(pixels, np.uint8, shape)
        _decode_into(images, source, plan.members, info, fit)
        images.flush()
        with fetch.replacing(target.with_suffix(".npz")) as notes, open(notes, "wb") as file:
            np.savez(
                file,
                labels=np.array(plan.labels, np.int64),
                class_names=np.array(plan.class_names or (), np.str_),
                split=np.array(plan.split or (), np.str_),
                sha256=np.array(fetch.checksum(pixels)),
            )


def _kept(info: DatasetInfo, target: Path) -> ImageSet:
    with np.load(target.with_suffix(".npz"), allow_pickle=False) as notes:
        labels, class_names, split = notes["labels"], notes["class_names"], notes["split"]
        whole = fetch.digest(target) == str(notes["sha256"])
    if not whole:
        raise ValueError(f"{target} is not the decoded {info.name}")
    images = np.load(target, mmap_mode="r", allow_pickle=False)
    return _as_set(info, images, labels, class_names, split)


def _as_set(
    info: DatasetInfo, images: np.ndarray, labels: np.ndarray, class_names: Iterable[str], split: Iterable[str]
) -> ImageSet:
    parts = list(split)
    return ImageSet(images, labels, info.name, tuple(class_names) or None, np.array(parts) if parts else None)
