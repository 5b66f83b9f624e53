"""Run one notebook, or the whole book.

python -m clustlib.reproduce run jule/table-03-nmi-raw-pixels --set datasets='[mnist-test]'
python -m clustlib.reproduce run jule/table-03-nmi-raw-pixels --profile paper --recompute missing --plain
python -m clustlib.reproduce book                       (make book)
python -m clustlib.reproduce book --recompute missing   (make reproduce PROFILE=paper)
python -m clustlib.reproduce bands                      (make bands: after a change that moves numbers on purpose)
"""

import argparse
import os
import sys
import time
from pathlib import Path

import yaml

from clustlib import _paths
from clustlib.errors import OneLine, UsageError
from clustlib.records import RECOMPUTE
from clustlib.reproduce import notebook as nb
from clustlib.reproduce import workflow


def _overrides(pairs: list[str], recompute: str | None, chosen: nb.Notebook) -> dict:
    overrides = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise UsageError(f"--set takes NAME=VALUE, got {pair!r}")
        overrides[name] = yaml.safe_load(value)
    if recompute and "recompute" in chosen.defaults():
        overrides.setdefault("recompute", recompute)
    return overrides


def _report(line: str) -> None:
    """Print a line in one piece: jobs that run side by side share the driver's pipe, and print writes the end apart."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run(arguments: argparse.Namespace) -> int:
    """Run one notebook; print one line when it starts and one when it ends."""
    chosen = nb.find(arguments.notebook)
    recompute = arguments.recompute or (os.environ.get("CLUSTLIB_RECOMPUTE") if arguments.profile == "paper" else None)
    overrides = _overrides(arguments.set, recompute, chosen)
    output = Path(arguments.output or _paths.root() / workflow.executed(arguments.profile, chosen)).resolve()
    _report(f"> {arguments.profile} {chosen.name}")
    clock = time.perf_counter()
    try:
        nb.run(chosen, arguments.profile, overrides, output, arguments.plain)
    except nb.NotebookFailed as error:
        _report(f"! {arguments.profile} {chosen.name} failed: {error.line}")
        return 0 if arguments.keep_going else 1
    _report(f"< {arguments.profile} {chosen.name} {time.perf_counter() - clock:.1f} s")
    return 0


def html(arguments: argparse.Namespace) -> int:
    """Build the HTML from the executed notebooks of the paper profile."""
    from clustlib.reproduce import site

    return site.build()


def for_colab(arguments: argparse.Namespace) -> int:
    """Write the notebooks that Colab opens."""
    from clustlib.reproduce import colab

    print(f"wrote {colab.write(arguments.folder)} notebooks under {arguments.folder}")
    return 0


def book(arguments: argparse.Namespace) -> int:
    """Run the workflow and say what came of it."""
    from clustlib.reproduce import driver

    return driver.make_book(arguments.recompute, arguments.cores, arguments.snakemake)


def bands(arguments: argparse.Namespace) -> int:
    """Set the regression bands from a fresh quick run."""
    from clustlib.reproduce import stored

    stored.set_bands(arguments.notebooks)
    return 0


def strip(arguments: argparse.Namespace) -> int:
    """Strip notebooks of what running them left; non-zero where that changed one (as pre-commit expects)."""
    from clustlib.reproduce import stored

    before = [path.read_bytes() for path in arguments.notebooks]
    for path in arguments.notebooks:
        stored.strip(path)
    return int(before != [path.read_bytes() for path in arguments.notebooks])


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m clustlib.reproduce", description=__doc__.splitlines()[0])
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser("run", help="run one notebook")
    one.add_argument("notebook", help="paper/name, or a path to an .ipynb")
    one.add_argument("--profile", choices=("quick", "paper"), default="quick")
    one.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="set a parameter (YAML value)")
    one.add_argument("--recompute", choices=RECOMPUTE, help="which runs to compute instead of replaying them")
    one.add_argument("--output", help="where the executed copy goes (default: under _build)")
    one.add_argument("--plain", action="store_true", help="run the code cells as plain Python, without Jupyter")
    one.add_argument("--keep-going", action="store_true", help="exit 0 where the notebook raised; its result says so")
    one.set_defaults(call=run)

    whole = commands.add_parser("book", help="run every notebook and build the HTML")
    whole.add_argument(
        "--recompute", choices=RECOMPUTE, default="never", help="which records of the paper profile to compute"
    )
    whole.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    whole.add_argument("snakemake", nargs="*", help="further arguments for snakemake, after --")
    whole.set_defaults(call=book)

    commands.add_parser("html", help="build the HTML from what has been executed").set_defaults(call=html)
    opened = commands.add_parser("colab", help="write the notebooks with a first cell that installs the book on Colab")
    opened.add_argument("folder", type=Path)
    opened.set_defaults(call=for_colab)
    banded = commands.add_parser("bands", help="set the regression bands from a fresh quick run")
    banded.add_argument("notebooks", nargs="*", help="paper/name; without any, every notebook")
    banded.set_defaults(call=bands)
    clean = commands.add_parser("strip", help="remove outputs from notebooks, except the regression cells'")
    clean.add_argument("notebooks", nargs="+", type=Path)
    clean.set_defaults(call=strip)
    return top


def main(argv: list[str] | None = None) -> int:
    """Entry point; a wrong parameter or missing file ends with one line and exit code 2."""
    arguments = parser().parse_args(argv)
    try:
        return arguments.call(arguments)
    except OneLine as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on from here", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
