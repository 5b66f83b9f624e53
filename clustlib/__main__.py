"""``clustlib`` or ``python -m clustlib``: cluster a folder of images.

clustlib cluster PHOTOS                      a result folder beside PHOTOS: clusters.csv, index.html, run.json, model/
clustlib cut RESULT --clusters 20            the same run at another number of clusters
clustlib assign RESULT MORE_PHOTOS           new images into the same clusters
"""

import argparse
import csv
import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from clustlib.errors import UsageError, ended, speak_in_any_locale

SKIPPED = 3
_TABLE_HEAD = b"file,cluster,score\r\n"
_EXITS = "exit codes: 0 done; 3 done, and some files were skipped; 2 not done, and why in one line; 130 interrupted"


def cluster(asked: argparse.Namespace) -> int:
    """Cluster a folder and write the result."""
    from clustlib._validation import check_choice
    from clustlib.images import cluster_folder

    out = asked.out or beside(asked.folder, "clusters")
    check_choice("--neighbours", asked.neighbours, ("auto", "exact", "approximate"))
    with _writing(out):
        outcome = cluster_folder(
            asked.folder,
            clusters=asked.clusters,
            method=asked.method,
            features=asked.features,
            size=asked.size,
            labels=asked.labels,
            neighbor_method=asked.neighbours,
            seed=asked.seed,
            device=asked.device,
            out=out,
            folders=asked.folders,
        )
    _say_skipped(outcome.skipped)
    for note in outcome.notes:
        print(note)
    sizes = np.bincount(outcome.labels)
    many = f"{len(outcome.files):,} images in {len(sizes)} clusters"
    print(f"{many} of {sizes.min():,} to {sizes.max():,}: {out}/index.html")
    return SKIPPED if outcome.skipped else 0


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Name the place of a result where the system's error names no file: a full disk's does not."""
    try:
        yield
    except OSError as error:
        if error.errno and not error.filename and str(error.strerror) == os.strerror(error.errno):
            error.filename = str(out)
        raise


def cut(asked: argparse.Namespace) -> int:
    """Write a result at another number of clusters."""
    from clustlib.images import result_folder

    known = result_folder.read(asked.result)
    out = asked.out or asked.result
    result_folder.check_target(out)
    with result_folder.as_written(asked.result):
        outcome = known.cut(asked.clusters)
    with _writing(out):
        result_folder.write(outcome, out)
    print(f"{len(outcome.files):,} images in {outcome.n_clusters} clusters: {out}/index.html")
    return 0


def assign(asked: argparse.Namespace) -> int:
    """Write which clusters new images belong to."""
    from clustlib._paths import check_place, lies_in, write_atomically
    from clustlib.images import assign as assigned

    out = asked.out or beside(asked.folder, "clusters.csv")
    check_place(out)
    if out.is_symlink() or (out.exists() and not out.is_file()):
        raise UsageError(f"{out} is there and is no file of its own: name another with --out")
    if out.exists() and not out.read_bytes().startswith(_TABLE_HEAD):
        raise UsageError(f"{out} is there and is no table of an earlier run: name another with --out")
    if lies_in(out, asked.result):
        raise UsageError(f"the table cannot lie inside the result: {out}")
    if lies_in(out, asked.folder):
        raise UsageError(f"the table cannot lie inside the images: {out}")
    assignment = assigned(asked.result, asked.folder)
    text = io.StringIO(newline="")
    table = csv.writer(text)
    text.write(_TABLE_HEAD.decode())
    table.writerows(
        [f, label + 1, f"{s:.4f}"]
        for f, label, s in zip(assignment.files, assignment.labels.tolist(), assignment.score)
    )
    write_atomically(out, text.getvalue().encode("utf-8", "surrogateescape"))
    _say_skipped(assignment.skipped)
    print(f"{len(assignment.files):,} images in {len(np.unique(assignment.labels))} clusters: {out}")
    return SKIPPED if assignment.skipped else 0


def beside(folder: Path, what: str) -> Path:
    """``PHOTOS-clusters`` beside ``PHOTOS``, whatever the folder was called by."""
    whole = folder.resolve()
    return Path(os.path.relpath(whole.with_name(f"{whole.name or 'images'}-{what}")))


def _say_skipped(skipped: dict[str, tuple[str, str]]) -> None:
    """One line a kind, with the first names."""
    kinds: dict[str, list[str]] = {}
    for file, (reason, _) in skipped.items():
        kinds.setdefault(reason, []).append(file)
    for reason, files in sorted(kinds.items(), key=lambda kind: -len(kind[1])):
        shown = ", ".join(ascii(f)[1:-1] if not f.isprintable() else f for f in files[:3])
        print(f"skipped {len(files):,}: {reason} ({shown}{', ...' if len(files) > 3 else ''})", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="clustlib", description=__doc__, epilog=_EXITS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("cluster", help="cluster the images in a folder", epilog=_EXITS)
    one.add_argument("folder", type=Path, help="searched with its sub-folders; nothing in it is changed")
    one.add_argument("--clusters", type=int, metavar="K", help="how many; without it the number is found")
    one.add_argument("--method", default="auto", help="auto, gdl, path, zeta, kmeans, gsnmf, jule, dbc or deepcluster")
    one.add_argument("--features", help="cnn (a network trained on ImageNet, the default) or pixels")
    one.add_argument("--size", type=int, metavar="PIXELS", help="side of the images where pixels are used")
    one.add_argument("--labels", help='"folders": compare with the folders that the images lie in')
    one.add_argument("--neighbours", default="auto", help="exact, approximate, or auto: exact up to 100,000 images")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--device", default="auto", help="auto, cpu or cuda")
    one.add_argument(
        "--out", type=Path, metavar="RESULT", help="the result folder (default: FOLDER-clusters beside it)"
    )
    one.add_argument("--folders", help="link or copy: also sort the images into a folder for each cluster")
    one.set_defaults(call=cluster)
    other = commands.add_parser("cut", help="another number of clusters from a result, without computing anew")
    other.add_argument("result", type=Path)
    other.add_argument("--clusters", type=int, required=True, metavar="K")
    other.add_argument("--out", type=Path, help="where to (default: in place of RESULT)")
    other.set_defaults(call=cut)
    new = commands.add_parser("assign", help="new images into the clusters of a result", epilog=_EXITS)
    new.add_argument("result", type=Path)
    new.add_argument("folder", type=Path)
    new.add_argument("--out", type=Path, metavar="CSV", help="the table (default: FOLDER-clusters.csv beside it)")
    new.set_defaults(call=assign)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point: an error of the user's or of the system's is one line and exit code 2."""
    speak_in_any_locale()
    asked = parser().parse_args(arguments)
    return ended(lambda: asked.call(asked))


if __name__ == "__main__":
    sys.exit(main())
