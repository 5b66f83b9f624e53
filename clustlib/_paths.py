"""Where the book's files are: found from the working folder, else from this package's checkout."""

import glob
import os
import stat
from functools import cache
from pathlib import Path

from clustlib._arrays import shown
from clustlib.errors import DataMissing, UsageError

_LONGEST = 220  # bytes of a file's name; it may have 255, and is written under a longer one first


def _is_book(folder: Path) -> bool:
    return (folder / "_config.yml").is_file() and (folder / "notebooks").is_dir()


@cache
def _root_from(start: Path) -> Path | None:
    return next((folder for folder in (start, *start.parents) if _is_book(folder)), None)


def root() -> Path:
    """The book's root folder (the one with ``_config.yml`` and ``notebooks/``).

    Looked for upwards from the working folder, then beside this package. Raises
    ``DataMissing`` where neither is inside a checkout of the book.
    """
    found = _root_from(Path.cwd()) or _root_from(Path(__file__).resolve().parent)
    if found is None:
        raise DataMissing("not inside a checkout of the book: no folder with _config.yml and notebooks/")
    return found


def build(profile: str = "") -> Path:
    """``_build/<profile>``: everything generated, never committed."""
    return root() / "_build" / profile


def book(*parts: str) -> Path:
    """A path under ``book/``."""
    return root().joinpath("book", *parts)


def lies_in(path: Path, folder: Path) -> bool:
    """Whether ``path`` is ``folder`` or below it, links followed."""
    return path.resolve().is_relative_to(folder.resolve())


def check_place(path: Path) -> None:
    """Refuse, before any work is done for it, a place where nothing can be written. Raises :class:`UsageError`."""
    if "\0" in str(path):
        raise UsageError(f"no file's name has a zero byte: {shown(str(path))}")
    if long := [part for part in path.parts if len(os.fsencode(part)) > _LONGEST]:
        raise UsageError(f"a name of {len(os.fsencode(long[0]))} bytes is too long: {long[0]}")
    there = next((parent for parent in path.absolute().parents if os.path.exists(parent)), Path("/"))
    if not there.is_dir():
        raise UsageError(f"{there} is no folder, so {path.name} cannot be written there")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"{there} cannot be written to, so {path.name} would be lost")


def real_file(path: Path, name: str) -> Path:
    """The file that is written where ``path`` is named, links followed. Raises :class:`UsageError` where none can."""
    check_place(path)
    try:
        place = path.resolve()
    except (OSError, RuntimeError):
        raise UsageError(f"{name} must be a file, and {path} is a link that leads nowhere") from None
    check_place(place)
    if place.exists() and not place.is_file():
        raise UsageError(f"{name} must be a file, and {path} is {'a folder' if place.is_dir() else 'none'}")
    return place


def _abandoned(path: Path) -> list[Path]:
    """The temporary files for ``path`` whose process is gone."""
    leftovers = []
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp") if os.name == "posix" else ():
        try:
            os.kill(int(left.name.split(".")[-2]), 0)
        except ProcessLookupError:
            leftovers.append(left)
        except (ValueError, OSError):  # not a name of ours; another user's process
            continue
    return leftovers


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` so that a reader sees the old file or the whole new one.

    A failed write (a full disk, a kill) leaves no partial file under the final name; the temporary
    file is removed where the process lives on, else by the next to write ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in _abandoned(path):
        left.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():  # who may read the file stays as it was
            os.chmod(temporary, stat.S_IMODE(path.stat().st_mode))
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, f"could not write {path}: {error.strerror}") from error
