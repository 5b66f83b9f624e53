"""Readings as they lie in the book, and a table added to a copy of it."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from small_book import FINISH, PARAMETERS, write_notebook

from clustlib import DBC, additions, in_words, jule, published, records, report, results
from clustlib.jule.rows import JULE_VARIANTS
from clustlib.published.compare import CONSTANTS
from clustlib.reproduce import notebook as nb
from clustlib.reproduce import running, site, stored

ROOT = Path(__file__).resolve().parent.parent
JUDGED = ("reproduced", "better", "below")
SETTINGS = {"profile": "paper", "recompute": "never"}


def own_cells(table: str) -> tuple[records.Runs, "object"]:
    """The runs of JULE's own rows with every variant that has a record, and their comparison."""
    metric, stored_as = {"table-03": ("nmi", "nmi_geometric"), "table-10": ("accuracy", "accuracy")}[table]
    sets = ["usps-11000", "mnist-test", "mnist", "umist", "cmu-pie", "coil-20"]
    how = {"epochs": 20, "precision": "bfloat16", "variant": list(JULE_VARIANTS), **SETTINGS}
    grid = records.grid(
        jule.runs.clustering.joint_clustering, dataset=sets, method=list(jule.rows.OURS), seed=[0], **how
    )
    declared = [run for run in grid if run.params["variant"] in ("default", "as-written", "as-released")]
    runs = records.Runs(declared)
    return runs, published.compare(runs.cells(**{metric: stored_as}), "jule", table)


@pytest.mark.parametrize("table", ["table-03", "table-10"])
def test_no_cell_with_a_verdict_was_made_with_an_addition_of_ours(committed, table):
    """Told from the settings of the runs, not from what the readings say of themselves."""
    runs, comparison = own_cells(table)
    judged = comparison[comparison["verdict"].isin(JUDGED)]
    assert len(judged) and (judged["additions"] == "").all() and (judged["reading"] != published.OURS).all()
    for name, isolated in (("as-released", "released"), ("as-written", "keep")):  # neither of our two rules
        assert JULE_VARIANTS[name]["small"] == "keep" and JULE_VARIANTS[name]["isolated"] == isolated
    ours = comparison[comparison["reading"] == published.OURS]
    assert len(ours) and set(ours["verdict"]) == {"ours"} and (ours["additions"] != "").all()
    with_rules = [run for run in runs.records if run.params["variant"] == "default"]
    assert len(with_rules) == len(ours)


def test_no_cell_with_a_verdict_for_the_paper_was_chosen_by_labels_of_its_set(committed):
    """DBC's optimiser was seen on USPS: told from the records there are, not from what the text says of them."""
    from clustlib.dbc.runs import written

    sets, how = ["usps-11000", "mnist", "coil-20"], {"method": ["FCAE-KMS", "DBC"], "seed": [0, 1, 2], **SETTINGS}
    runs = records.grid(written.as_written, dataset=sets, **how)
    cells = runs.cells(accuracy="accuracy", nmi="nmi_max").assign(variant="as written")
    for table in ("table-03", "table-04", "table-05"):
        found = published.compare(cells, "dbc", table).dropna(subset=["paper", "ours"])
        seen = found[found["dataset"].isin(["usps-11000", "mnist"])]
        assert seen["seen"].all() and set(seen["verdict"]) <= {published.SEEN, "below"}
        assert not found.drop(seen.index)["seen"].any()
    (usps,) = (published.compare(cells, "dbc", "table-04").query("dataset == 'usps-11000' and n > 0"),)
    assert (usps["verdict"] == published.SEEN).sum() >= 3, "they come up to the paper's"


def test_dbc_as_the_book_runs_it_is_ours_while_its_defaults_depart_from_the_text(committed):
    plain = DBC()
    departs = plain.smoothing > 0 or plain.discriminant or plain.radius is not None
    for table in ("table-03", "table-04", "table-05", "table-06"):
        found = published.reading("dbc", table, "DBC")
        assert (found.reading == published.OURS) == departs
        assert "averaged-start" in found.additions or plain.smoothing == 0


@pytest.mark.parametrize("paper", published.PAPERS)
def test_every_row_that_claims_and_tables_name_has_a_reading_and_every_addition_is_told(committed, paper):
    told = published.additions(paper)
    used = {name for row in published.readings(paper) for name in row.additions}
    assert used == set(told), "an addition that no row has, or the other way round"
    for addition in told.values():
        for part in ("what", "why", "labels"):
            assert getattr(addition, part).endswith("."), f"{paper}: {addition.name} does not say {part}"
    tables = {name for row in published.readings(paper) for name in row.tables}
    known = {entry.key for entry in published.contents(paper)}
    assert tables <= known
    own = set(published.own_rows(paper))
    assert own <= {method for name in published.tables(paper) for method in published.table(paper, name)["method"]}


def test_what_an_addition_is_worth_is_read_from_records(committed):
    worth = additions.worth(published.additions("jule")["small-clusters"])
    assert "mnist-test" in worth and "with" in worth and "without" in worth
    assert additions.worth(published.additions("dbc")["clustpy"]) == "not measured alone"
    sphere = additions.worth(published.additions("dbc")["sphere"])
    assert "mnist-test" in sphere and sphere.endswith("coil-20 not comparable, the starts differ")


def test_a_papers_row_by_reading_and_its_mean_over_the_sets_that_all_lines_have(book):
    run = {"row": "DBC", "metric": "accuracy", "table": "t", "paper": 0.9, "stand_in": "", "reading": "as written"}
    lines = [
        {"dataset": "a", "ours": 0.5},
        {"dataset": "a", "ours": 0.7, "reading": "ours"},
        {"dataset": "b", "ours": 0.3, "stand_in": "b2"},
        {"dataset": "b", "ours": 0.4, "reading": "ours", "stand_in": "b2"},
        {"dataset": "c", "ours": 0.2},
        {"dataset": "d", "ours": float("nan")},
        {"dataset": "a", "ours": 0.1, "metric": "nmi"},
        {"dataset": "e", "ours": 0.1, "paper": float("nan")},
    ]
    cells = pd.DataFrame([{**run, **line} for line in lines])
    shown = published.by_reading(cells, ["t"], "DBC", "accuracy")
    assert list(shown.index) == ["printed", "as written", "ours \N{DAGGER}"]
    assert list(shown.columns) == ["a", "b (stand-in)", "c"]
    assert shown.loc["as written"].tolist() == [0.5, 0.3, 0.2] and shown.loc["printed"].tolist() == [0.9] * 3
    assert site.headline_page("dbc") == "*Not run yet.*\n"


@pytest.mark.parametrize("paper", ["jule", "dbc"])
def test_the_headline_names_a_row_of_its_tables(committed, paper):
    named = published.headline(paper)
    for name in named["tables"]:
        table = published.table(paper, name)
        assert ((table["method"] == named["row"]) & (table["metric"] == named["metric"])).any()


def test_a_table_is_added_by_a_csv_a_yml_and_a_notebook(book, capsys):
    """In a copy of a paper's folder: nothing else is touched, and its page, claim, band and profile are there."""
    shutil.copytree(ROOT / "book/published/dbc", book / "book/published/dbc")
    csv = "dataset,method,metric,value,note\nmnist,KMS,accuracy,0.5,\nmnist,DBC,accuracy,0.9,\n"
    (book / "book/published/dbc/table-07.csv").write_text(csv, encoding="utf-8")
    (book / "book/published/dbc/table-07.yml").write_text(
        """title: One more
kind: table
order: 95
source: Section 5, Table 7
notebook: table-07-one-more
tolerance: 0.05
bands: {KMS: 0.3}
profile: {value: 0.54}
claims:
  - id: dbc-beats-kms
    claim: DBC beats k-means on the pixels
    where: Section 5
    metric: accuracy
    holds_if: "`DBC` > `KMS`"
    in_paper: holds
""",
        encoding="utf-8",
    )
    run = """import pandas as pd

from clustlib import published, results

cells = {"dataset": "mnist", "method": ["KMS", "DBC"], "metric": "accuracy", "value": [value, 0.8], "seed": 0}
measured = pd.DataFrame(cells).assign(seconds=1.0, device="cpu", reason=None)
comparison = published.compare(measured, "dbc", "table-07")
"""
    finish = FINISH.replace('metrics={"value": value}', "comparison=comparison, measured=measured")
    assert finish != FINISH
    path = write_notebook(book, "dbc", "table-07-one-more", PARAMETERS, run, finish.replace('"NAME"', '"table-07"'))
    source = json.loads(path.read_text(encoding="utf-8"))
    source["cells"][-1]["metadata"]["tags"] = ["regression"]
    path.write_text(json.dumps(source), encoding="utf-8")

    stored.set_bands(["dbc/table-07-one-more"])  # make bands
    assert results.bands()["dbc/table-07"]["mnist | KMS | accuracy"] == [0.2, 0.8]
    done = nb.find("dbc/table-07-one-more")
    assert nb.profile_parameters(done, "paper")["value"] == 0.54
    running.run(done, "paper", {}, plain=True)
    found = results.read("paper", "dbc")[0].comparison.set_index("method")
    assert found.loc["KMS", "verdict"] == "reproduced"  # within its own tolerance
    assert found.loc["DBC", "reason"] == "as written: not run" and found.loc["DBC †", "verdict"] == "ours"
    verdict = next(v for v in report.verdicts("dbc", "paper") if v.claim.id == "dbc-beats-kms")
    assert verdict.said == "holds on the paper's one set (ours only; one run)"
    line = next(line for line in site.contents_page("dbc").splitlines() if "One more" in line)
    assert "table-07-one-more.ipynb" in line and "1 reproduced" in line


def test_scores_and_constants_add_up_by_paper(book, monkeypatch):
    shutil.copytree(ROOT / "book/published/jule", book / "book/published/jule")
    measured = jule.views.settings.hyperparameters()
    comparison = published.compare(measured, "jule", "table-02").assign(table="table-02")
    file = results.path("paper", "jule", "table-02")
    monkeypatch.setenv(results.PLACE, str(results.handed_on(file)))
    results.finish("jule", "table-02", profile="paper", comparison=comparison)
    results.close(file, "paper", "jule", "table-02", results.OK, 1.0)
    found = results.read("paper")
    assert set(comparison["verdict"]) == {CONSTANTS[0]}
    assert report.verdict_counts(found).to_numpy().sum() == 0
    assert report.constants(found).data[CONSTANTS[0]].sum() == len(comparison)
    counts, _, words = in_words.paper_line("jule", "paper")
    assert counts[CONSTANTS[0]] == len(comparison) and "constants: " in words


def test_the_sentence_to_quote_counts_by_reading(committed):
    line = {"row": "DBC", "paper": 0.9, "dataset": "mnist", "metric": "accuracy", "method": "DBC", "constant": False}
    lines = [("DBC", "as written", "below"), ("DBC (as released)", "as released", "reproduced")]
    lines += [("DBC", "as released", "better"), ("DBC", "as written", published.SEEN), ("DBC †", "ours", "ours")]
    cells = pd.DataFrame([{**line, "method": m, "reading": r, "verdict": v} for m, r, v in lines])
    assert in_words.quotable("dbc", cells) == (
        "Of the 3 scores of its own method 1 were run as written: 0 reproduced, 0 better, 1 below; 2 were run "
        "as released: 1 reproduced, 1 better, 0 below; 1 with labels seen and 1 with additions of ours prove "
        "nothing of it."
    )


_A_BEATS_B = published.Claim("a-beats-b", "A beats B", "1", ["table-01"], "`A` >= `B`", "accuracy")


@pytest.mark.parametrize("left, narrow", [(0.9004, True), (0.9, False), (0.95, False)])
def test_a_verdict_by_less_than_a_thousandth_says_so(left, narrow):
    columns = {"dataset": "mnist", "method": ["A", "B"], "metric": "accuracy", "value": [left, 0.9], "seed": 0}
    verdict = published.evaluate(_A_BEATS_B, {"table-01": pd.DataFrame(columns)})
    assert verdict.verdict == "holds" and verdict.narrow is narrow
    assert verdict.said.startswith("holds (by less than 0.001)" if narrow else "holds on")


def _read(*rows: tuple[str, str, float], dataset: str = "mnist") -> published.Verdict:
    """The verdict on "A beats B" of rows (method, reading, value)."""
    cells = pd.DataFrame(rows, columns=["method", "reading", "value"])
    cells = cells.assign(dataset=dataset, metric="accuracy", seed=0, additions="", draws="network", network="")
    return published.evaluate(_A_BEATS_B, {"table-01": cells})


def test_where_written_and_released_say_otherwise_both_stand():
    other = ("B", "as released", 0.6)
    told = _read(("A", "as written", 0.5), ("A", "as released", 0.7), ("A", "ours", 0.8), other)
    assert told.verdict == "fails" and told.released is not None and told.released.verdict == "holds"
    assert told.said == "fails on mnist (one run); as released: holds on mnist (one run)"
    assert _read(("A", "as written", 0.5), ("A", "as released", 0.4), other).released is None
    assert _read(("A", "as released", 0.7), other).said == "holds on mnist (one run)"
    assert _read(("A", "ours", 0.7), other).said == "holds on mnist (ours only; one run)"


def test_an_average_is_no_data_set():
    assert _read(("A", "as written", 0.7), ("B", "as released", 0.6), dataset="average").said == "holds"
