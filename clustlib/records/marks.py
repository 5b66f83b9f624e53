"""The marks of many runs under one copy of the code, the running one or another revision's.

``python clustlib/records/marks.py TREE RULE < runs.json > marks.json`` is run in a process of its own for another
revision: it loads that tree's run functions, and reads them with the :mod:`clustlib.sources` at RULE, so that two
revisions are marked by one rule. It therefore imports nothing else of clustlib.
"""

import importlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Behind(NamedTuple):
    """What a run goes through: its mark, and label and text of every definition, by "module:name"."""

    place: str
    mark: str
    labels: dict[str, tuple[str, str]]  # (hash of its own text, hash with what its names stand for)


def _load_sources(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("sources_of_the_working_tree", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _function(places: Sequence[str]) -> Any:
    """The run function at the first of its places that this tree has."""
    for place in places:
        module, _, name = place.partition(":")
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
    return None


def _roots(places: Sequence[str], params: dict[str, Any]) -> tuple[str, ...] | None:
    """Where a run begins: its function's place, then what its parameters choose.

    None where this tree has no such function, or one that does not know a choice that is younger than it.
    """
    fn = _function(places)
    if fn is None:
        return None
    uses = getattr(fn, "uses", None)
    try:
        return (f"{fn.__module__}:{fn.__qualname__}", *(uses(params) if uses else ()))
    except (LookupError, TypeError, ValueError):
        return None


def _behind(code: Any, roots: tuple[str, ...], gpu: bool) -> Behind:
    labels = {str(d): (code.label(d, gpu, 0), code.label(d, gpu, 1)) for d in code.behind(roots, gpu)}
    return Behind(roots[0], code.mark(roots, gpu), labels)


def of_runs(
    tree: Path, runs: Sequence[tuple[Sequence[str], dict[str, Any], bool]], rule: Path | None = None
) -> list[Behind | None]:
    """What each run (places, parameters, on a GPU) goes through in a checkout; None where it has no such function.

    ``rule`` is the checkout whose way to make marks is used; by default that of the running code.
    """
    sources = (Path(__file__).parents[2] if rule is None else rule) / "clustlib" / "sources.py"
    done = subprocess.run(
        [sys.executable, __file__, str(tree), str(sources)],
        input=json.dumps(runs),
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=tree,
    )
    if done.returncode:
        raise RuntimeError(f"the runs of {tree} cannot be read: {done.stderr.strip().splitlines()[-1]}")
    answer = json.loads(done.stdout)
    labels = {group: {name: tuple(pair) for name, pair in named.items()} for group, named in answer["labels"].items()}
    different = [
        Behind(place, mark, {name: labels[str(group)][name] for name in names})
        for place, mark, group, names in answer["different"]
    ]
    return [None if at is None else different[at] for at in answer["runs"]]


def forget_installation() -> None:
    """Let ``clustlib`` be found on ``sys.path`` alone, not where an editable installation has it."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if "__editable__" not in getattr(finder, "__module__", "")]


def _main(tree: Path, sources: Path) -> None:
    forget_installation()
    sys.path[:] = [str(tree), *(entry for entry in sys.path if Path(entry).resolve() != Path(__file__).parent)]
    code = _load_sources(sources).Code(tree / "clustlib")
    labels: dict[bool, dict[str, tuple[str, str]]] = {False: {}, True: {}}
    made: dict[tuple[tuple[str, ...], bool], int] = {}  # runs that begin alike are read once
    different: list[tuple[str, str, int, list[str]]] = []
    found: list[int | None] = []
    for places, params, gpu in json.load(sys.stdin):
        roots = _roots(places, params)
        if roots is not None and (roots, gpu) not in made:
            behind = _behind(code, roots, gpu)
            made[roots, gpu] = len(different)
            different.append((behind.place, behind.mark, int(gpu), sorted(behind.labels)))
            labels[gpu].update(behind.labels)
        found.append(None if roots is None else made[roots, gpu])
    answer = {"runs": found, "different": different, "labels": {int(gpu): named for gpu, named in labels.items()}}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    _main(*(Path(given).resolve() for given in sys.argv[1:3]))
