"""Whether changed definitions compute what they computed: by witnesses that would notice if they did not.

A definition is carried where every witness that goes through it gives the same bits, every changed line of it is
executed, and a deliberate fault in it is noticed. The faults tried are few where much has changed at once; where none
of them is noticed, more are tried before the definition is refused.

A definition that computes nothing (it refuses what is wrong and hands on the rest as it is) is carried like any other.
Its witnesses are calls at both sides of the boundary that it draws, whose output is "refused" or "ran": a check left
out, turned or shifted changes that. How a refusal is worded is no result and is not compared.
"""

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tqdm.auto import tqdm

from clustlib.records.changes import changed_lines, fault_made, is_as_before, never_executed
from clustlib.records.faults import Fault, faults, places, spans, statements_of, targets
from clustlib.records.witness import Job, Outcome, Runner, compare, content_of, names

# how many faults a definition is tried on, by how many definitions have changed
FAULTS = {8: 6, 60: 3, 10**9: 1}
MORE_FAULTS = 6  # tried one by one where none of those was noticed
ALL_FAULTS = 10**6  # all that there are, to look for the one that undoes a change
WITNESSES_A_FAULT = 6  # that may miss a fault before it counts as not noticed
_COMPILED = re.compile(r"^(from|import) (numba|clustlib\.compiled)\b", re.MULTILINE)
Lines = Mapping[str, Mapping[str, Sequence[int]]]  # by witness, by module


class Name(NamedTuple):
    """A top-level name of a module, as ``clustlib.kernels.lloyd``, ``kmeans``."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"


@dataclass(frozen=True)
class Trial:
    """What became of the faults put into one definition."""

    definition: Name
    witnesses: list[str]  # that go through it
    noticed: list[Fault] = field(default_factory=list)
    missed: list[Fault] = field(default_factory=list)
    unreached: int = 0  # faults that could stand on lines no witness executes
    unseen: tuple[int, ...] = ()  # changed lines that compute something and that no witness executes
    slip: str | None = None  # the kind of fault that the change itself is

    @property
    def refusal(self) -> str | None:
        """Why the witnesses cannot speak for the definition; None where they can."""
        if not self.witnesses:
            return f"{self.definition}: no witness goes through it; add one that does"
        if self.unseen:
            return f"{self.definition}: line {self.unseen[0]} changed and no witness executes it; add data that does"
        if self.slip:
            needed = missing_input(self.slip)
            return (
                f"{self.definition}: the change is of the kind of a fault, and no witness notices it; it needs {needed}"
            )
        if not self.missed or self.noticed:
            return None
        return f"{self.definition}: no witness notices {self.missed[0]}; it needs {missing_input(self.missed[0].kind)}"


@dataclass(frozen=True)
class Verdict:
    """What the witnesses say of a change.

    ``agreeing`` names the witnesses whose bits are the same, ``differences`` says of the others where they first
    differ; ``trials`` are the changed definitions, each tried on faults.
    """

    agreeing: list[str]
    differences: dict[str, str]
    trials: list[Trial]

    @property
    def refused(self) -> dict[Name, str]:
        """The definitions that are not carried, each with the reason."""
        refusals = {t.definition: t.refusal for t in self.trials if t.refusal}
        for trial in self.trials:
            for witness in trial.witnesses:
                if witness in self.differences:
                    refusals.setdefault(trial.definition, f"{witness}: {self.differences[witness]}")
        return refusals

    @property
    def carried(self) -> list[Name]:
        """The definitions that compute the same bits, by witnesses that notice faults in them."""
        return [trial.definition for trial in self.trials if trial.definition not in self.refused]


def missing_input(kind: str) -> str:
    """What kind of input would tell a fault of a kind from what it replaced, in a few words."""
    kinds = {
        "bound": "data where the two sides of the comparison are equal",
        "turned": "data on both sides of the comparison",
        "constant": "data on which that number decides something",
        "left out": "data on which that statement has an effect",
        "argument": "a call in which that argument is not at its default",
        "and/or": "data for which just one of the conditions holds",
    }
    return kinds.get(kind, "data on which that expression takes different values")


def _source(tree: Path, module: str) -> str | None:
    return modules(tree, module.split(".")[0]).get(module)


def modules(tree: Path, package: str) -> dict[str, str]:
    """The text of every module of a package in a tree."""
    return _modules(tree, package, content_of(tree / package))


@cache
def _modules(tree: Path, package: str, content: str) -> dict[str, str]:
    texts = {}
    for path in sorted((tree / package).rglob("*.py")):
        parts = path.relative_to(tree).with_suffix("").parts
        texts[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return texts


@cache
def _parsed(text: str) -> tuple[tuple[ast.stmt, frozenset[str]], ...]:
    """The top-level statements of a module's text but its imports, each with every name in it."""
    statements = [s for s in ast.parse(text).body if not isinstance(s, (ast.Import, ast.ImportFrom))]
    return tuple((statement, frozenset(_names(statement))) for statement in statements)


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)):
            yield node.id if isinstance(node, ast.Name) else node.attr


def _runs(statement: ast.stmt) -> bool:
    """Whether a top-level statement has code of its own that is executed when it is called."""
    return any(isinstance(node, (ast.FunctionDef, ast.Lambda)) for node in ast.walk(statement))


def _readers(
    tree: Path, definition: Name, depth: int = 3, seen: set[str] | None = None
) -> Iterator[tuple[str, tuple[int, int]]]:
    """Where the functions stand that read a constant, or another constant made of it: (module, first and last line)."""
    seen = {definition.name} if seen is None else seen
    for module, text in modules(tree, definition.module.split(".")[0]).items():
        if definition.name not in text:
            continue
        for statement, named in _parsed(text):
            if definition.name not in named:
                continue
            if _runs(statement):
                yield module, (statement.lineno, statement.end_lineno or statement.lineno)
                continue
            value = getattr(statement, "value", None)  # of an assignment
            if depth and isinstance(value, ast.expr) and definition.name in set(_names(value)):
                made = targets(statement) - seen
                seen |= made
                for name in sorted(made):
                    yield from _readers(tree, Name(module, name), depth - 1, seen)


def covering(lines: Lines, tree: Path, definition: Name) -> list[str]:
    """The witnesses that go through a definition of ``tree``, those that go through the least besides it first.

    A constant is gone through by the functions that read it.
    """
    source = _source(tree, definition.module)
    if source is None:
        return []
    places = [(definition.module, span) for span in spans(source, definition.name)]
    witnesses = _executing(lines, places) if any(map(_runs, statements_of(ast.parse(source), definition.name))) else []
    if not witnesses:
        witnesses = _executing(lines, list(_readers(tree, definition)))
    total = {witness: sum(map(len, by_module.values())) for witness, by_module in lines.items()}
    return sorted(witnesses, key=lambda witness: (total[witness], witness))


def _executing(lines: Lines, places: Sequence[tuple[str, tuple[int, int]]]) -> list[str]:
    return [
        witness
        for witness, by_module in lines.items()
        if any(low <= line <= high for module, (low, high) in places for line in by_module.get(module, ()))
    ]


@dataclass(frozen=True)
class Judge:
    """Two revisions of a package and the folder of witnesses that both are asked by."""

    runner: Runner
    old: Path
    new: Path
    witnesses: Path
    package: str = "clustlib"

    def _job(self, tree: Path, witness: str, **how: Any) -> Job:
        return Job(tree, self.witnesses, witness, package=self.package, **how)

    def outcomes(self, tree: Path, wanted: Iterable[str], *, jit: bool = False) -> dict[str, Outcome]:
        """What witnesses give on a tree; as plain Python also which lines they execute."""
        jobs = {w: self.runner.submit(self._job(tree, w, trace=not jit, jit=jit)) for w in wanted}
        return {witness: job.result() for witness, job in jobs.items()}

    def differences(self, covered: Mapping[Name, Sequence[str]], old: dict[str, Outcome]) -> dict[str, str]:
        """Where witnesses differ between the two trees; compiled too, where a compiled definition has changed."""
        wanted = sorted({witness for differing in covered.values() for witness in differing})
        new = self.outcomes(self.new, wanted)
        pairs = [(witness, old[witness], new[witness]) for witness in wanted]
        compiled = [d for d in covered if _COMPILED.search(_source(self.new, d.module) or "")]
        again = sorted({witness for definition in compiled for witness in covered[definition]})
        if again:
            before, after = (self.outcomes(tree, again, jit=True) for tree in (self.old, self.new))
            pairs += [(witness, before[witness], after[witness]) for witness in again]
        differing: dict[str, str] = {}
        for witness, a, b in pairs:
            if difference := compare(a, b):
                differing.setdefault(witness, difference)
        return differing

    def trial(
        self,
        definition: Name,
        before: Name | None,
        new: Mapping[str, Outcome],
        most: int,
        differing: Collection[str] = (),
    ) -> Trial:
        """Put faults into a definition of the new tree and see whether the witnesses notice.

        None are tried where one of its witnesses is among the ``differing``: it is refused in any case.
        """
        source = _source(self.new, definition.module) or ""
        lines = {witness: outcome.lines for witness, outcome in new.items()}
        found = covering(lines, self.new, definition)
        executed = {line for witness in found for line in lines[witness].get(definition.module, ())}
        text, was = (None, None) if before is None else (_source(self.old, before.module), before.name)
        first = changed_lines(text, source, definition.name, was)
        if set(found) & set(differing):
            return Trial(definition, found)
        everywhere, reached = (places(source, definition.name, on) for on in (None, executed))
        unseen = {line for line, _ in everywhere - reached} & first
        unseen |= set(never_executed(source, definition.name, first, executed))
        slip = fault_made(text, source, definition.name, was) if text else None
        trial = Trial(definition, found, unreached=len(everywhere - reached), unseen=tuple(sorted(unseen)), slip=slip)
        for enough in sorted({most, max(most, MORE_FAULTS)}):
            for fault in faults(source, definition.name, first=first, executed=executed, most=enough):
                if fault not in trial.missed and not (enough > most and trial.noticed):
                    noticed = self.notices(fault, definition.module, found, new)
                    (trial.noticed if noticed else trial.missed).append(fault)
            if trial.noticed:
                break
        if slip and self._tells_apart(trial, text or "", source, was, first, new):
            return replace(trial, slip=None)  # a witness does tell the two texts apart; the old one has no such thing
        return trial

    def _tells_apart(
        self, trial: Trial, text: str, source: str, was: str | None, first: set[int], new: Mapping[str, Outcome]
    ) -> bool:
        """Whether a witness notices the fault that undoes a change, which need not be among those that were tried."""
        name = trial.definition.name
        if any(is_as_before(text, fault.source, name, was) for fault in trial.noticed):
            return True
        made = faults(source, name, first=first, executed=first, most=ALL_FAULTS)
        undoing = (f for f in made if f not in trial.missed and is_as_before(text, f.source, name, was))
        return any(self.notices(fault, trial.definition.module, trial.witnesses, new) for fault in undoing)

    def notices(self, fault: Fault, module: str, covering: Sequence[str], new: Mapping[str, Outcome]) -> str | None:
        """The first witness whose bits a fault changes, or that it stops; None where none notices."""
        asked = covering[:WITNESSES_A_FAULT]
        jobs = {
            w: self._job(self.new, w, mutant=(module, fault.source), timeout=10 + 5 * new[w].seconds) for w in asked
        }
        known = (witness for witness in asked if self.runner.noticed(jobs[witness], new[witness]))
        tried = (w for w in asked if compare(new[w], self.runner.run(jobs[w])) and self.runner.notice(jobs[w], new[w]))
        return next(known, None) or next(tried, None)


def judge(
    old: Path, new: Path, changed: Mapping[Name, Name | None], *, witnesses: Path | None = None, runner: Runner
) -> Verdict:
    """Whether the witnesses show that definitions of ``new`` compute what they computed in ``old``.

    Parameters
    ----------
    old, new : checkouts. changed : the definitions of ``new`` that are not those of ``old``, each with what it was
        there (None: it is new).
    witnesses : their folder; by default that of ``new``.
    """
    folder = witnesses or new / "tests" / "witnesses"
    package = next((definition.module.split(".")[0] for definition in changed), "clustlib")
    asked = Judge(runner, old, new, folder, package)
    # a witness that the old revision cannot run, because it asks for what is younger, says nothing of either
    before = {witness: found for witness, found in asked.outcomes(old, names(folder)).items() if not found.error}
    lines = {witness: outcome.lines for witness, outcome in before.items()}
    covered = {d: covering(lines, old, was) for d, was in changed.items() if was is not None}
    fresh = [d for d, was in changed.items() if was is None]
    differences = asked.differences(covered, before)
    wanted = sorted({w for found in covered.values() for w in found}) if not fresh else sorted(before)
    after = asked.outcomes(new, wanted)
    most = next(most for few, most in FAULTS.items() if len(changed) <= few)
    with ThreadPoolExecutor(runner.at_once) as pool:
        made = pool.map(lambda d: asked.trial(d, changed[d], after, most, differences), changed)
        trials = list(
            tqdm(made, desc="definitions tried on faults", total=len(changed), unit="definition", leave=False)
        )
    for trial in trials:
        for witness in trial.witnesses:
            if witness not in differences and (difference := compare(before[witness], after[witness])):
                differences[witness] = difference
    asked_of = sorted({w for trial in trials for w in trial.witnesses})
    return Verdict([w for w in asked_of if w not in differences], differences, trials)
