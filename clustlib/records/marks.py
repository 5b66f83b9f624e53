"""The marks of many runs under one copy of the code, the running one or another revision's.

``python clustlib/records/marks.py TREE < runs.json > marks.json`` is run in a process of its own for another revision:
it loads that tree's run functions, and reads them with *this* file's neighbour :mod:`clustlib.sources`, so that two
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


def _load_sources() -> Any:
    path = Path(__file__).resolve().parents[1] / "sources.py"
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


def _behind(code: Any, places: Sequence[str], params: dict[str, Any], gpu: bool) -> Behind | None:
    fn = _function(places)
    if fn is None:
        return None
    uses = getattr(fn, "uses", None)
    place = f"{fn.__module__}:{fn.__qualname__}"
    roots = [place, *(uses(params) if uses else ())]
    labels = {str(d): (code.label(d, gpu, 0), code.label(d, gpu, 1)) for d in code.behind(roots, gpu)}
    return Behind(place, code.mark(roots, gpu), labels)


def of_runs(
    tree: Path, runs: Sequence[tuple[Sequence[str], dict[str, Any], bool]], rule: Path | None = None
) -> list[Behind | None]:
    """What each run (places, parameters, on a GPU) goes through in a checkout; None where it has no such function.

    ``rule`` is the checkout whose way to make marks is used; by default that of the running code.
    """
    script = Path(__file__).resolve() if rule is None else rule / "clustlib" / "records" / "marks.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tree)],
        input=json.dumps(runs),
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=tree,
    )
    if done.returncode:
        raise RuntimeError(f"the runs of {tree} cannot be read: {done.stderr.strip().splitlines()[-1]}")
    answer = json.loads(done.stdout)
    labels = answer["labels"]
    return [
        None if found is None else Behind(found[0], found[1], {name: tuple(labels[str(i)][name]) for name in found[2]})
        for i, found in zip(answer["group"], answer["runs"])
    ]


def forget_installation() -> None:
    """Let ``clustlib`` be found on ``sys.path`` alone, not where an editable installation has it."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if "__editable__" not in getattr(finder, "__module__", "")]


def _main(tree: Path) -> None:
    forget_installation()
    sys.path[:] = [str(tree), *(entry for entry in sys.path if Path(entry).resolve() != Path(__file__).parent)]
    code = _load_sources().Code(tree / "clustlib")
    labels: dict[bool, dict[str, tuple[str, str]]] = {False: {}, True: {}}
    found, group = [], []
    for places, params, gpu in json.load(sys.stdin):
        behind = _behind(code, places, params, gpu)
        group.append(int(gpu))
        found.append(behind and (behind.place, behind.mark, sorted(behind.labels)))
        labels[gpu].update(behind.labels if behind else {})
    json.dump({"runs": found, "group": group, "labels": {int(gpu): named for gpu, named in labels.items()}}, sys.stdout)


if __name__ == "__main__":
    _main(Path(sys.argv[1]).resolve())
