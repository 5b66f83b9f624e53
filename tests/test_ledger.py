"""The ledger of equivalences: chains of marks, and refusal of what was edited or cut off."""

import json

import pytest
from evidence import touched, written

from clustlib.errors import RecordCorrupt, UsageError
from clustlib.records import freshness
from clustlib.records.ledger import Entry, Ledger
from clustlib.records.store import Record


def entry(marks, cpu_only=(), runs=None, **more) -> Entry:
    return Entry("a change", "2026-01-01T00:00:00Z", ("a" * 12, "b" * 12), marks, cpu_only, runs or {}, **more)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "equivalences.json"


def filled(path) -> Ledger:
    book = Ledger(path)
    book.append(entry({"old": "new"}))
    book.append(entry({"new": "newer", "x": "y"}, cpu_only=("x",), runs={"m:f": "n:f"}, witnesses=("one",)))
    return book


def test_no_file_is_an_empty_ledger(path):
    assert Ledger(path).entries == [] and Ledger(path).chain("a", "a") == [] and Ledger(path).chain("a", "b") is None


def test_what_is_appended_is_read_back_one_line_each(path):
    book = filled(path)
    assert Ledger(path).entries == book.entries
    assert len(path.read_text(encoding="utf-8").splitlines()) == 5


def test_a_chain_leads_through_entries_and_back(path):
    book = filled(path)
    assert book.chain("old", "newer") == book.entries
    assert book.chain("newer", "old") == book.entries[::-1]  # a change that is taken back
    assert book.chain("old", "y") is None


def test_a_pair_that_no_gpu_has_seen_is_followed_on_request_only(path):
    book = filled(path)
    assert book.chain("x", "y") is None and book.chain("x", "y", cpu_only=True) == [book.entries[1]]


def test_a_run_function_that_moved_is_found(path):
    book = filled(path)
    assert book.place("m:f") == "n:f"
    book.append(entry({}, runs={"n:f": "o:g"}))
    assert book.place("m:f") == "o:g" and book.places("m:f") == ["m:f", "n:f", "o:g"]
    assert book.place("elsewhere:f") == "elsewhere:f"


def test_what_is_withdrawn_stays_in_the_file_and_carries_nothing(path):
    book = filled(path)
    book.append(entry({"old": "newer"}, witnesses=("one",), withdraws=(book.seals[1],)))
    for read in (book, Ledger(path)):
        assert read.entries[1].marks == {"new": "newer", "x": "y"}
        assert read.chain("new", "newer") == [read.entries[0], read.entries[2]]
        assert read.chain("x", "y", cpu_only=True) is None
        assert read.place("m:f") == "n:f"  # where a function stands is no matter of proof


def test_a_withdrawal_is_tried_before_it_is_written(path):
    book = filled(path)
    assert book.leave_out([book.seals[1][:8]]) == (book.seals[1],)
    assert book.chain("old", "newer") is None and Ledger(path).chain("old", "newer")
    with pytest.raises(UsageError, match="0 entries"):
        book.leave_out(["nothing"])
    with pytest.raises(UsageError):
        book.leave_out([""])


@pytest.mark.parametrize("damage", ["edit", "cut", "a line less", "the last line", "order", "no json", "a list"])
def test_a_damaged_ledger_is_refused(path, damage):
    filled(path)
    text = path.read_text(encoding="utf-8")
    content = json.loads(text)
    lines = content["entries"]
    changed = {
        "edit": text.replace('"old": "new"', '"old": "newer"'),
        "cut": text[: len(text) // 2],
        "a line less": json.dumps({**content, "entries": lines[1:]}),
        "the last line": json.dumps({**content, "entries": lines[:-1]}),
        "order": json.dumps({**content, "entries": lines[::-1]}),
        "no json": "entries",
        "a list": "[1]",
    }
    path.write_text(changed[damage], encoding="utf-8")
    with pytest.raises(RecordCorrupt, match="edited or cut off"):
        Ledger(path)


def a_record(sources: str, gpu: bool) -> Record:
    made = {"function": "m:f", "device": "a GPU" if gpu else "a CPU", "cpu": "a CPU"}
    return Record("k", {}, {}, 1.0, made, sources, None)


@pytest.mark.parametrize(
    ("sources", "now", "gpu", "state"),
    [
        ("newer", "newer", False, "fresh"),
        ("old", "new", False, "fresh"),  # another way to write the same mark, no witness needed
        ("new", "newer", False, "carried"),
        ("x", "y", True, "CPU only"),
        ("x", "y", False, "stale"),
        ("old", "other", False, "stale"),
    ],
)
def test_a_records_state(path, monkeypatch, sources, now, gpu, state):
    book = filled(path)
    monkeypatch.setattr(freshness, "ledger", lambda: book)
    monkeypatch.setattr("clustlib.records.freshness.mark_of", lambda fn, params, gpu: now)
    assert freshness.judge(a_record(sources, gpu), fn=lambda: None).state == state


def test_a_record_whose_function_is_gone_is_stale(path, monkeypatch):
    monkeypatch.setattr(freshness, "ledger", lambda: Ledger(path))
    assert freshness.judge(a_record("a", False)).state == "stale"


@pytest.mark.parametrize("damage", ["append", "rewrite", "remove", "none"])
def test_what_watches_over_the_ledger_sees_a_test_that_writes_into_it(tmp_path, damage):
    path = tmp_path / "book" / "equivalences.json"
    path.parent.mkdir()
    filled(path)
    before = written(tmp_path)
    if damage == "append":
        Ledger(path).append(entry({"a": "b"}))
    elif damage == "rewrite":  # with the bytes that it had
        path.write_bytes(path.read_bytes())
    elif damage == "remove":
        path.unlink()
    assert touched(tmp_path, before) == ([] if damage == "none" else [str(path)])


def test_every_test_runs_under_that_watch(request):
    assert "evidence" in request.fixturenames
