"""Run one notebook, or the whole book.

python -m clustlib.reproduce run jule/table-03-nmi-raw-pixels --set datasets='[mnist-test]'
python -m clustlib.reproduce run jule/table-03-nmi-raw-pixels --profile paper --recompute missing --plain
python -m clustlib.reproduce book                       (make book)
python -m clustlib.reproduce book --recompute missing   (make reproduce PROFILE=paper)
python -m clustlib.reproduce bands                      (make bands: after a change that moves numbers on purpose)
"""

import argparse
import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from clustlib.errors import OneLine, UsageError, line_of, speak_in_any_locale
from clustlib.reproduce import processes

# the rest is imported where it is used, and takes a second: until then, too, an interrupt is one line


def _overrides(pairs: list[str], recompute: str | None, chosen: Any) -> dict:
    """What ``--set`` and ``--recompute`` say, as the types of the notebook's defaults."""
    from clustlib.reproduce.notebook import checked, profile_parameters
    from clustlib.reproduce.settings import check_meaning, split, typed

    defaults, remarks, paper = chosen.defaults(), chosen.remarks(), profile_parameters(chosen, "paper")
    given = checked(chosen, split(pairs), "command line")
    overrides = {name: typed(name, text, defaults[name]) for name, text in given.items()}
    for name, value in overrides.items():
        check_meaning(name, value, [defaults[name], paper.get(name, defaults[name])], remarks[name])
    if recompute and "recompute" in defaults:
        overrides.setdefault("recompute", recompute)
    return overrides


FULL_SCALE = "imagenet"


def _report(*lines: str) -> None:
    """Print lines in one piece: jobs that run side by side share the driver's pipe, and print writes the end apart."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def run(arguments: argparse.Namespace) -> int:
    """Run one notebook; print one line when it starts, and how it ended, what it found and where that lies."""
    from clustlib.reproduce import notebook as nb
    from clustlib.reproduce import running

    chosen = nb.find(arguments.notebook)
    recompute = arguments.recompute or (os.environ.get("CLUSTLIB_RECOMPUTE") if arguments.profile == "paper" else None)
    overrides = _overrides(arguments.set, recompute, chosen)
    if arguments.profile == FULL_SCALE:
        from clustlib import published

        arguments.profile = "paper"
        wanted = nb.checked(chosen, published.full_scale(chosen.paper, chosen.path.stem), FULL_SCALE)
        overrides = {**wanted, **overrides}
    if arguments.output and arguments.plain:
        raise UsageError("--output is where an executed notebook goes, and --plain executes none")
    output = Path(arguments.output).resolve() if arguments.output else None
    _report(f"> {arguments.profile} {chosen.name}")
    clock = time.perf_counter()
    try:
        place = running.run(chosen, arguments.profile, overrides, output, arguments.plain)
    except running.NotebookFailed as error:
        _report(f"! {arguments.profile} {chosen.name} failed: {error.line}")
        return 0 if arguments.keep_going else 1
    ended = f"< {arguments.profile} {chosen.name} {time.perf_counter() - clock:.1f} s"
    _report(ended, *([] if arguments.keep_going else running.told(place)))
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
    from clustlib._validation import check_integer
    from clustlib.reproduce import driver

    check_integer("--cores", arguments.cores, 1)
    if arguments.parent:
        processes.when_gone(arguments.parent, lambda: os.kill(os.getpid(), signal.SIGTERM))
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

    from clustlib.records import RECOMPUTE

    one = commands.add_parser("run", help="run one notebook")
    one.add_argument("notebook", help="paper/name, or a path to an .ipynb")
    one.add_argument(
        "--profile",
        choices=("quick", "paper", FULL_SCALE),
        default="quick",
        help=f"{FULL_SCALE}: the paper profile at the paper's own scale, with data and weights of one's own",
    )
    one.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="set a parameter")
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
    whole.add_argument("--parent", type=int, metavar="PID", help="end when this process does, as make's recipe wants")
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


def _end_all() -> None:
    """End the kernel that an interrupted run leaves; where there is no psutil, there was no kernel."""
    with contextlib.suppress(ImportError):
        processes.end_descendants()


def main(argv: list[str] | None = None) -> int:
    """Entry point.

    A wrong parameter or missing file, a full or read-only disk end with one line and exit code 2; an interrupt with
    one line and 130 (143 where it was SIGTERM).
    """
    try:
        speak_in_any_locale()
        arguments = parser().parse_args(argv)
        return arguments.call(arguments)
    except (OneLine, OSError) as error:
        print(line_of(error), file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        _end_all()
        processes.say_interrupted()
        return getattr(error, "code", 128 + signal.SIGINT)


if __name__ == "__main__":
    processes.end_on_signals()
    code = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done; as it ends, Python would restore what kills
    sys.exit(code)
