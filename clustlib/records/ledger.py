"""The ledger of equivalences: which changes of the code were shown to leave which runs unchanged.

``book/records/equivalences.json`` holds one entry a line, in the order in which they were made. An entry names pairs of
marks (:mod:`clustlib.sources`) that stand for the same results, and what showed it. A record whose mark leads by such
pairs to the mark of today's code is *carried*: it is as good as one that was made today, and no record is rewritten.
Every entry is sealed together with the one before it, and the file as a whole: an edited or shortened one is refused.
An entry that turns out to say too much is withdrawn by a later one, which names its seal: it stays in the file, and
nothing rests on it any more.
"""

import hashlib
import json
import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from clustlib import _paths
from clustlib.errors import RecordCorrupt, UsageError


@dataclass(frozen=True)
class Entry:
    """One change of the code that left runs unchanged.

    Parameters
    ----------
    note : what changed, in one sentence. date : ISO, UTC. commits : (before, after).
    marks : {mark before: mark after}. cpu_only : those of them whose code for a GPU changed too, unseen by a witness.
    runs : run functions that stand elsewhere since: {"module:name" in a record: "module:name" now}.
    witnesses : the names of those that gave the same bits. faults : {definition: [noticed, tried]}.
    versions, machine : where they ran. withdraws : the seals of earlier entries that no longer carry anything.
    """

    note: str
    date: str
    commits: tuple[str, str]
    marks: dict[str, str]
    cpu_only: tuple[str, ...] = ()
    runs: dict[str, str] = field(default_factory=dict)
    witnesses: tuple[str, ...] = ()
    faults: dict[str, list[int]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    machine: str = ""
    withdraws: tuple[str, ...] = ()


def _seal(before: str, content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(f"{before}{text}".encode()).hexdigest()


def _entry(line: dict[str, Any]) -> Entry:
    content: Any = {name: tuple(value) if isinstance(value, list) else value for name, value in line.items()}
    return Entry(**content)


class Ledger:
    """The entries of a ledger file and what follows from them; empty where there is no file.

    Raises :class:`RecordCorrupt` where the file was edited, cut off or is no ledger.
    """

    def __init__(self, path: Path | None = None):
        self.path = path or _paths.book("records", "equivalences.json")
        self.seals: list[str] = []  # of the entries, in their order
        self.entries = self._read()
        self._left_out: frozenset[str] = frozenset()
        self._held: str | None = None  # the file's text, where it is not to be written yet

    def _read(self) -> list[Entry]:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        try:
            content = json.loads(text)
            entries, before = [], ""
            for line in content["entries"]:
                seal = line.pop("seal")
                if seal != _seal(before, line):
                    raise ValueError
                before = seal
                self.seals.append(seal)
                entries.append(_entry(line))
            if content["seal"] != before:
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError):
            raise RecordCorrupt(f"{self.path} was edited or cut off; take it from the last commit again") from None
        return entries

    def append(self, entry: Entry) -> None:
        """Add an entry and write the file, one line an entry."""
        self.entries.append(entry)
        before, lines, self.seals = "", [], []
        for one in self.entries:
            content = json.loads(json.dumps({k: v for k, v in asdict(one).items() if v or k in ("note", "marks")}))
            before = _seal(before, content)
            self.seals.append(before)
            lines.append(json.dumps({**content, "seal": before}, sort_keys=True, ensure_ascii=False))
        text = '{"entries": [\n' + "\n,".join(lines) + f'\n],\n"seal": "{before}"}}\n'
        if self._held is None:
            _paths.write_atomically(self.path, text.encode())
        else:
            self._held = text
        self._forget_derived()

    def hold(self) -> None:
        """Keep what is added in memory until :meth:`release`: whoever is killed before leaves the file as it was."""
        self._held = ""

    def release(self, keep: bool) -> None:
        """Write what was held, or forget it."""
        text, self._held = self._held, None
        if keep and text:
            _paths.write_atomically(self.path, text.encode())
        elif not keep:
            self.seals, self._left_out = [], frozenset()
            self.entries = self._read()
            self._forget_derived()

    def _forget_derived(self) -> None:
        for derived in ("_pairs", "_moves", "withdrawn"):
            self.__dict__.pop(derived, None)

    def leave_out(self, beginnings: Iterable[str]) -> tuple[str, ...]:
        """Judge as if entries were withdrawn, each named by how its seal begins, and return their seals.

        Raises :class:`UsageError` where a beginning names none or several.
        """
        withdrawn = []
        for beginning in beginnings:
            fitting = [seal for seal in self.seals if beginning and seal.startswith(beginning)]
            if len(fitting) != 1:
                raise UsageError(f"{len(fitting)} entries of the ledger have a seal that begins with {beginning!r}")
            withdrawn += fitting
        self._left_out = frozenset(withdrawn)
        self._forget_derived()
        return tuple(withdrawn)

    @cached_property
    def withdrawn(self) -> frozenset[str]:
        """The seals of the entries that carry nothing any more."""
        return self._left_out.union(*(entry.withdraws for entry in self.entries))

    @cached_property
    def _pairs(self) -> dict[str, list[tuple[str, Entry, bool]]]:
        """For every mark those that it was shown to equal, the entry that shows it, and whether it knows of GPUs."""
        pairs: dict[str, list[tuple[str, Entry, bool]]] = {}
        for entry in (one for one, seal in zip(self.entries, self.seals) if seal not in self.withdrawn):
            for before, after in entry.marks.items():
                everywhere = before not in entry.cpu_only
                pairs.setdefault(before, []).append((after, entry, everywhere))
                pairs.setdefault(after, []).append((before, entry, everywhere))
        return pairs

    def chain(self, start: str, end: str, cpu_only: bool = False) -> list[Entry] | None:
        """The entries that lead from one mark to another, fewest first; [] where they are equal, None if none do.

        ``cpu_only`` admits pairs of which a GPU's code was not seen.
        """
        paths: dict[str, list[Entry]] = {start: []}
        pending = deque([start])
        while pending:
            mark = pending.popleft()
            if mark == end:
                return paths[mark]
            for other, entry, everywhere in self._pairs.get(mark, ()):
                if other not in paths and (everywhere or cpu_only):
                    paths[other] = [*paths[mark], entry]
                    pending.append(other)
        return None

    @cached_property
    def _moves(self) -> dict[str, str]:
        return {before: after for entry in self.entries for before, after in entry.runs.items()}

    def place(self, function: str) -> str:
        """Where a run function stands today that a record calls ``"module:name"``."""
        seen = set()
        while function in self._moves and function not in seen:
            seen.add(function)
            function = self._moves[function]
        return function

    def places(self, function: str) -> list[str]:
        """Where a run function has stood since a record called it so, oldest first: for code of any age."""
        names = [function]
        for entry in self.entries:
            if names[-1] in entry.runs:
                names.append(entry.runs[names[-1]])
        return names


_OPEN: dict[tuple[Path, int], Ledger] = {}


def ledger() -> Ledger:
    """The checkout's ledger, read again only when its file has changed."""
    path = _paths.book("records", "equivalences.json")
    key = (path, path.stat().st_mtime_ns if path.is_file() else 0)
    if key not in _OPEN:
        _OPEN.clear()
        _OPEN[key] = Ledger(path)
    return _OPEN[key]


def short(commit: str) -> str:
    """A commit as the ledger's pages name it."""
    return re.sub(r"^([0-9a-f]{8})[0-9a-f]*", r"\1", commit)
