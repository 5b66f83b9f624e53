"""The image files below a folder, and what else lies there."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from clustlib._validation import check_path
from clustlib.errors import DataMissing

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")


@dataclass(frozen=True)
class Listing:
    """``files`` are relative to ``root``, with forward slashes, in order; ``skipped`` maps others to why."""

    root: Path
    files: list[str]
    skipped: dict[str, str] = field(default_factory=dict)

    def path(self, file: str) -> str:
        """Where a file lies."""
        return os.path.join(self.root, file)


def list_images(root: str | Path) -> Listing:
    """What lies below ``root``, at any depth, told apart by name and kind; no content is read.

    Links to folders are followed, each folder once. Hidden files and folders are skipped.

    Raises
    ------
    DataMissing : no such folder, or one that cannot be listed.
    """
    check_path("folder", root)
    root = Path(root)
    try:
        os.listdir(root)
    except OSError as error:
        raise DataMissing(f"{root}: {error.strerror or error}") from None
    files, skipped = [], {}
    for name, reason in _walk(root, "", {_identity(root)}):
        if reason is None:
            files.append(name)
        else:
            skipped[name] = reason
    return Listing(root, sorted(files, key=lambda name: name.split("/")), skipped)


def _identity(path: str | Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _walk(root: Path, below: str, seen: set[tuple[int, int]]) -> Iterator[tuple[str, str | None]]:
    """(name, why it is skipped or None) of every file; a stack in place of recursion, so that depth has no limit."""
    waiting = [below]
    while waiting:
        folder = waiting.pop()
        try:
            entries = sorted(os.scandir(os.path.join(root, folder)), key=lambda entry: entry.name)
        except OSError as error:
            yield f"{folder}/", "folder without permission" if isinstance(error, PermissionError) else "folder is gone"
            continue
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            reason = _reason(entry, seen)
            if reason == _FOLDER:
                waiting.append(name)
            else:
                yield name, reason


_FOLDER = "folder"


def _reason(entry: os.DirEntry, seen: set[tuple[int, int]]) -> str | None:
    if entry.name.startswith("."):
        return "hidden"
    try:
        status = entry.stat()
    except OSError as error:
        return "link to nothing" if isinstance(error, FileNotFoundError) else "link in a circle"
    if stat.S_ISDIR(status.st_mode):
        known = (status.st_dev, status.st_ino) in seen
        seen.add((status.st_dev, status.st_ino))
        return "folder that was listed already" if known else _FOLDER
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    suffix = os.path.splitext(entry.name)[1].lower()
    if suffix not in SUFFIXES:
        return f"not an image file ({suffix})" if 1 < len(suffix) <= 10 else "not an image file"
    return None
