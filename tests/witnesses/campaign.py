"""Put faults into definitions and count how many the witnesses notice; what they miss asks for another input.

``python tests/witnesses/campaign.py clustlib.kernels.lloyd clustlib.metrics:nmi --each 4``: modules, definitions or
prefixes ending in a dot. Prints what is missed, by definition, and the share noticed.
"""

import argparse
import ast
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def definitions(tree: Path, asked: list[str]) -> list:
    """The definitions of a tree that are asked for, by module."""
    from clustlib.records.faults import targets
    from clustlib.records.judgement import Name, modules

    found = []
    for module, text in modules(tree, "clustlib").items():
        names = sorted({name for statement in ast.parse(text).body for name in targets(statement)} - {"__all__"})
        found += [
            Name(module, name)
            for name in names
            if any(a in (module, f"{module}:{name}") or (a.endswith(".") and f"{module}.".startswith(a)) for a in asked)
        ]
    return found


def main() -> None:
    from clustlib.records.judgement import Judge
    from clustlib.records.witness import Runner, names

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("asked", nargs="+")
    parser.add_argument("--each", type=int, default=4, help="faults a definition")
    parser.add_argument("--only", help="a file that lists the definitions to keep, one a line")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--at-once", type=int, default=2)
    given = parser.parse_args()
    folder = ROOT / "tests" / "witnesses"
    kept = set(Path(given.only).read_text(encoding="utf-8").split()) if given.only else None
    wanted = [d for d in definitions(ROOT, given.asked) if kept is None or str(d) in kept]
    noticed = missed = 0
    with Runner(given.cache, given.at_once) as runner, ThreadPoolExecutor(runner.at_once) as pool:
        judge = Judge(runner, ROOT, ROOT, folder)
        usual = judge.outcomes(ROOT, names(folder))
        for witness, outcome in usual.items():
            if outcome.error:
                print(f"{witness}: {outcome.error}", file=sys.stderr)
        usual = {witness: outcome for witness, outcome in usual.items() if not outcome.error}
        for trial in pool.map(lambda d: judge.trial(d, d, usual, given.each), wanted):
            noticed, missed = noticed + len(trial.noticed), missed + len(trial.missed)
            if not trial.witnesses:
                print(f"{trial.definition}: no witness", flush=True)
            for fault in trial.missed:
                print(f"{trial.definition} {fault}  [{', '.join(trial.witnesses[:3])}]", flush=True)
    print(f"{noticed} of {noticed + missed} faults in {len(wanted)} definitions are noticed")


if __name__ == "__main__":
    main()
