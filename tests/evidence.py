"""What tells that a test wrote into the evidence of the checkout that it runs in."""

from pathlib import Path


def touched(folder: Path, before: dict[Path, tuple[int, int]]) -> list[str]:
    """Files under a folder that are no longer what they were in ``before``, see :func:`written`."""
    now = written(folder)
    return sorted(str(path) for path in before if now.get(path) != before[path])


def written(folder: Path) -> dict[Path, tuple[int, int]]:
    """Size and time of writing of every file under a folder."""
    found = ((path, path.stat()) for path in folder.rglob("*") if path.is_file())
    return {path: (state.st_size, state.st_mtime_ns) for path, state in found}
