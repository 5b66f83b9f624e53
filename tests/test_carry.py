"""make witness, end to end, on a made-up package: what is carried, what is refused, and what is written."""

import json
from pathlib import Path

import pytest

from clustlib.records import carry as carrying
from clustlib.records.judgement import Name, Trial, Verdict
from clustlib.records.ledger import Entry, Ledger
from clustlib.records.marks import Behind
from clustlib.records.store import Record

HERE = "clustlib.runs:fit"
STEP, OTHER = "clustlib.kernels:step", "clustlib.kernels:other"


def a_record(key: str, mark: str, gpu: bool = False) -> Record:
    made = {"function": HERE, "device": "a GPU" if gpu else "a CPU", "cpu": "a CPU"}
    return Record(key, {"seed": 0}, {}, 1.0, made, mark, Path())


def behind(mark: str, **texts: str) -> Behind:
    """What a run goes through: for each definition a hash of its text."""
    labels = {f"clustlib.kernels:{name}": (text, f"{name} {text}") for name, text in texts.items()}
    return Behind(HERE, mark, labels)


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """Returns a function that carries made-up records with a made-up verdict."""

    def run(records, before, after, verdict, moved=None, withdraw=()):
        monkeypatch.setattr(carrying, "_git", lambda *words: "c" * 40)
        monkeypatch.setattr(carrying, "worktree", lambda revision: _Nothing())
        monkeypatch.setattr(carrying, "_records", lambda: records)
        monkeypatch.setattr(carrying, "ledger", lambda: Ledger(tmp_path / "equivalences.json"))
        revisions = iter((after, before))
        monkeypatch.setattr(carrying, "_seen", lambda *_: next(revisions))
        monkeypatch.setattr(carrying, "_writes_other_marks", lambda tree: False)
        asked = []

        def judge(old, new, changed, runner):
            asked.append(changed)
            return verdict

        monkeypatch.setattr(carrying, "judge", judge)
        monkeypatch.setattr(carrying, "Runner", _Nothing)
        return carrying.carry("base", moved=moved, withdraw=withdraw), asked, Ledger(tmp_path / "equivalences.json")

    return run


class _Nothing:
    def __enter__(self):
        return Path()

    def __exit__(self, *_):
        return None


def seen(mark: str, gpu_alone: str = "", **texts: str) -> carrying.Seen:
    on_cpu = behind(mark, **texts)
    return carrying.Seen(on_cpu, behind(mark + gpu_alone, **texts, triton=gpu_alone) if gpu_alone else on_cpu)


def speaks(*names: str, refuse: str = "") -> Verdict:
    trials = [Trial(Name(*name.split(":")), ["w"] if name != refuse else [], ["a fault"], []) for name in names]
    return Verdict(["w"], {}, trials)


def test_a_change_with_the_same_bits_is_one_line_of_the_ledger(judged):
    outcome, asked, book = judged([a_record("a", "m1")], [seen("m1", step="x")], [seen("m2", step="y")], speaks(STEP))
    assert len(outcome.carried) == 1 and not outcome.refused
    assert asked == [{Name(*STEP.split(":")): Name(*STEP.split(":"))}]
    entry = book.entries[0]
    assert entry.marks == {"m1": "m2"} and entry.witnesses == ("w",) and entry.faults == {STEP: [1, 1]}
    assert book.chain("m1", "m2") == [entry]


def test_what_the_witnesses_refuse_stays_stale_and_the_rest_is_carried(judged):
    records = [a_record("a", "m1"), a_record("b", "n1")]
    before = [seen("m1", step="x"), seen("n1", other="x")]
    after = [seen("m2", step="y"), seen("n2", other="y")]
    outcome, _, book = judged(records, before, after, speaks(STEP, OTHER, refuse=OTHER))
    assert book.entries[0].marks == {"m1": "m2"}
    assert any("no witness goes through it" in line for line in outcome.refused[HERE])


def test_nothing_changed_writes_nothing(judged):
    outcome, asked, book = judged([a_record("a", "m1")], [seen("m1", step="x")], [seen("m1", step="x")], None)
    assert outcome.entry is None and not asked and book.entries == []


def test_a_definition_of_a_gpu_alone_is_carried_on_the_cpu_only(judged):
    records = [a_record("a", "m1x", gpu=True)]
    outcome, asked, book = judged(records, [seen("m1", "x", step="s")], [seen("m1", "y", step="s")], None)
    assert not asked and book.entries[0].cpu_only == ("m1x",)
    assert book.chain("m1x", "m1y") is None and book.chain("m1x", "m1y", cpu_only=True)
    assert outcome.carried[0].unseen


def test_a_run_function_that_is_gone_is_named(judged):
    outcome, _, book = judged([a_record("a", "m1")], [seen("m1", step="x")], [None], None)
    assert "say where it is" in outcome.refused[HERE][0] and book.entries == []


def test_a_moved_run_function_is_written_down(judged):
    moved = {HERE: "clustlib.room:fit"}
    _, _, book = judged([a_record("a", "m1")], [seen("m1", step="x")], [seen("m1", step="x")], None, moved)
    assert book.place(HERE) == "clustlib.room:fit"


@pytest.mark.parametrize("refuse", ["", OTHER])
def test_an_exception_is_withdrawn_by_the_entry_that_takes_its_place(judged, tmp_path, refuse):
    """It stands where the witnesses do not show all that it says."""
    exception = Entry("an exception", "2026-01-01T00:00:00Z", ("a", "b"), {"m1": "m2", "n1": "n2"})
    Ledger(tmp_path / "equivalences.json").append(exception)
    records, verdict = [a_record("a", "m1"), a_record("b", "n1")], speaks(STEP, OTHER, refuse=refuse)
    before = [seen("m1", step="x"), seen("n1", other="x")]
    after = [seen("m2", step="y"), seen("n2", other="y")]
    seal = Ledger(tmp_path / "equivalences.json").seals[0]
    outcome, _, book = judged(records, before, after, verdict, withdraw=[seal[:8]])
    assert bool(outcome.refused) == bool(refuse)
    assert book.chain("m1", "m2") == [exception if refuse else outcome.entry]
    assert book.entries[1:] == ([] if refuse else [outcome.entry])
    assert book.withdrawn == (frozenset() if refuse else {seal})


def test_the_committed_ledger_stands_and_no_record_is_stale():
    from clustlib.records import status
    from clustlib.records.ledger import ledger

    assert ledger().entries
    states = status.by_function()
    assert states["stale"].sum() == 0, states[states["stale"] > 0]


def test_the_ledger_is_json_with_a_line_an_entry():
    from clustlib.records.ledger import ledger

    text = ledger().path.read_text(encoding="utf-8")
    assert len(json.loads(text)["entries"]) == len(text.splitlines()) - 3
