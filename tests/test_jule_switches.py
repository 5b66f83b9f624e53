"""The table of JULE's switches: read from records, one row a switch, what has none says so."""

import pytest

from clustlib import jule, records
from clustlib.jule.rows import JULE_VARIANTS
from clustlib.reproduce import site


def record(method: str, seed: int, nmi: float, seconds: float, **departing) -> None:
    given = {"dataset": "usps", "method": method, "seed": seed, "precision": "bfloat16", **departing}
    params = records.runs.bind(jule.runs.clustering.joint_clustering, given)
    key = records.runs.key_of(jule.runs.clustering.joint_clustering, params)
    metrics = {"nmi_geometric": nmi, "fit_seconds": seconds}
    records.open_store("paper").write(key, params, metrics, {}, seconds=1.0, provenance={}, sources="")


@pytest.fixture
def kept(book):
    for seed in (0, 1):
        record("OURS-SF", seed, 0.8 + 0.1 * seed, 50.0 + seed)
        record("OURS-RC", seed, 0.9, 50.0 + seed)
    record("OURS-RC", 0, 0.7, 40.0, variant="no-margin")
    record("OURS-RC", 0, 0.1, 1.0, epochs=1)
    record("OURS-RC", 0, 0.1, 1.0, precision="float32")
    record("OURS-RC", 0, 0.1, 1.0, n_neighbors=10)
    record("OURS-RC", 0, 0.1, 1.0, dataset="digits")


def test_means_over_seeds_and_the_shortest_fit(kept):
    found = jule.views.switches.switches().set_index("switch")
    assert list(found.index) == list(JULE_VARIANTS)
    text = found["usps"].str.replace("\N{NO-BREAK SPACE}", " ")
    assert text["default"] == "0.850 / 0.900 (2), 50 s"
    assert text["no-margin"] == "not run / 0.700 (1), 40 s"
    assert found.loc["no-margin", "arguments"] == "margin=0.0"


def test_other_settings_and_sets_stay_out(kept):
    found = jule.views.switches.measured()
    assert set(found["nmi"]) == {0.8, 0.9, 0.7} and set(found["dataset"]) == {"usps"}


def test_what_has_no_record_says_so_on_the_page(book):
    lines = site.switches_page().splitlines()
    assert len(lines) == 2 + len(JULE_VARIANTS)
    assert all(line.count("not run") == len(jule.views.switches.DATASETS) for line in lines[2:])
