"""``python -m clustlib.datasets``: what is here and how to get the rest.

python -m clustlib.datasets                 the table
python -m clustlib.datasets info NAME ...   where a set is from, how it differs, how to get it
python -m clustlib.datasets fetch NAME ...  download it
"""

import argparse
import sys
from collections.abc import Sequence

from clustlib.datasets import available, fetch, info, names
from clustlib.datasets.description import DatasetInfo
from clustlib.errors import OneLine, ended, line_of

_HEADS = ("name", "images", "classes", "size", "here", "how to get it", "stands in for")


def _rows() -> list[tuple[str, ...]]:
    here = set(available())
    sets = [info(name) for name in names()]
    return [(*_facts(known), "yes" if known.name in here else "no", _how(known), _for(known, sets)) for known in sets]


def _facts(known: DatasetInfo) -> tuple[str, str, str, str]:
    classes = "-" if known.n_classes is None else f"{known.n_classes:,}"
    size = "varies" if known.shape is None else "x".join(map(str, known.shape))
    return known.name, f"{known.n_samples:,}", classes, size


def _how(known: DatasetInfo) -> str:
    if not known.files:
        return "ships with scikit-learn"
    if known.download:
        return f"fetch {known.name}" if known.supplied else "downloaded on first use"
    return f"supply it: info {known.name}"


def _for(known: DatasetInfo, sets: Sequence[DatasetInfo]) -> str:
    return ", ".join(other.name for other in sets if other.stand_in == known.name)


def _table() -> str:
    rows = [_HEADS, *_rows()]
    widths = [max(map(len, column)) for column in zip(*rows)]
    numeric = {1, 2}
    lines = [
        "  ".join(cell.rjust(width) if i in numeric else cell.ljust(width) for i, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(row, widths)) for row in rows)
    ]
    rule = "-" * len(lines[0])
    searched = ", then ".join(map(str, fetch.roots()))
    note = f"Looked in {searched}." + ("" if len(fetch.roots()) > 1 else f" Set {fetch.VARIABLE} to a data folder.")
    return "\n".join([lines[0].rstrip(), rule, *(line.rstrip() for line in lines[1:]), rule, note])


def _told(name: str) -> str:
    known = info(name)
    lines = [f"{name}: {known.title}, {known.n_samples:,} images"]
    lines += [f"  {label:8} {getattr(known, label)}" for label in ("source", "licence", "differs", "how")]
    lines += [f"  {'file':8} {_pinned(file)}" for file in known.files]
    if known.content:
        lines.append(f"  {'content':8} sha256 {known.content} (ImageSet.checksum)")
    if known.stand_in:
        lines.append(f"  {'instead':8} {known.stand_in} stands in for it")
    return "\n".join(lines)


def _pinned(file: fetch.DataFile) -> str:
    if file.sha256:
        return f"{file.path}  sha256 {file.sha256}"
    return f"{file.path}  md5 {file.md5}" if file.md5 else file.path + "/" * file.folder


def _fetched(name: str) -> str:
    known = info(name)
    located = fetch.obtain(known)
    return f"{name}: {' + '.join(map(str, located.paths)) or known.how}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 if everything asked for is there."""
    parser = argparse.ArgumentParser(prog="python -m clustlib.datasets", description="The book's data sets.")
    parser.add_argument("command", nargs="?", choices=("list", "info", "fetch"), default="list")
    parser.add_argument("names", nargs="*", metavar="NAME")
    asked = parser.parse_args(arguments)
    if bool(asked.names) == (asked.command == "list"):
        parser.error(f"{asked.command} takes {'no name' if asked.command == 'list' else 'at least one name'}")
    return ended(lambda: _answered(asked.command, asked.names))


def _answered(command: str, names: Sequence[str]) -> int:
    """Print what is asked for; 1 where a set could not be had."""
    if command == "list":
        print(_table())
    failed = 0
    for name in names:
        try:
            print(_told(name) if command == "info" else _fetched(name))
        except OneLine as error:
            print(line_of(error), file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
