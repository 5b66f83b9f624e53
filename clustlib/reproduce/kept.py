"""Which pages a new build may keep: where only texts changed, Sphinx reads and writes those pages alone.

A page shows more than its own file: the headings of others in its sidebar and its links, the theme, the code. Of all
that :func:`frame` is a hash; where it is that of the last whole build, every page whose files did not change stands.
"""

import filecmp
import hashlib
import json
import os
import pickle
import re
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from sphinx.application import ENV_PICKLE_FILENAME, Sphinx

import clustlib
from clustlib import _paths
from clustlib.reproduce.pages import source_of

# what other pages may name: headings, and targets of links
_NAMED = re.compile(r"^(?:#+ .*|\([\w-]+\)=)$", re.M)
_SHARED = ("_config.yml", "_toc.yml", "book/*.bib", "book/_static/**/*")


def frame(folder: Path) -> str:
    """A hash of all that pages show of other files than their own, for the sources gathered in ``folder``."""
    total = hashlib.sha256()
    shared = [path for pattern in _SHARED for path in folder.glob(pattern) if path.is_file()]
    for path in sorted({*shared, *Path(clustlib.__file__).parent.glob("**/*.py")}):
        total.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    for path in sorted(path for suffix in ("md", "ipynb") for path in folder.rglob(f"*.{suffix}")):
        total.update(f"{path.relative_to(folder)}\0{_NAMED.findall(_text(path))}\0".encode())
    total.update(repr(sorted((each.name, each.version) for each in metadata.distributions())).encode())
    return total.hexdigest()


def _text(page: Path) -> str:
    """What a page says in Markdown."""
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return text
    return "\n".join(source_of(cell) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown")


def take_over(fresh: Path, folder: Path) -> None:
    """Give ``folder`` the files of ``fresh``, which is removed; a file that is the same keeps its date."""
    wanted = set(_files(fresh))
    for relative in set(_files(folder)) - wanted:
        (folder / relative).unlink()
    for relative in wanted:
        source, target = fresh / relative, folder / relative
        if not target.is_file() or not filecmp.cmp(source, target, shallow=False):
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, target)
    shutil.rmtree(fresh)


def _files(folder: Path) -> Iterator[Path]:
    return (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def _last() -> Path:
    """The file with the frame of the last whole build; there is none while one is at work, or when it failed."""
    return _paths.build("log") / "html.frame"


def begin(now: str) -> bool:
    """Whether the pages of the last build may be kept; from here on until :func:`end` they may not."""
    last = _last()
    kept = last.is_file() and last.read_text(encoding="utf-8") == now
    last.unlink(missing_ok=True)
    return kept


def end(now: str) -> None:
    """Say that the HTML is whole and was built under this frame."""
    _last().write_text(now, encoding="utf-8")


def remember_index(app: Sphinx, exception: Exception | None) -> None:
    """Save what Sphinx knows once more when all is written: index entries for the search come in that late.

    Sphinx saves it when all is read, and with it the entries of no page; a build that keeps pages would lose theirs.
    """
    if exception is None:
        _paths.write_atomically(Path(app.doctreedir, ENV_PICKLE_FILENAME), pickle.dumps(app.env))


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx's entry point."""
    app.connect("build-finished", remember_index)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
