"""The choices that the DBC paper leaves open: each is one run, and the page's tables are read from records."""

import re
from pathlib import Path

import numpy as np
import pytest

from clustlib import DBC, FCAEFeatures, dbc, records
from clustlib.dbc.choices import DBC_CHOICES
from clustlib.errors import UsageError
from clustlib.reproduce import site

ROOT = Path(__file__).resolve().parent.parent


def kept(function, arrays: dict | None = None, metrics: dict | None = None, **given) -> None:
    params = records.runs.bind(function, given)
    key = records.runs.key_of(function, params)
    store = records.open_store("paper")
    store.write(key, params, metrics or {}, arrays or {}, seconds=1.0, provenance={}, sources="")


@pytest.fixture
def written(book):
    for seed in (0, 1):
        end = {"accuracy": 0.6 + 0.1 * seed, "nmi_max": 0.5}
        kept(dbc.runs.clustering.cluster, dataset="usps", method="DBC", seed=seed, metrics=end)
    four = {"accuracy": 0.3, "nmi_max": 0.2, "accuracy_even": 0.4, "nmi_max_even": 0.3}
    kept(
        dbc.runs.clustering.cluster, dataset="usps", method="FCAE-KMS", seed=0, metrics={**four, "accuracy_start": 0.55}
    )
    kept(
        dbc.runs.clustering.cluster,
        dataset="usps",
        method="FCAE-KMS",
        seed=1,
        epochs=3,
        metrics={**four, "accuracy": 0.9},
    )
    end = {"accuracy": 0.25, "nmi_max": 0.2, "accuracy_start": 0.35}
    kept(dbc.runs.choices.switched, dataset="usps", choice="sphere-of-1", seed=0, metrics=end)
    kept(dbc.runs.choices.switched, dataset="usps", choice="sphere-of-10", seed=0, epochs=1, metrics=end)
    curve = {"accuracies": np.array([0.5, 0.8]), "nmis": np.array([0.4, 0.7])}
    kept(
        dbc.runs.clustering.cluster,
        dataset="mnist-test",
        method="FCAE-KMS",
        seed=0,
        metrics={**four, "accuracy_start": 0.45},
    )
    for method in ("alpha 4", "alpha 2", "random start"):
        end = {"accuracy": 0.8, "nmi_max": 0.7}
        kept(dbc.runs.clustering.learning_curve, curve, end, dataset="mnist-test", method=method, seed=0)


def test_a_cell_goes_from_the_start_to_the_end(written):
    found = dbc.views.choices().set_index("choice")
    assert found.loc[dbc.views.BOOK, "usps"] == "0.550 → 0.650 / 0.500 (2)"
    assert found.loc["sphere-of-1", "usps"] == "0.350 → 0.250 / 0.200 (1)"
    assert found.loc["alpha 4", "mnist-test"] == "0.450 → 0.800 / 0.700 (1)"  # from the clusters of the tables' run
    assert found.loc["random start", "mnist-test"] == "0.800 / 0.700 (1)"  # another auto-encoder: no record has it
    assert found.loc["half start", "arguments"] == "half of the epochs of stage I"
    assert found.loc["sgd-in-stage-1", "arguments"] == "optimizer=sgd, learning_rate=0.1"


def test_runs_of_other_lengths_stay_out(written):
    found = dbc.views.choices().set_index("choice")
    assert found.loc["sphere-of-10", "usps"] == "not run"
    assert dbc.views.starts().set_index("start").iloc[0]["usps"] == "0.300 / 0.200 (1)"


def test_the_curves_of_the_books_own_settings_are_not_shown_twice(written):
    assert set(dbc.views.choices()["choice"]) == {
        dbc.views.BOOK,
        *DBC_CHOICES,
        *(n for n, s in dbc.runs.clustering.CURVES.items() if s),
    }
    assert "alpha 2" not in set(dbc.views.measured()["choice"])


def test_the_starts_are_read_off_one_record(written):
    found = dbc.views.starts()
    assert list(found["usps"]) == ["0.300 / 0.200 (1)", "0.400 / 0.300 (1)", "not run", "not run", "0.650 / 0.500 (2)"]


def test_what_has_no_record_says_so_on_the_page(book):
    for page, rows in ((site.dbc_choices_page(), len(DBC_CHOICES) + 7), (site.dbc_starts_page(), 5)):
        lines = page.splitlines()
        assert len(lines) == 2 + rows
        assert all(line.count("not run") == len(dbc.views.DATASETS) for line in lines[2:])


@pytest.mark.parametrize("choice", DBC_CHOICES)
def test_a_choice_names_arguments_and_departs_from_their_defaults(choice):
    departs = 0
    for given, estimator in zip(DBC_CHOICES[choice], (FCAEFeatures(), DBC())):
        defaults = estimator.get_params(deep=False)
        assert set(given) <= set(defaults)
        departs += sum(defaults[name] != value for name, value in given.items())
    assert departs


def test_without_a_departure_it_is_the_run_of_the_tables(book, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(DBC_CHOICES, "none", ({}, {}))
    same = dbc.runs.choices.switched("digits", "none", seed=1, pretrain_epochs=1, epochs=1)
    table = dbc.runs.clustering.cluster("digits", "DBC", 1, pretrain_epochs=1, epochs=1)
    start = dbc.runs.clustering.cluster("digits", "FCAE-KMS", 1, pretrain_epochs=1)
    assert same["accuracy"] == table["accuracy"] and same["accuracy_start"] == start["accuracy_start"]
    other = dbc.runs.choices.switched("digits", "start-not-averaged", seed=1, pretrain_epochs=1, epochs=1)
    assert other["nmi_max_start"] != same["nmi_max_start"]
    assert len(list(tmp_path.glob("**/train-stage-1.*.npz"))) == 1
    assert not list((book / "_build/checkpoints").glob("*.pt"))


def test_a_choice_of_stage_1_trains_its_own_auto_encoder(book, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = dbc.runs.choices.switched("digits", "code-with-relu", pretrain_epochs=1, epochs=1)
    assert 0 < found["accuracy"] <= 1 and found["epochs_run"] == 1
    assert len(list(tmp_path.glob("**/*code-bn-relu*.npz"))) == 1


@pytest.mark.parametrize(
    "wrong", [{"choice": "sphere"}, {"method": "KMS"}, {"seed": -1}, {"epochs": 0}, {"dataset": "x"}]
)
def test_wrong_parameters_are_refused_before_any_work(wrong):
    with pytest.raises(UsageError):
        dbc.runs.choices.switched.check(**{"dataset": "digits", "choice": "one-restart", **wrong})


def test_a_choice_is_part_of_its_runs_sources_and_no_other(monkeypatch):
    def sources(choice: str) -> str:
        return records.runs.mark_of(dbc.runs.choices.switched, {"choice": choice})

    before = {choice: sources(choice) for choice in ("v-of-10", "sphere-of-1")}
    monkeypatch.setitem(DBC_CHOICES, "v-of-10", ({}, {"v": 11.0}))
    assert sources("v-of-10") != before["v-of-10"] and sources("sphere-of-1") == before["sphere-of-1"]


def test_the_page_includes_what_is_generated_and_names_what_exists():
    page = (ROOT / "book/dbc/paper-vs-code.md").read_text(encoding="utf-8")
    assert all(f"{{include}} ../generated/dbc-{name}.md" in page for name in ("starts", "choices"))
    known = {**FCAEFeatures().get_params(), **DBC().get_params(deep=False)}
    said = re.findall(r"`(?:FCAEFeatures\(|DBC\()?(\w+)(?:=\.\.\.\))?` \(\*\*([\w.]+)\*\*", page)
    assert len(said) > 10
    for name, default in said:
        assert str(known[name]) == default or known[name] == float(default), name
