"""``python -m clustlib.records show``: a record in words, by its key or its file, and the line that runs it again."""

import pytest

from clustlib import records
from clustlib.records import __main__ as command
from clustlib.records import freshness

MOVED = "OURS-SF/umist/joint-clustering.precision-bfloat16.variant-algorithm-1.seed-2"  # named in a module that is gone


def said(capsys, *asked: str) -> str:
    assert command.main(["show", *asked]) == 0
    return capsys.readouterr().out


@pytest.fixture
def gone(book):
    """A committed record whose run function is no more."""
    origin = {"function": "clustlib.metrics:gone", "started": "2026-01-01T00:00:00Z", "device": "cpu", "cpu": "cpu"}
    store, params = records.open_store("paper"), {"dataset": "digits", "method": "A"}
    return store.write(
        "A/digits/gone", params, {"nmi": 0.5}, {}, seconds=1.0, provenance={**origin, "commit": ""}, sources="x"
    )


def test_a_record_is_shown_with_the_function_that_stands_for_it_today(committed, capsys):
    record, text = records.load(MOVED), said(capsys, MOVED)
    function = freshness.run_function(record)
    assert record.provenance["function"] != freshness.place_of(function)  # the ledger knows that it has moved
    place = f"{function.__code__.co_filename.split('/clustlib/')[-1]}:{function.__code__.co_firstlineno}"
    assert f"{freshness.place_of(function)}, clustlib/{place}" in text
    rows = {line.split()[0]: line.split(maxsplit=1)[1] for line in text.splitlines() if line.startswith("  ")}
    for name, value in {**record.params, **record.metrics, "seconds": record.seconds}.items():
        assert rows[name] == str(value)
    assert rows["state"].startswith(freshness.judge(record).state)
    made = record.provenance
    assert rows["made"] == f"{made['started']} on {made['device']}, commit {made['commit']}"


def test_the_last_line_runs_it_again(committed, capsys, monkeypatch):
    record, line = records.load(MOVED), said(capsys, MOVED).splitlines()[-1].strip()
    asked = []
    monkeypatch.setattr(records, "run", lambda fn, **given: asked.append((fn, given)))
    exec(line, {})
    assert asked == [(freshness.run_function(record), {"profile": "paper", "recompute": "all", **record.params})]


@pytest.mark.parametrize("folder", [".", "notebooks", "book/records"])
@pytest.mark.parametrize("ending", ["", ".json"])
def test_a_file_stands_for_its_key_from_wherever_it_is_named(gone, book, folder, ending, capsys, monkeypatch):
    path, text = book / f"book/records/{gone.key}{ending}", said(capsys, gone.key)
    monkeypatch.chdir(book / folder)
    up = "../" * (0 if folder == "." else folder.count("/") + 1)
    for named in (f"{gone.key}{ending}", str(path), f"{up}book/records/{gone.key}{ending}", f"book/records/{gone.key}"):
        assert said(capsys, named) == text


def test_a_record_whose_function_is_gone_says_so(gone, capsys):
    text = said(capsys, gone.key)
    assert "there is no function clustlib.metrics:gone any more" in text and "cannot be run again" in text
    assert "state         stale" in text and "commit unknown" in text


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("A/digits/gon", "near it: A/digits/gone"),
        ("book/records/A/digit/gone.json", "near it: A/digits/gone"),
        ("", "none has a name near"),
        ("../../etc/passwd", "none has a name near"),
        ("two\nlines\0", "none has a name near"),
        ("q" * 5000, "none has a name near"),
    ],
)
def test_an_unknown_key_is_one_line(gone, asked, near, capsys):
    assert command.main(["show", asked]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("UnknownRecord: no record '") and line.endswith(near) and len(line) < 300


def test_three_close_keys_are_named_in_full(committed, capsys):
    assert command.main(["show", MOVED.replace("OURS-SF", "OURS-ZF")]) == 2
    near = capsys.readouterr().err.strip().partition("near it: ")[2].split(", ")
    assert len(near) == 3 and MOVED in near
