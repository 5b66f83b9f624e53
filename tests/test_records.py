"""Records: exact replay, atomic writing, refusal of what was edited."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from clustlib import records
from clustlib.errors import DataMissing, RecordCorrupt, UsageError
from clustlib.records import freshness
from clustlib.records import runs as run_module

CALLS = []


def fake(method: str, dataset: str, seed: int = 0, noise: float = 0.0) -> dict:
    CALLS.append((method, dataset, seed))
    if dataset == "absent":
        raise DataMissing("absent is not here")
    if dataset == "huge":
        raise MemoryError("huge needs 900 GB")
    rng = np.random.default_rng([seed, len(method)])
    return {"nmi": rng.random() + noise, "labels": rng.integers(0, 5, 50).astype(np.uint8)}


fake.uses = lambda params: []


@pytest.fixture(autouse=True)
def plain_runs(monkeypatch, book):
    """Runs of a test function: no data set behind them, no definition in clustlib."""
    CALLS.clear()
    monkeypatch.setattr(run_module, "_dataset_checksum", lambda params: None)
    for module in (run_module, freshness):
        monkeypatch.setattr(module, "mark_of", lambda fn, params, gpu=False: fake.version)
    monkeypatch.setattr(fake, "version", "v1", raising=False)


def run(**params):
    return records.run(fake, **{"method": "K-means", "dataset": "digits", **params})


def test_the_second_run_is_a_replay():
    first, second = run(), run()
    assert len(CALLS) == 1
    assert first == second
    np.testing.assert_array_equal(first.arrays["labels"], second.arrays["labels"])


def test_same_seed_same_record_and_two_seeds_differ(book):
    first = run().content()
    (book / "_build").rename(book / "elsewhere")
    assert run().content() == first
    assert run(seed=1).metrics != first["metrics"]


def test_the_key_reads_well_and_leaves_defaults_out():
    assert run().key == "K-means/digits/fake.seed-0"
    assert run(noise=0.5, seed=3).key == "K-means/digits/fake.noise-0.5.seed-3"


def test_a_record_says_where_it_came_from():
    made = run().provenance
    assert made["versions"]["numpy"] == np.__version__
    assert {"device", "cpu", "platform", "commit", "started", "peak_memory_mb", "function"} <= set(made)
    assert made["peak_memory_mb"] > 1


@pytest.mark.parametrize(("recompute", "calls"), [("never", 1), ("missing", 1), ("stale", 2), ("all", 2)])
def test_changed_sources(recompute, calls):
    run()
    fake.version = "v2"
    run(recompute=recompute)
    assert len(CALLS) == calls


def test_other_versions_make_a_quick_record_stale_but_not_a_committed_one(monkeypatch):
    run(profile="quick")
    run(profile="paper")
    monkeypatch.setattr(run_module.provenance, "versions", lambda: {"python": "4.0"})
    run(profile="quick")
    run(profile="paper")
    assert len(CALLS) == 3


def test_never_computes_nothing():
    with pytest.raises(records.NoRecord):
        run(recompute="never")
    assert not CALLS


@pytest.mark.parametrize("damage", ["edit", "truncate", "garbage", "empty"])
def test_a_damaged_record_is_refused(book, damage):
    path = book / "_build/quick/records" / f"{run().key}.json"
    text = path.read_text(encoding="utf-8")
    content = json.loads(text)
    content["metrics"]["nmi"] = 1.0
    path.write_text(
        {"edit": json.dumps(content), "truncate": text[: len(text) // 2], "garbage": "[1]", "empty": ""}[damage],
        encoding="utf-8",
    )
    with pytest.raises(RecordCorrupt, match="delete"):
        run()


def test_a_record_under_anothers_name_is_refused(book):
    folder = book / "_build/quick/records"
    first, second = run(seed=0), run(seed=1)
    for suffix in (".json", ".npz"):
        (folder / f"{second.key}{suffix}").write_bytes((folder / f"{first.key}{suffix}").read_bytes())
    with pytest.raises(RecordCorrupt, match="seed-0; delete"):
        run(seed=1)
    assert run(seed=0).metrics == first.metrics


@pytest.mark.parametrize("damage", ["remove", "truncate"])
def test_damaged_arrays_are_refused(book, damage):
    path = book / "_build/quick/records" / f"{run().key}.npz"
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(RecordCorrupt, match=r"\.npz"):
        _ = run().arrays


def test_bad_requests_stop_before_any_work():
    for wrong in ({"sede": 1}, {"recompute": "sometimes"}, {"profile": "papr"}):
        with pytest.raises(UsageError):
            run(**wrong)
    with pytest.raises(UsageError, match="empty"):
        records.grid(fake, method=[], dataset=["digits"])
    with pytest.raises(UsageError):
        records.grid(fake, method=["a"], dataset=["digits"], sead=[0])
    assert not CALLS


def test_nan_is_not_a_result():
    with pytest.raises(ValueError, match="not finite: nmi"):
        run(noise=float("nan"))


def test_committed_arrays_are_small(monkeypatch):
    monkeypatch.setattr("clustlib.records.store.ARRAYS_LIMIT", 10)
    run(profile="quick")
    with pytest.raises(ValueError, match="over the 10"):
        run(profile="paper")


def test_a_full_disk_leaves_nothing_half_written(book, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"could not write .*No space left"):
        run()
    assert not [path for path in (book / "_build/quick/records").rglob("*") if path.is_file()]


def test_what_a_killed_write_left_is_removed_by_the_next(book):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    folder = book / "_build/quick/records/K-means/digits"
    folder.mkdir(parents=True)
    left, at_work = (folder / f".fake.seed-0.json.{pid}.tmp" for pid in (gone.pid, os.getppid()))
    for path in (left, at_work):
        path.write_text("half", encoding="utf-8")
    run()
    assert [left.is_file(), at_work.is_file()] == [False, True]


def test_grid_runs_every_combination_and_seedless_rows_once():
    runs = records.grid(fake, method=["a", "b"], dataset=["digits"], seed=[0, 1], once=["b"])
    assert sorted(CALLS) == [("a", "digits", 0), ("a", "digits", 1), ("b", "digits", 0)]
    assert len(runs.records) == 3


def test_what_cannot_run_costs_only_its_cell():
    runs = records.grid(fake, method=["a"], dataset=["absent", "huge", "digits"])
    assert [type(outcome).__name__ for outcome in runs] == ["Missing", "Missing", "Record"]
    cells = runs.cells(score="nmi")
    assert list(cells["metric"]) == ["score"] * 3
    assert list(cells["reason"][:2]) == ["needs absent: see the page on data sets", "huge needs 900 GB"]
    assert cells["value"].isna().tolist() == [True, True, False]


def test_digest_changes_when_a_record_comes_in_or_changes():
    keys = ["K-means/digits/fake.seed-0"]
    absent = records.digest("quick", keys)
    run()
    there = records.digest("quick", keys)
    fake.version = "v2"
    run()
    assert len({absent, there, records.digest("quick", keys)}) == 3


def test_two_processes_share_one_run(book):
    """Of two processes that ask for the same run at once, one computes and the other replays."""
    script = """
import sys, time
from clustlib import records
from clustlib.records import runs as r
r._dataset_checksum = lambda params: None
def slow(method, dataset):
    open(f"called-{sys.argv[1]}", "w").close()
    time.sleep(1.5)
    return {"nmi": 0.5}
records.run(slow, method="a", dataset="b")
"""
    processes = []
    for number in (1, 2):
        processes.append(subprocess.Popen([sys.executable, "-c", script, str(number)], cwd=book))
        time.sleep(0.2)
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    assert len(list(book.glob("called-*"))) == 1


def test_an_audit_holds_a_score_against_the_other_seeds(book):
    from clustlib.records import audit, open_store

    store = open_store("paper")
    made = {"function": "m:f", "device": "a CPU", "cpu": "a CPU"}
    for seed, value in ((0, 0.3), (1, 0.5), (2, 0.4)):
        key = f"a/b/run.seed-{seed}"
        store.write(key, {"seed": seed}, {"nmi": value}, {}, seconds=1.0, provenance=made, sources="x")
    store.write("a/b/other.seed-1", {"seed": 1}, {"nmi": 0.9}, {}, seconds=1.0, provenance=made, sources="x")
    assert audit.over_seeds("a/b/run.seed-1", "nmi") == (0.3, 0.5)
    assert audit.over_seeds("a/b/other.seed-1", "nmi") is None
    assert audit.is_cost("fit_seconds") and not audit.is_cost("nmi_geometric")


def test_an_audit_takes_what_can_be_run_here_and_goes_on_where_it_was(book, monkeypatch):
    from clustlib.errors import DataMissing
    from clustlib.records import audit, open_store, provenance

    made = {"function": "m:f", **provenance.environment()}
    store = open_store("paper")
    for seconds, name in enumerate(("absent", "endless", "here", "dearer")):
        store.write(f"a/{name}/run", {"d": name}, {"nmi": 0.5}, {}, seconds=seconds + 1.0, provenance=made, sources="x")

    def again(record):
        asked.append(record.params["d"])
        if asked[-1] == "absent":
            raise DataMissing("absent is not here")
        while asked[-1] == "endless":
            pass
        return {"nmi": 0.75}, 1.0

    asked: list[str] = []
    monkeypatch.setattr(audit, "_again", again)
    (row,) = audit.audit(limit=0.2).to_dict("records")
    assert asked == ["absent", "endless"] and "more than 0.2 seconds" in row["metric"] and row["agrees"]
    store.path("a/endless/run").unlink()
    (row,) = audit.audit().to_dict("records")
    assert (row["key"], row["then"], row["now"], row["agrees"]) == ("a/here/run", 0.5, 0.75, False)
    assert audit.audit().to_dict("records") == [row] and asked[2:] == ["absent", "here"]
    audit.audit(anew=True)
    assert asked[4:] == ["absent", "here"]


def test_a_run_whose_name_no_file_could_have_has_a_shorter_one(book):
    """The path of someone's weights, two hundred letters long, is a parameter like any other."""
    long = {"dataset": "digits", "method": "A", "weights": "/mnt/" + "a-folder-with-a-name/" * 12}
    keys = {run_module.key_of(weighed, {**long, "weights": long["weights"] + end}) for end in ("one", "two")}
    assert len(keys) == 2 and all(len(key.rpartition("/")[2]) < 230 for key in keys)
    made = records.run(weighed, profile="paper", **long)
    assert records.run(weighed, profile="paper", recompute="never", **long).metrics == made.metrics


def weighed(dataset: str, method: str, weights: str) -> dict[str, float]:
    return {"length": len(weights)}


def lasting(dataset: str, method: str, epochs: int | None = None, variant: str = "a") -> dict[str, float]:
    return {"epochs": epochs or 0, "variant": ord(variant)}


records.declare(lasting, fills=lambda params: {"epochs": {"digits": 7, "mnist": 9}[params["dataset"]]})


def test_a_record_states_what_none_stands_for(book):
    """A data set's own number of epochs is written out; the readable name and the run stay the same."""
    made = records.run(lasting, profile="paper", dataset="digits", method="A")
    assert made.params["epochs"] == made.metrics["epochs"] == 7 and made.key == "A/digits/lasting"
    assert json.loads(records.open_store("paper").path(made.key).read_text(encoding="utf-8"))["params"]["epochs"] == 7
    same = records.run(lasting, profile="paper", recompute="never", dataset="digits", method="A", epochs=7)
    assert same == made
    other = records.run(lasting, profile="paper", dataset="digits", method="A", epochs=9)
    assert other.key == "A/digits/lasting.epochs-9" and other.metrics["epochs"] == 9
    assert records.run(lasting, profile="paper", dataset="mnist", method="A").key == "A/mnist/lasting"


def test_a_record_older_than_a_setting_is_of_the_same_run_and_states_its_own(book):
    """Older records hold None, and lack a setting that came later: they are replayed, and say what they were."""
    store, origin = records.open_store("paper"), {"function": f"{__name__}:lasting"}
    params = {"dataset": "digits", "method": "A", "epochs": None}
    store.write("A/digits/lasting", params, {"epochs": 5.0}, {}, seconds=1.0, provenance=origin, sources="x")
    for given in ({}, {"epochs": None}, {"epochs": 7}, {"variant": "a"}):
        found = records.run(lasting, profile="paper", recompute="never", dataset="digits", method="A", **given)
        assert found.metrics == {"epochs": 5.0} and found.params == {**params, "epochs": 7}
    assert records.load("A/digits/lasting").params == {**params, "epochs": 7}
    with pytest.raises(run_module.NoRecord):
        records.run(lasting, profile="paper", recompute="never", dataset="digits", method="A", variant="b")


def test_no_cells_put_below_others_leave_numbers_numbers():
    pd = pytest.importorskip("pandas")
    some = records.grid(fake, method="A", dataset="digits").cells(nmi="nmi")
    every = pd.concat([records.Runs().cells(nmi="nmi"), some], ignore_index=True)
    assert every["value"].dtype == every["seconds"].dtype == float
