"""Carry records across a change of the code that witnesses show to compute the same: ``make witness``.

Between a revision whose records were all fresh and the working tree, the runs whose mark changed are found, and the
definitions that changed behind them. Witnesses (:mod:`clustlib.records.witness`) run both revisions on this machine.
A run is carried where every definition that changed behind it gives the same bits in every witness that runs it, and
where the witnesses would have noticed a fault in it. What is carried becomes one line of the ledger.

Records that are younger than that revision, or come from another branch, are judged against the commit that they were
made at; a definition that has been judged already, from the same text to the same, is not judged again.
"""

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import compress
from pathlib import Path
from typing import NamedTuple

from clustlib import _paths
from clustlib.errors import UsageError
from clustlib.records import provenance
from clustlib.records.judgement import Name, Verdict, judge
from clustlib.records.ledger import Entry, Ledger, ledger
from clustlib.records.marks import Behind, of_runs
from clustlib.records.store import Record, open_store
from clustlib.records.witness import Runner


class Seen(NamedTuple):
    """A record's run under one revision: as the CPU goes through it, and as the device did that made the record."""

    on_cpu: Behind
    there: Behind


class Change(NamedTuple):
    """A record's run whose mark is not what it was."""

    record: Record
    before: Seen
    after: Seen

    @property
    def definitions(self) -> set[str]:
        """The definitions that changed on the CPU's way: another text, or names that stand for other things."""
        return _changed(self.before.on_cpu, self.after.on_cpu)

    @property
    def unseen(self) -> bool:
        """Whether a definition changed that has a part for a GPU alone, which a witness on the CPU cannot see."""
        cpu = self.after.on_cpu.labels
        changed = _changed(self.before.there, self.after.there)
        return any(name not in cpu or cpu[name][0] != self.after.there.labels[name][0] for name in changed)


@dataclass
class Outcome:
    """What ``make witness`` found."""

    base: str
    carried: list[Change] = field(default_factory=list)
    refused: dict[str, list[str]] = field(default_factory=dict)  # run function -> why
    verdict: Verdict | None = None
    entry: Entry | None = None  # the ledger's new line
    later: list["Outcome"] = field(default_factory=list)  # of the commits that younger records were made at


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(_paths.root()), *arguments], capture_output=True, encoding="utf-8")
    if done.returncode:
        raise UsageError(f"git {' '.join(arguments)}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return done.stdout.strip()


@contextlib.contextmanager
def worktree(revision: str) -> Iterator[Path]:
    """A checkout of a revision, for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="clustlib-") as folder:
        place = Path(folder).resolve() / "tree"
        _git("worktree", "add", "--quiet", "--detach", str(place), revision)
        try:
            yield place
        finally:
            _git("worktree", "remove", "--force", str(place))


def _records() -> list[Record]:
    store = open_store("paper")
    return [record for key in store.all_keys() if (record := store.read(key))]


def _seen(
    tree: Path, records: Sequence[Record], known: Ledger, moved: Mapping[str, str], rule: Path | None = None
) -> list[Seen | None]:
    """What each record's run goes through in a tree, wherever its function stands there."""

    def places(record: Record) -> list[str]:
        stood = known.places(record.provenance["function"])[::-1]
        return [*([moved[stood[0]]] if stood[0] in moved else []), *stood]

    gpu = [provenance.on_gpu(record.provenance) for record in records]
    runs = [(places(record), record.params, False) for record in records]
    runs += [(places(record), record.params, True) for record, there in zip(records, gpu) if there]
    found = of_runs(tree, runs, rule)
    beyond = iter(found[len(records) :])
    pairs = [(on_cpu, next(beyond) if there else on_cpu) for on_cpu, there in zip(found, gpu)]
    return [Seen(on_cpu, there) if on_cpu and there else None for on_cpu, there in pairs]


def _changed(before: Behind, after: Behind) -> set[str]:
    texts, labels = ({pair[i] for pair in before.labels.values()} for i in (0, 1))
    others = {name for name, (text, _) in after.labels.items() if text not in texts}
    return others or {name for name, (_, label) in after.labels.items() if label not in labels}


def _was(name: str, before: Behind, after: Behind) -> str | None:
    """What a changed definition was: the one of its name, in its module if there are several; None if it is new."""
    module, _, own = name.partition(":")
    same = [other for other in before.labels if other.split(":")[1] == own]
    there = {text for text, _ in after.labels.values()}
    gone = [other for other in same if before.labels[other][0] not in there] or same
    return next((other for other in gone if other.split(":")[0] == module), gone[0] if gone else None)


class Base(NamedTuple):
    """The commit that is judged against, a checkout of it, and what each record's run goes through there."""

    commit: str
    tree: Path
    seen: list[Seen | None]
    own: list[Seen | None]  # the same with marks as that commit wrote them


@contextlib.contextmanager
def _base(revision: str, records: Sequence[Record], known: Ledger) -> Iterator[Base]:
    """A revision, or with "" the last commit whose records were all fresh.

    Raises :class:`UsageError` where the last 50 hold none.
    """
    changes = ("--", "clustlib", "book/records/equivalences.json")
    for commit in [revision] if revision else _git("log", "--first-parent", "--format=%H", "-50", *changes).split():
        with worktree(commit) as tree:
            seen = _seen(tree, records, known, {})
            own = _seen(tree, records, known, {}, rule=tree) if _writes_other_marks(tree) else seen
            if revision or _all_fresh(tree, records, known, own):
                yield Base(_git("rev-parse", commit), tree, seen, own)
                return
    raise UsageError("no commit of the last 50 whose records were all fresh; name one with --from")


def _all_fresh(tree: Path, records: Sequence[Record], known: Ledger, seen: Sequence[Seen | None]) -> bool:
    """Whether the ledger carries every record that a checkout had to that checkout's code."""
    had = [(r, s) for r, s in zip(records, seen) if (tree / "book/records" / f"{r.key}.json").is_file()]
    return all(_fresh(record, there, known) for record, there in had)


def _fresh(record: Record, seen: Seen | None, known: Ledger) -> bool:
    """Whether the ledger carries a record to what its run was seen to go through; not where it was not seen."""
    return seen is not None and known.chain(record.sources, seen.there.mark, cpu_only=True) is not None


def _writes_other_marks(tree: Path) -> bool:
    """Whether a checkout made its marks by another rule than the working tree's."""
    one, two = (folder / "clustlib" / "sources.py" for folder in (tree, _paths.root()))
    return (tree / "clustlib" / "records" / "marks.py").is_file() and one.read_bytes() != two.read_bytes()


def carry(
    base: str = "", note: str = "", moved: Mapping[str, str] | None = None, withdraw: Collection[str] = ()
) -> Outcome:
    """Judge the working tree against ``base`` and add what is carried to the ledger.

    Parameters
    ----------
    base : a revision; by default the last commit whose records were all fresh.
    note : what changed, for the ledger's pages; by default the names of the definitions.
    moved : run functions that stand elsewhere now, {"module:name" before: "module:name" now}.
    withdraw : how the seals of entries begin that are to carry nothing any more; the new entry takes their place. Where
        a run function is refused, nothing is written and they stand.
    """
    records, known, moved = _records(), ledger(), dict(moved or {})
    withdrawn = known.leave_out(withdraw)
    if withdrawn:
        known.hold()
    after, judged = _seen(_paths.root(), records, known, moved), _Judged()
    with _base(base, records, known) as found:
        outcome = _against(found, list(zip(records, after)), known, note, moved, judged, withdrawn)
    unseen = [(r, two) for r, two, one in zip(records, after, found.own) if not _fresh(r, one, known)]
    tried = {outcome.base[:12]}
    while left := _left(unseen, known, tried):
        commit = left[0][0].provenance["commit"]
        tried.add(commit)
        with _base(commit, [record for record, _ in left], known) as found:
            fresh = [_fresh(record, one, known) for (record, _), one in zip(left, found.own)]
            there = Base(found.commit, found.tree, *(list(compress(seen, fresh)) for seen in (found.seen, found.own)))
            outcome.later.append(_against(there, list(compress(left, fresh)), known, note, {}, judged))
    if withdrawn:
        refused = any(one.refused for one in (outcome, *outcome.later))
        known.release(keep=not refused)
        for one in (outcome, *outcome.later) if refused else ():
            one.entry = None
    return outcome


def _left(
    pairs: Sequence[tuple[Record, Seen | None]], known: Ledger, tried: Collection[str]
) -> list[tuple[Record, Seen | None]]:
    """The records that nothing carries yet and whose own commit has not been tried, those of the last day first."""
    stale = [pair for pair in pairs if pair[1] is not None and not _fresh(pair[0], pair[1], known)]
    known_at = [pair for pair in stale if _is_commit(pair[0].provenance.get("commit", ""))]
    ordered = sorted(known_at, key=lambda pair: pair[0].provenance["started"], reverse=True)
    first = next((i for i, (r, _) in enumerate(ordered) if r.provenance["commit"] not in tried), None)
    return [] if first is None else ordered[first:]


@cache
def _is_commit(name: str) -> bool:
    """Whether a record's commit is in this repository; one that says ``+`` was made by other code than the commit's."""
    if not name or name.endswith("+"):
        return False
    try:
        _git("cat-file", "-e", f"{name}^{{commit}}")
    except UsageError:
        return False
    return True


def _against(
    found: Base,
    pairs: Sequence[tuple[Record, Seen | None]],
    known: Ledger,
    note: str,
    moved: dict[str, str],
    judged: "_Judged",
    withdrawn: tuple[str, ...] = (),
) -> Outcome:
    """Judge the working tree against one commit, for records with what they go through today."""
    outcome = Outcome(found.commit)
    marks = {one.there.mark: two.there.mark for one, two in zip(found.own, found.seen) if one and two}
    rewritten = {mine: now for mine, now in marks.items() if mine != now}
    changes = []
    for (record, two), one in zip(pairs, found.seen):
        if one and two is None:
            outcome.refused[one.on_cpu.place] = ["this run function is gone: say where it is with --moved OLD=NEW"]
        elif one and two and one.there.mark != two.there.mark:
            changes.append(Change(record, one, two))
    _judge(outcome, changes, found.tree, judged)
    if outcome.carried or moved or rewritten or withdrawn:
        outcome.entry = replace(_entry(outcome, note, moved, rewritten), withdraws=withdrawn)
        known.append(outcome.entry)
    return outcome


class _Judged(dict[tuple[str, str, str], str | None]):
    """Why a definition was refused or None, by its name, its text before and its text now."""

    def key(self, name: str, change: Change) -> tuple[str, str, str]:
        """Of a changed definition behind a run; where its text is the same, with what its names stand for."""
        was = _was(name, change.before.on_cpu, change.after.on_cpu)
        before, now = change.before.on_cpu.labels.get(was or "", ("", "")), change.after.on_cpu.labels[name]
        same = int(before[0] == now[0])
        return name, before[same], now[same]


def _judge(outcome: Outcome, changes: Sequence[Change], tree: Path, judged: _Judged) -> None:
    """Let the witnesses judge what changed on the CPU's way, and sort the runs into carried and refused."""
    changed: dict[Name, Name | None] = {}
    asked: dict[tuple[str, str, str], str] = {}  # a run that had not gone through a definition knows of no text before
    for change in changes:
        for name in change.definitions:
            key = judged.key(name, change)
            if key not in judged:
                found, own = _was(name, change.before.on_cpu, change.after.on_cpu), Name(*name.split(":"))
                changed[own] = Name(*found.split(":")) if found else changed.get(own)
                asked[key] = name
    if changed:
        with Runner() as runner:
            outcome.verdict = judge(tree, _paths.root(), changed, runner=runner)
    refused = {str(name): why for name, why in outcome.verdict.refused.items()} if outcome.verdict else {}
    judged.update({key: refused.get(name) for key, name in asked.items()})
    for change in changes:
        found_wanting = [judged[judged.key(name, change)] for name in sorted(change.definitions)]
        why = [reason for reason in found_wanting if reason]
        if why:
            said = outcome.refused.setdefault(change.after.on_cpu.place, [])
            said.extend(line for line in why if line not in said)
        else:
            outcome.carried.append(change)


def _entry(outcome: Outcome, note: str, moved: dict[str, str], rewritten: dict[str, str]) -> Entry:
    """The ledger's line for what was carried."""
    names = sorted({name.split(":")[1] for change in outcome.carried for name in change.definitions})
    told = f"changed: {', '.join(names[:8])}{' and others' if len(names) > 8 else ''}"
    verdict = outcome.verdict
    return Entry(
        note=note or (told if names else "run functions moved"),
        date=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        commits=(outcome.base[:12], provenance.commit()),
        marks=rewritten | {change.before.there.mark: change.after.there.mark for change in outcome.carried},
        cpu_only=tuple(sorted({change.before.there.mark for change in outcome.carried if change.unseen})),
        runs=moved,
        witnesses=tuple(verdict.agreeing) if verdict else (),
        faults={
            str(trial.definition): [len(trial.noticed), len(trial.noticed) + len(trial.missed)]
            for trial in (verdict.trials if verdict else ())
            if verdict and trial.definition not in verdict.refused
        },
        versions=provenance.versions(),
        machine=provenance.cpu(),
    )
