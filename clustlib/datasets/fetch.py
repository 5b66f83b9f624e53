"""Finding a set's files, checking them, and downloading what is missing.

Files are looked for in ``$CLUSTLIB_DATA``, then in the user cache; a download goes to the user cache.
"""

import gzip
import hashlib
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from clustlib._paths import write_atomically
from clustlib.datasets import registry
from clustlib.datasets.description import DataFile, DatasetInfo, Layout
from clustlib.errors import DataCorrupt, DataMissing

VARIABLE = "CLUSTLIB_DATA"
_CHUNK = 1 << 20
_STALE_AFTER = 24 * 3600  # seconds; a temporary file this old belongs to a process that was killed


@dataclass(frozen=True)
class Found:
    """A layout whose files are all there, and where."""

    layout: Layout
    paths: tuple[Path, ...]

    @property
    def state(self) -> tuple[tuple[str, int, int], ...]:
        """What changes when a file does: path, size and modification time."""
        return tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in self.paths)


def cache_folder() -> Path:
    """Where downloads and decoded archives are kept, one folder per user."""
    import pooch

    return Path(pooch.os_cache("clustlib")) / "datasets"


def roots() -> list[Path]:
    """The data folders in the order in which they are searched."""
    given = os.environ.get(VARIABLE)
    return [*([Path(given).expanduser()] if given else []), cache_folder()]


def _is_there(path: Path, file: DataFile) -> bool:
    return (path.is_dir() and any(path.iterdir())) if file.folder else path.is_file()


def locate(info: DatasetInfo) -> Found | None:
    """The first layout that is complete, in the first data folder that has one; content is not looked at."""
    for root in roots():
        for layout in info.layouts:
            paths = tuple(root / file.path for file in layout.files)
            if all(_is_there(path, file) for path, file in zip(paths, layout.files)):
                return Found(layout, paths)
    return None


def is_present(info: DatasetInfo) -> bool:
    """Whether the set is on this machine, judged by its files' names and sizes."""
    located = locate(info)
    return located is not None and all(
        file.size is None or file.unpacked_sha256 is not None or path.stat().st_size == file.size
        for path, file in zip(located.paths, located.layout.files)
    )


def missing(info: DatasetInfo, why: str = "", how: str = "") -> DataMissing:
    """The error that says, in one line, what to fetch from where and into which folder."""
    given = os.environ.get(VARIABLE)
    lost = ", which is not a folder" if given and not Path(given).expanduser().is_dir() else ""
    where = f"${VARIABLE} ({given or 'not set'}{lost}) or the user cache ({cache_folder()})"
    parts = [f"{info.name} ({info.title}) is not on this machine.", why, how or info.how]
    parts.append(f"It belongs at {' or at '.join(map(str, info.layouts))} below {where}.")
    parts.extend(_renamed(info))
    if info.stand_in:
        parts.append(f"{info.stand_in} can stand in for it.")
    return DataMissing(" ".join(filter(None, parts)))


def _renamed(info: DatasetInfo) -> Iterator[str]:
    """A hint for every file beside the expected place that has an expected file's size."""
    for root in roots():
        for file in info.files:
            path = root / file.path
            if file.size is None or path.exists() or not path.parent.is_dir():
                continue
            for other in sorted(path.parent.iterdir()):
                if other.is_file() and other.stat().st_size == file.size:
                    yield f"{other} has the size of {path.name}: was it renamed?"


def checksum(path: Path, algorithm: str = "sha256", *, unpacked: bool = False) -> str:
    """A file's checksum (hex), or that of the content of a gzip file, read from the file now."""
    state = hashlib.new(algorithm)
    with gzip.open(path, "rb") if unpacked else open(path, "rb") as stream:
        while block := stream.read(_CHUNK):
            state.update(block)
    return state.hexdigest()


def digest(path: Path, algorithm: str = "sha256", *, unpacked: bool = False) -> str:
    """:func:`checksum`, computed once and kept in the user cache under path, size, inode and times of change.

    So a set's second load does not read its files twice.
    """
    stat = path.stat()
    times = f"{stat.st_mtime_ns}|{stat.st_ctime_ns}|{stat.st_ino}"
    state = f"{path.resolve()}|{stat.st_size}|{times}|{algorithm}|{unpacked}"
    note = cache_folder() / "checked" / hashlib.sha256(os.fsencode(state)).hexdigest()
    with suppress(OSError, UnicodeDecodeError):
        known = note.read_text(encoding="ascii")
        if len(known) == hashlib.new(algorithm).digest_size * 2:
            return known
    computed = checksum(path, algorithm, unpacked=unpacked)
    with suppress(OSError):  # a cache that cannot be written costs time, not the load
        write_atomically(note, computed.encode())
    return computed


def verify(path: Path, file: DataFile) -> None:
    """Compare a file with its pinned checksum, where it has one.

    Raises
    ------
    DataCorrupt
        Names the file and both checksums, and whose content it is if that is known.
    """
    for algorithm, expected, unpacked in (
        ("sha256", file.unpacked_sha256, True),
        ("sha256", None if file.unpacked_sha256 else file.sha256, False),
        ("md5", None if file.sha256 else file.md5, False),
    ):
        if expected is None:
            continue
        try:
            actual = digest(path, algorithm, unpacked=unpacked)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataCorrupt(
                f"{path} is damaged ({error}): {algorithm} of its content must be {expected}; "
                f"of the file as it is: {digest(path, algorithm)}"
            ) from error
        if actual != expected:
            what = f"{algorithm} of its content" if unpacked else algorithm
            raise DataCorrupt(
                f"{path} is not what it must be: {what} expected {expected}, found {actual}{_owner(actual)}"
            )


def _owner(found: str) -> str:
    owner = registry.owner_of(found)
    return f" (that is {owner})" if owner else ""


def sweep(folder: Path) -> None:
    """Remove temporary files that a killed process left in ``folder`` a day ago or earlier."""
    for path in folder.glob(".*.part"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_AFTER:
                path.unlink()


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary path beside ``target`` that takes its place when the block succeeds, and else is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _reason(url: str, error: OSError) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return f"{url}: {f'HTTP {status}' if status else error.strerror or type(error).__name__}."


def _download_file(info: DatasetInfo, file: DataFile, target: Path) -> None:
    """Download one file from the first of its addresses that gives the pinned content."""
    reasons: list[str] = []
    corrupt: DataCorrupt | None = None
    for url in file.urls:
        try:
            with replacing(target) as temporary:
                _stream(url, temporary, f"{info.name}: {target.name}")
                _verify_download(url, temporary, file)
            return
        except DataCorrupt as error:
            corrupt = error
        except OSError as error:  # requests' exceptions are OSErrors, as is a full disk
            reasons.append(_reason(url, error))
    homes = ", ".join(other.urls[0] for other in info.download.files) if info.download else ""
    raise corrupt or missing(info, f"The download failed: {' '.join(reasons)}", f"Its files are at {homes}.")


def _stream(url: str, path: Path, label: str) -> None:
    from pooch import HTTPDownloader
    from tqdm.auto import tqdm

    # total=1: pooch asks a bar for its truth before it sets the total, and a bar without a total has none
    with tqdm(total=1, unit="B", unit_scale=True, desc=label, leave=False) as bar:
        # identity: a server that unpacks a .gz on the way would change its checksum
        headers = {"Accept-Encoding": "identity"}
        HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=30, headers=headers)(url, str(path), None)


def _verify_download(url: str, path: Path, file: DataFile) -> None:
    algorithm, expected = ("sha256", file.sha256) if file.sha256 else ("md5", file.md5)
    actual = checksum(path, algorithm)
    if actual != expected:
        raise DataCorrupt(
            f"{file.path} downloaded from {url} is damaged: {algorithm} expected {expected}, found {actual}; "
            "nothing was kept"
        )


def download(info: DatasetInfo) -> Found:
    """Fetch a set's official files into the user cache; files that are there and whole are kept.

    Raises
    ------
    DataMissing
        Nothing to download it from, no network, or a transfer that broke off.
    DataCorrupt
        What arrived is not what was pinned; nothing of it is kept.
    """
    layout = info.download
    if layout is None:
        raise missing(info)
    paths = tuple(cache_folder() / file.path for file in layout.files)
    for path, file in zip(paths, layout.files):
        if not (path.is_file() and _is_whole(path, file)):
            _download_file(info, file, path)
    return Found(layout, paths)


def obtain(info: DatasetInfo) -> Found:
    """A set's files, whole: those that are here, or freshly downloaded; a damaged download is replaced."""
    located = locate(info)
    if located is None or (located.layout == info.download and located.paths[0].is_relative_to(cache_folder())):
        return download(info)
    for path, file in zip(located.paths, located.layout.files):
        verify(path, file)
    return located


def _is_whole(path: Path, file: DataFile) -> bool:
    try:
        verify(path, file)
    except DataCorrupt:
        return False
    return True
