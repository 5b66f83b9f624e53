"""Large results of a run: kept in the user's cache, made again when missing, damaged or made by other sources."""

import numpy as np
import pytest

from clustlib import records
from clustlib.records import artifacts, runs
from clustlib.records.ledger import Entry, ledger

calls = []


def embed(dataset: str, seed: int = 0) -> dict[str, np.ndarray]:
    calls.append((dataset, seed))
    return {"embedding": np.random.default_rng(seed).normal(size=(5, 3)).astype(np.float32)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(artifacts, "folder", lambda: tmp_path)
    monkeypatch.setattr(artifacts, "mark_of", lambda fn, params, gpu=False: "sources")
    calls.clear()
    return tmp_path


def file(cache):
    return next(cache.rglob("*.npz"))


def test_made_once_and_read_back():
    first = records.artifact(embed, dataset="digits")
    again = records.artifact(embed, dataset="digits", seed=0)
    assert calls == [("digits", 0)]
    assert list(again) == ["embedding"] and np.array_equal(first["embedding"], again["embedding"])
    other = records.artifact(embed, dataset="digits", seed=1)
    assert not np.array_equal(first["embedding"], other["embedding"])


def test_made_again_by_other_sources(monkeypatch):
    records.artifact(embed, dataset="digits")
    monkeypatch.setattr(artifacts, "mark_of", lambda fn, params, gpu=False: "others")
    records.artifact(embed, dataset="digits")
    assert len(calls) == 2


def asks(dataset: str, method: str = "A", seed: int = 0) -> dict[str, float]:
    return {"mean": records.artifact(embed, dataset=dataset, seed=seed)["embedding"].mean()}


@pytest.mark.parametrize(
    ("pairs", "n_made"), [({"asks at 1": "asks at 2"}, 1), ({}, 2), ({"asks at 1": "asks at 3"}, 2)]
)
def test_a_result_is_carried_with_the_run_that_asked_for_it(cache, monkeypatch, book, pairs, n_made):
    """Other sources, and a ledger that says what became of the run: of the result alone it never speaks."""
    code = ["1"]
    mark = lambda fn, params, gpu=False: f"{fn.__name__} at {code[0]}"  # noqa: E731
    for module in (artifacts, runs):
        monkeypatch.setattr(module, "mark_of", mark)
    monkeypatch.setattr(runs, "_dataset_checksum", lambda params: None)
    records.run(asks, profile="paper", dataset="digits")
    records.artifact(embed, dataset="digits")
    assert len(calls) == 1
    code[0] = "2"
    ledger().append(Entry("a name", "2026-11-29", ("a", "b"), pairs, witnesses=("w",))) if pairs else None
    records.artifact(embed, dataset="digits")
    records.artifact(embed, dataset="digits")
    assert len(calls) == n_made


def test_what_a_file_says_of_itself_may_be_anything():
    for told in (
        "",
        "[]",
        "{}",
        '{"params": 3}',
        '{"params": {"dataset": "digits", "seed": 0}, "sources": "x", "asked by": 7}',
    ):
        assert not artifacts._stands(told, embed, {"dataset": "digits", "seed": 0})


@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
def test_made_again_when_damaged(cache, damage):
    records.artifact(embed, dataset="digits")
    path = file(cache)
    path.write_bytes({"cut": path.read_bytes()[:200], "empty": b"", "text": b"no"}[damage])
    with pytest.warns(UserWarning, match="damaged"):
        found = records.artifact(embed, dataset="digits")
    assert found["embedding"].shape == (5, 3) and len(calls) == 2


def test_a_full_disk_costs_the_file_not_the_result(monkeypatch):
    def full(path, content):
        raise OSError(28, "could not write")

    monkeypatch.setattr(artifacts._paths, "write_atomically", full)
    with pytest.warns(UserWarning, match="not kept"):
        assert records.artifact(embed, dataset="digits")["embedding"].shape == (5, 3)


def test_a_misspelt_parameter_is_refused():
    with pytest.raises(ValueError, match="sed"):
        records.artifact(embed, dataset="digits", sed=1)


def test_the_key_is_the_records():
    records.artifact(embed, dataset="digits", seed=2)
    assert runs.key_of(embed, {"dataset": "digits", "seed": 2}) == "embed/digits/embed.seed-2"


@pytest.mark.parametrize("gpu", [False, True])
def test_made_again_where_what_made_it_has_changed(gpu, monkeypatch):
    monkeypatch.setattr(artifacts.provenance, "on_gpu", lambda made: gpu)
    marks = {False: "cpu-1", True: "gpu-1"}
    monkeypatch.setattr(artifacts, "mark_of", lambda fn, params, gpu=False: marks[gpu])
    records.artifact(embed, dataset="digits")
    marks[not gpu] = "other"  # what it was not made by does not matter
    records.artifact(embed, dataset="digits")
    assert len(calls) == 1
    marks[gpu] = "other"
    records.artifact(embed, dataset="digits")
    assert len(calls) == 2
