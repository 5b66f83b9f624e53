"""Edits of the code, harmless ones and faults: does ``make witness`` judge them as it should?

``python tests/witnesses/edits.py [NAME ...]``: all of them, or those named. A harmless edit is made in a copy of this
checkout (a clone of the last commit in a temporary folder: neither the code here nor its ledger is touched) and judged
by ``carry``: it must leave every record fresh and no record file changed. A fault must be noticed by the witnesses that
go through the definition it is in, which takes seconds; with ``--carry`` it is judged in the copy too, and must be
refused with the run functions that it concerns. Ends with 1 where an edit was not judged as it should be.
"""

import argparse
import ast
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Edit(NamedTuple):
    """One change: in which file of the package, which text or word becomes which other one."""

    file: str
    before: str
    after: str
    within: str = ""  # a top-level name: the edit is made in its definition alone


def inside(text: str, name: str) -> tuple[int, int]:
    """Where the definition of a top-level name begins and ends in a module's text."""
    start = re.search(rf"^(def|class) {name}\b", text, re.MULTILINE)
    assert start, name
    end = re.search(r"\n\n\n", text[start.start() :])
    return start.start(), start.start() + end.start() if end else len(text)


def apply(tree: Path, edit: Edit) -> str:
    """Make one change and return the text before; one that is not there, or that would not change, is an error."""
    path = tree / "clustlib" / edit.file
    before = path.read_text(encoding="utf-8")
    path.write_text(edited(before, edit), encoding="utf-8")
    return before


def edited(text: str, edit: Edit) -> str:
    """A file's text with the change made."""
    low, high = inside(text, edit.within) if edit.within else (0, len(text))
    word = r"\b" if edit.before.isidentifier() else ""
    changed = re.sub(f"{word}{re.escape(edit.before)}{word}", edit.after, text[low:high])
    assert changed != text[low:high], f"{edit.file} has no {edit.before}"
    return text[:low] + changed + text[high:]


def moved_module(tree: Path) -> None:
    """Another name for a shared module, and for every import of it."""
    (tree / "clustlib" / "checkpoints.py").rename(tree / "clustlib" / "kept_fits.py")
    for path in [*tree.glob("clustlib/**/*.py*"), *tree.glob("tests/**/*.py")]:
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r"clustlib(\.| import )checkpoints\b", r"clustlib\1kept_fits", text), encoding="utf-8")


def moved_function(tree: Path) -> None:
    """A function in another module, and its callers' imports."""
    source, target = tree / "clustlib/jule/unrolling.py", tree / "clustlib/jule/stacking.py"
    text = source.read_text(encoding="utf-8")
    low, high = inside(text, "clusters_after")
    body = text[low:high]
    head = "from clustlib.jule.stacking import clusters_after\n"
    left = (text[:low] + text[high:]).replace("from clustlib.kernels import", f"{head}from clustlib.kernels import", 1)
    source.write_text(left, encoding="utf-8")
    into = target.read_text(encoding="utf-8")
    into = (
        into
        if re.search(r"^import math$", into, re.MULTILINE)
        else into.replace("\nimport ", "\nimport math\nimport ", 1)
    )
    target.write_text(f"{into.rstrip()}\n\n\n{body}\n", encoding="utf-8")


def reordered(tree: Path) -> None:
    """The definitions of a module in another order."""
    path = tree / "clustlib" / "metrics.py"
    text = path.read_text(encoding="utf-8")
    (a, b), (c, d) = inside(text, "purity"), inside(text, "nmi")
    path.write_text(text[:c] + text[a:b] + text[d:a] + text[c:d] + text[b:], encoding="utf-8")


def split_function(tree: Path) -> None:
    """A function in two."""
    path = tree / "clustlib" / "jule" / "unrolling.py"
    text = path.read_text(encoding="utf-8")
    line = "    merges = math.ceil(unrolling_rate * n_clusters - 1e-9)  # 0.2 * 15 is a little more than 3 in binary\n"
    assert line in text
    text = text.replace(line, "    merges = merges_of(unrolling_rate, n_clusters)\n")
    head = 'def merges_of(unrolling_rate: float, n_clusters: int) -> int:\n    """Merges of a period."""\n'
    part = f"{head}{line}    return merges\n"
    path.write_text(text.replace("def clusters_after", f"{part}\n\ndef clusters_after", 1), encoding="utf-8")


def everywhere(name: str, other: str) -> Callable[[Path], None]:
    """Another name for a definition, in all of the package's modules."""

    def change(tree: Path) -> None:
        for path in tree.glob("clustlib/**/*.py*"):
            text = path.read_text(encoding="utf-8")
            path.write_text(re.sub(rf"\b{name}\b", other, text), encoding="utf-8")

    return change


HARMLESS: dict[str, Edit | Callable[[Path], None]] = {
    "a local variable": Edit("_validation.py", "rows", "flat", "unit_rows"),
    "an annotation": Edit("_validation.py", "Any", "object", "check_integer"),
    "an error's text": Edit("_validation.py", "must be non-negative: Negative", "has to be non-negative: Negative"),
    "a module's name": moved_module,
    "a function's place": moved_function,
    "an order": reordered,
    "a function in two": split_function,
    "a constant's name": everywhere("_SETTLING", "_TO_SETTLE"),
    "a function's name": everywhere("clusters_after", "clusters_left"),
    "a private function's name": everywhere("_split_as_faiss", "_split_released"),
    "a docstring and a comment": Edit("kernels/lloyd.py", "Nearest centroid of every row and", "The nearest one and"),
    "an expression": Edit(
        "dbc/minibatch.py",
        "images.float().div_(255) if images.dtype == torch.uint8 else images",
        "images if images.dtype != torch.uint8 else images.float().div_(255)",
    ),
}

FAULTS: dict[str, Edit] = {
    "k-means": Edit("kernels/_lloyd_parts.py", "sizes[own] >= 1", "sizes[own] > 1"),
    "k-means, its splits": Edit("kernels/_lloyd_parts.py", "centroids[donor] *= down", "centroids[donor] *= up"),
    "cut": Edit("jule/unrolling.py", "sizes > small", "sizes >= small"),
    "cut, how far": Edit("jule/unrolling.py", "20 * n_clusters) + 1", "20 * n_clusters)"),
    "affinity graph": Edit("kernels/neighbours.py", "min(max(n_neighbors, 3)", "min(max(n_neighbors, 2)"),
    "soft assignment": Edit("kernels/soft_assignment.py", "-(v + 1) / 2", "-(v + 1)"),
    "soft assignment, its gradient": Edit("kernels/soft_assignment.py", "(1 + v) / v", "(1 + v)"),
    "boosted target": Edit("kernels/boosting.py", "(scores**alpha if", "(target if"),
    "triplets": Edit("jule/triplet_training.py", "1e-4 * iteration", "1e-4 * (iteration + 1)"),
    "GSNMF": Edit("kernels/gsnmf.py", "alpha=-2, out=terms", "alpha=-1, out=terms"),
    "GSNMF, its penalty": Edit("kernels/gsnmf.py", "self.l2 + self.l21", "self.l21"),
    "NNDSVD": Edit("fcn/nndsvd.py", "side[side == 0] = 1", "pass"),
    "NNDSVD, its signs": Edit("fcn/nndsvd.py", "plus[0] * plus[1] >= minus[0]", "plus[0] * plus[1] <= minus[0]"),
    "spectral": Edit("cluster/spectral.py", "limit = 1 / 0.004", "limit = 1 / 0.04"),
    "whitening": Edit(
        "kernels/whitening.py", "moments.scatter / moments.count)", "moments.scatter / (moments.count - 1))"
    ),
    "merging": Edit("kernels/linkage/gdl.py", "flow[contact, 0] * boundary", "flow[contact, 0] + boundary"),
    "merging, its rows": Edit("kernels/linkage/rows.py", "rows.high[c] <= rows.high[d]", "rows.high[c] > rows.high[d]"),
    "periods": Edit("jule/unrolling.py", "n_clusters - 1e-9", "n_clusters"),
    "DBC's training": Edit("dbc/minibatch.py", "if len(index) > 1:", "if len(index) > 0:"),
    "DBC's statistics": Edit("dbc/minibatch.py", "layer.momentum = momentum", "pass"),
    "DeepCluster's moments": Edit("kernels/whitening.py", "self.count * count / total", "self.count / total"),
    "VOC's detections": Edit("transfer/voc.py", "cover.max() >= 0.5", "cover.max() > 0.5"),
    "VOC's boxes": Edit("transfer/detection.py", "[0] <= overlap]", "[0] < overlap]"),
    "VOC's regions": Edit("transfer/detection.py", "zero(most >= FOREGROUND)", "zero(most > FOREGROUND)"),
    "retrieval": Edit("transfer/retrieval.py", "range(1, levels + 1)", "range(1, levels)"),
    "a metric": Edit("metrics.py", "if 1 in counts.shape:", "if 2 in counts.shape:", "nmi"),
    "accuracy": Edit("metrics.py", "counts.data + 1, np.ones", "counts.data, np.ones"),
    "a set's draw": Edit(
        "datasets/imageset.py", "self._subset(np.sort(drawn), self.name)", "self._subset(drawn, self.name)"
    ),
    "a set's pixels": Edit("datasets/imageset.py", "rows /= 255", "rows /= 256"),
    "pairs of faces": Edit("datasets/faces.py", "min(n_each, same.sum()", "max(n_each, same.sum()"),
    "spectral, its ties": Edit("cluster/_discrete.py", "if ratio < best", "if ratio <= best"),
    "eigenvectors, their end": Edit("cluster/_eigenvectors.py", "> 0.5 * min", "> 0.9 * min"),
}


def run(tree: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, encoding="utf-8")


def git(tree: Path, *arguments: str) -> str:
    done = run(tree, "git", "-c", "user.name=trial", "-c", "user.email=trial@localhost", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def judged(tree: Path, edit: Edit | Callable[[Path], None]) -> tuple[list[str], list[str], str]:
    """What carry says of an edit (its lines), what git sees of book/records afterwards, and what it took."""
    apply(tree, edit) if isinstance(edit, Edit) else edit(tree)
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run(tree, sys.executable, "-m", "clustlib.records", "carry")
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    written = git(tree, "status", "--short", "book").split("\n")
    return (
        [*done.stdout.splitlines(), *done.stderr.splitlines()[-1:]],
        [line for line in written if line],
        f"{seconds:.0f} s, {busy:.0f} s of a processor",
    )


def stale(tree: Path) -> str:
    """The last line of status, where it says that a record is stale."""
    last = run(tree, sys.executable, "-m", "clustlib.records", "status").stdout.strip().splitlines()[-1]
    return last if "stale" in last else ""


def refused(lines: list[str]) -> list[str]:
    """The run functions that are not carried."""
    return [line.split(": ")[0] for line in lines if line.endswith(": NOT carried")]


def fault_of(lines: list[str], harmless: bool, tree: Path, written: list[str]) -> str:
    """What is wrong with how an edit was judged; "" where nothing is."""
    if not harmless:
        return "" if refused(lines) else "NOT NOTICED"
    if others := [line for line in written if not line.endswith("equivalences.json")]:
        return f"files changed: {others[:3]}"
    return stale(tree) or (f"refused: {refused(lines)[:3]}" if refused(lines) else "")


def in_a_copy(names: list[str], tree: Path) -> Iterator[tuple[str, str, str]]:
    """Each edit judged by carry in a copy: its name, what came of it, and what is wrong with that."""
    if not tree.exists():
        git(ROOT, "clone", "--quiet", str(ROOT), str(tree))
        run(tree, sys.executable, "-m", "clustlib.records", "carry")
        git(tree, "commit", "--quiet", "--allow-empty", "-am", "as it is")
    for name in names:
        lines, written, took = judged(tree, (HARMLESS | FAULTS)[name])
        functions = refused(lines)
        told = f"{len(functions)} run functions refused: {', '.join(functions)}" if functions else lines[-1]
        yield name, f"{told} ({took})", fault_of(lines, name in HARMLESS, tree, written)
        git(tree, "reset", "--quiet", "--hard")
        git(tree, "clean", "--quiet", "-fd", "clustlib")


def by_witnesses(names: list[str]) -> Iterator[tuple[str, str, str]]:
    """Each fault put before the witnesses alone: its name, which one noticed what, and "" or that none did."""
    from clustlib.records import witness
    from clustlib.records.faults import targets
    from clustlib.records.judgement import Judge, Name, covering

    folder = ROOT / "tests" / "witnesses"
    with witness.Runner() as runner:
        judge = Judge(runner, ROOT, ROOT, folder)
        usual = judge.outcomes(ROOT, witness.names(folder))
        lines = {name: outcome.lines for name, outcome in usual.items()}
        for name in names:
            module = "clustlib." + FAULTS[name].file.removesuffix(".py").replace("/", ".")
            before = (ROOT / "clustlib" / FAULTS[name].file).read_text(encoding="utf-8")
            after = edited(before, FAULTS[name])
            kept = {ast.unparse(statement) for statement in ast.parse(before).body}
            other = [s for s in ast.parse(after).body if ast.unparse(s) not in kept]
            (own,) = targets(other[0])
            for asked in covering(lines, ROOT, Name(module, own)):
                job = witness.Job(ROOT, folder, asked, mutant=(module, after))
                if difference := witness.compare(usual[asked], runner.run(job)):
                    yield name, f"{module}:{own}, {asked}: {difference}", ""
                    break
            else:
                yield name, f"{module}:{own}", "NOT NOTICED"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--carry", action="store_true", help="judge the faults in a copy too")
    parser.add_argument("--tree", type=Path, help="a copy to use again, or to make here")
    given = parser.parse_args()
    wanted = [name for name in HARMLESS | FAULTS if not given.names or name in given.names]
    quick = [name for name in wanted if name in FAULTS and not given.carry]
    whole = [name for name in wanted if name not in quick]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        copied = in_a_copy(whole, given.tree or Path(folder) / "copy")
        for name, told, fault in chain(by_witnesses(quick) if quick else (), copied if whole else ()):
            wrong += bool(fault)
            print(f"{name}: {fault or 'as it should be'}; {told}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
