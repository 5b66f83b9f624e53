"""Verdicts of cells and of claims, on small tables made here."""

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from clustlib import in_words, plots, published, report
from clustlib.datasets.registry import stand_in_of
from clustlib.errors import UsageError
from clustlib.published import Claim, evaluate
from clustlib.published.compare import verdict

CSV = """dataset,method,metric,value,note
mnist,A,nmi,0.500,
mnist,B,nmi,0.600,
mnist,B,nmi_reported,0.650,
usps-11000,A,nmi,0.700,
usps-11000,B,nmi,,not reported
"""


YML = "title: x\nkind: table\norder: 1\nsource: x\nnotebook: null\nwhy: a test\nnot_run: {C: no code}\n"
READINGS = """additions:
  smoothed: {what: smooths, why: it helps, labels: "no"}
  whitened: {what: whitens, why: it helps, labels: "yes"}
own: [A]
rows:
  - {methods: [A], variants: [ours], reading: ours, additions: [smoothed, whitened]}
  - {methods: [A], variants: [released], reading: as released}
  - {methods: [B], variants: [small], reading: as written, network: a small network, draws: k-means}
  - {reading: as written}
"""


@pytest.fixture
def paper(book):
    folder = book / "book/published/jule"
    folder.mkdir()
    (folder / "table-99.csv").write_text(CSV, encoding="utf-8")
    (folder / "table-99.yml").write_text(YML, encoding="utf-8")
    (folder / "readings.yml").write_text(READINGS, encoding="utf-8")
    return "jule"


def cells(*rows: tuple) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["dataset", "method", "value", "seed"])
    return frame.assign(metric="nmi", seconds=1.0, device="cpu", reason=None)


def as_(variant: str, *rows: tuple) -> pd.DataFrame:
    """Cells whose runs had a variant."""
    return cells(*rows).assign(variant=variant)


def one(frame: pd.DataFrame, dataset: str, method: str) -> pd.Series:
    found = frame[(frame["dataset"] == dataset) & (frame["method"] == method)]
    assert len(found) == 1
    return found.iloc[0]


def test_every_published_cell_appears_in_the_papers_order(paper):
    found = published.compare(cells(), paper, "table-99")
    assert list(zip(found["dataset"], found["method"])) == [
        ("mnist", "A"),
        ("mnist", "B"),
        ("usps-11000", "A"),
        ("usps-11000", "B"),
    ]
    assert set(found["verdict"]) == {"not run"}
    assert found["reason"].str.len().min() > 0


def test_mean_spread_and_difference_over_seeds(paper):
    found = one(
        published.compare(cells(("mnist", "A", 0.50, 0), ("mnist", "A", 0.54, 1)), paper, "table-99"), "mnist", "A"
    )
    assert found["ours"] == pytest.approx(0.52)
    assert found["std"] == pytest.approx(0.04 / math.sqrt(2))
    assert (found["n"], found["verdict"]) == (2, "reproduced")
    assert found["difference"] == pytest.approx(0.02)


def test_a_stand_in_fills_the_papers_column_and_proves_nothing(paper):
    found = one(published.compare(cells(("usps", "A", 0.70, 0)), paper, "table-99"), "usps-11000", "A")
    assert (found["verdict"], found["stand_in"], found["ours"]) == ("stand-in", "usps", 0.70)


def test_a_pair_of_sets_has_a_stand_in_where_a_part_has():
    assert stand_in_of("mnist-test->usps-11000") == "mnist-test->usps"
    assert stand_in_of("usps-11000->mnist-test") == "usps->mnist-test"
    assert stand_in_of("mnist-test->mnist") is None and stand_in_of("anything") is None


def test_the_papers_own_set_goes_before_its_stand_in(paper):
    measured = cells(("usps", "A", 0.5, 0), ("usps-11000", "A", 0.7, 0))
    assert one(published.compare(measured, paper, "table-99"), "usps-11000", "A")["verdict"] == "reproduced"


def test_what_the_paper_does_not_have_comes_last(paper):
    found = published.compare(cells(("digits", "A", 0.7, 0), ("mnist", "C", 0.7, 0)), paper, "table-99")
    assert list(found["verdict"][-2:]) == ["no paper value"] * 2


def test_a_row_that_the_paper_lacks_goes_into_its_columns(paper):
    found = published.compare(cells(("usps", "A", 0.7, 0), ("usps", "C", 0.8, 0)), paper, "table-99")
    extra = one(found, "usps-11000", "C")
    assert (extra["ours"], extra["stand_in"], extra["verdict"]) == (0.8, "usps", "no paper value")
    assert "usps" not in set(found["dataset"])


def test_reasons_name_the_method_first_then_the_run(paper):
    measured = cells(("mnist", "A", math.nan, 0)).assign(reason="needs mnist")
    found = published.compare(measured, paper, "table-99", reasons={"B": "no code"})
    assert one(found, "mnist", "A")["reason"] == "needs mnist"
    assert one(found, "mnist", "B")["reason"] == "no code"


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.001, 0.2))
def test_verdicts_are_exclusive_and_ordered(ours, paper_value, tolerance):
    found = verdict(paper_value, ours, tolerance, "")
    assert (
        found == {True: "better", False: "below"}[ours > paper_value]
        if abs(ours - paper_value) > tolerance + 0.0005
        else "reproduced"
    )
    assert verdict(paper_value, ours, tolerance, "usps") == "stand-in"
    assert verdict(paper_value, math.nan, tolerance, "") == "not run"
    assert verdict(math.nan, ours, tolerance, "") == "no paper value"


@given(st.floats(0, 1), st.floats(0, 1))
def test_what_was_chosen_with_labels_seen_is_below_or_proves_nothing(ours, paper_value):
    plain = verdict(paper_value, ours, 0.02, "")
    assert verdict(paper_value, ours, 0.02, "", seen=True) == (plain if plain == "below" else published.SEEN)
    assert verdict(paper_value, ours, 0.02, "usps", seen=True) == "stand-in"
    assert verdict(paper_value, 1 - ours, 0.02, "", "one_nn_error", seen=True) in ("below", published.SEEN)


def test_an_error_is_better_when_it_is_lower():
    assert verdict(0.5, 0.4, 0.02, "", "one_nn_error") == "better"
    assert verdict(0.5, 0.6, 0.02, "", "one_nn_error") == "below"


def test_ours_stands_beneath_the_row_without_a_verdict(paper):
    found = published.compare(as_("ours", ("mnist", "A", 0.5, 0)), paper, "table-99")
    row, ours = one(found, "mnist", "A"), one(found, "mnist", "A †")
    assert (row["verdict"], row["reason"], row["n"]) == ("not run", "as written: not run", 0)
    assert (ours["verdict"], ours["ours"], ours["row"], ours["reading"]) == ("ours", 0.5, "A", "ours")
    assert ours["additions"] == "smoothed, whitened"
    assert list(found["method"][:2]) == ["A", "A †"]
    assert published.summary(found)[["reproduced", "ours"]].tolist() == [0, 1]


def test_the_papers_reading_has_the_row_and_its_verdict(paper):
    both = pd.concat([as_("ours", ("mnist", "A", 0.1, 0)), as_("released", ("mnist", "A", 0.51, 0))])
    found = published.compare(both, paper, "table-99")
    assert one(found, "mnist", "A")[["ours", "verdict", "reading"]].tolist() == [0.51, "reproduced", "as released"]
    assert one(found, "mnist", "A †")["verdict"] == "ours"
    written = pd.concat([both, as_("text", ("mnist", "A", 0.8, 0))])
    found = published.compare(written, paper, "table-99")
    assert one(found, "mnist", "A")["ours"] == 0.8
    assert one(found, "mnist", "A (as released)")["verdict"] == "reproduced"


def test_labels_seen_are_those_of_a_set_and_of_its_averages(paper, book):
    text = READINGS.replace("{reading: as written}", "{reading: as written, labels: The rate., seen: [mnist]}")
    (book / "book/published/jule/readings.yml").write_text(text, encoding="utf-8")
    measured = as_("text", ("mnist", "A", 0.5, 0), ("usps-11000", "A", 0.7, 0))
    found = published.compare(measured, paper, "table-99")
    assert one(found, "mnist", "A")["verdict"] == published.SEEN != one(found, "usps-11000", "A")["verdict"]
    assert one(published.averages(found), "average", "A")["verdict"] == published.SEEN
    low = published.compare(as_("text", ("mnist", "A", 0.1, 0)), paper, "table-99")
    assert one(low, "mnist", "A")["verdict"] == "below"
    assert in_words.verdict_words(published.summary(found)).startswith(
        "Of 3 published scores: 1 reproduced; 1 with labels seen"
    )


def test_a_row_that_was_asked_for_and_not_run_says_so(paper):
    both = pd.concat([as_("ours", ("mnist", "A", 0.1, 0)), as_("released", ("mnist", "A", math.nan, 0))])
    found = published.compare(both, paper, "table-99")
    assert one(found, "mnist", "A")["reason"] == "as written: not run; as released: not run"


def test_another_network_proves_nothing(paper):
    found = one(published.compare(as_("small", ("mnist", "B", 0.6, 0)), paper, "table-99"), "mnist", "B")
    assert (found["verdict"], found["network"], found["stand_in"]) == ("stand-in", "a small network", "")


def test_a_row_whose_reading_nobody_declared_is_refused(paper, book):
    (book / "book/published/jule/readings.yml").write_text(
        "rows: [{methods: [B], reading: as written}]\n", encoding="utf-8"
    )
    with pytest.raises(UsageError, match=r"does not say which reading 'A' of table-99 is"):
        published.compare(cells(("mnist", "A", 0.5, 0)), paper, "table-99")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{reading: ours}", "ours is a reading with additions"),
        ("{reading: as written, additions: [smoothed]}", "no other has any"),
        ("{reading: ours, additions: [smothed]}", "did you mean smoothed"),
        ("{reading: as printed}", "did you mean as written"),
        ("{reading: as written, method: [A]}", "did you mean methods"),
        ("{reading: as written, seen: [mnist]}", "labels that were seen are told of"),
    ],
)
def test_wrong_readings_are_refused(paper, book, row, message):
    text = READINGS[: READINGS.index("rows:")]
    (book / "book/published/jule/readings.yml").write_text(f"{text}rows: [{row}]\n", encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        published.readings("jule")


def test_constants_are_counted_apart_from_scores(paper, book):
    (book / "book/published/jule/table-99.yml").write_text(f"{YML}constants: [A]\n", encoding="utf-8")
    found = published.compare(cells(("mnist", "A", 0.5, 0), ("mnist", "B", 0.6, 0)), paper, "table-99")
    counts = published.summary(found)
    assert counts["as printed"] == 1 and counts["reproduced"] == 1
    assert counts.sum() == len(found) - 2  # neither a constant that was not measured nor a dash is a score not run
    off = published.compare(cells(("mnist", "A", 0.9, 0)), paper, "table-99")
    assert published.summary(off)["not as printed"] == 1 and published.summary(off)["better"] == 0
    assert len(report.scores(found)) == 2


def test_a_score_counts_once_however_many_readings_were_run(paper):
    measured = pd.concat([as_("text", ("mnist", "A", 0.1, 0)), as_("released", ("mnist", "A", 0.51, 0))])
    found = published.compare(measured, paper, "table-99")
    first, again = published.summary(found), published.summary(found, again=True)
    assert first[list(published.SCORES[:-1])].sum() == 3 and (first["below"], again["reproduced"]) == (1, 1)
    assert again.sum() == published.second_readings(found).sum() == 1
    assert in_words.verdict_words(first, again).endswith(" Run as released, too: 1 reproduced.")


def test_a_dash_of_the_papers_is_no_published_score(paper):
    found = published.compare(cells(("mnist", "A", 0.5, 0)), paper, "table-99")
    assert one(found, "usps-11000", "B")["verdict"] == "not run"
    assert published.summary(found)["not run"] == len(found) - 2


def test_averages_of_ours_run_over_the_sets_of_the_papers_rows(paper):
    theirs = cells(("mnist", "B", 0.6, 0)).assign(variant="")
    measured = pd.concat([theirs, as_("ours", ("mnist", "A", 0.5, 0), ("usps-11000", "A", 0.7, 0))])
    found = published.averages(published.compare(measured, paper, "table-99"))
    ours = one(found, "average", "A †")
    assert (ours["verdict"], ours["n"], ours["ours"]) == ("ours", 1, 0.5)
    back = published.as_cells(found)
    assert set(back["method"]) == {"A", "B"} and set(back.loc[back["method"] == "A", "reading"]) == {"ours"}


def test_averages_run_over_the_same_sets_on_both_sides_and_in_every_row(paper):
    alone = cells(("mnist", "A", 0.52, 0), ("usps", "A", 0.80, 0), ("digits", "A", 0.1, 0))
    a = one(published.averages(published.compare(alone, paper, "table-99")), "average", "A")
    assert (a["paper"], a["ours"], a["n"]) == (pytest.approx(0.6), pytest.approx(0.66), 2)
    assert (a["verdict"], a["stand_in"]) == ("stand-in", "usps")
    assert a["reason"] == "mean of mnist, usps-11000"
    both = pd.concat([alone, cells(("mnist", "B", 0.60, 0))])
    found = published.averages(published.compare(both, paper, "table-99"))
    for method, mean in (("A", 0.52), ("B", 0.6)):
        row = one(found, "average", method)
        assert (row["ours"], row["n"], row["verdict"]) == (mean, 1, "reproduced")


def test_unknown_tables_name_what_is_close(paper):
    with pytest.raises(UsageError, match="table-99"):
        published.table("jule", "table-98")
    with pytest.raises(UsageError, match="jule"):
        published.table("jul", "table-99")


def test_wrong_columns_are_refused(paper, book):
    (book / "book/published/jule/table-99.csv").write_text("dataset,method,value\nmnist,A,0.5\n", encoding="utf-8")
    with pytest.raises(ValueError, match="must have the columns"):
        published.table("jule", "table-99")


def claim(**changes) -> Claim:
    settings = {
        "id": "x",
        "claim": "A is best",
        "where": "",
        "tables": ["t"],
        "metric": "nmi",
        "holds_if": "`A` > best_other",
    }
    return Claim(**{**settings, "subject": ["A"], **changes})


TABLE = cells(
    ("mnist", "A", 0.9, 0), ("mnist", "B-x", 0.5, 0), ("mnist", "C", 0.7, 0),
    ("usps", "A", 0.6, 0), ("usps", "B-x", 0.5, 0), ("usps", "C", 0.65, 0),
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "partly"),
        ({"datasets": ["mnist"]}, "holds"),
        ({"datasets": ["usps"]}, "fails"),
        ({"datasets": ["coil-20"]}, "not run"),
        ({"holds_if": "`A` > `B-x`"}, "holds"),
        ({"holds_if": "`A` - `B-x` >= 0.3"}, "partly"),
        ({"holds_if": "`A` < worst_other"}, "fails"),
        ({"holds_if": "`{m}` < `A`", "each": ["B-x", "C"]}, "partly"),
        ({"holds_if": "`Z` > `A`"}, "not run"),
        ({"metric": "accuracy"}, "not run"),
        ({"tables": ["other"]}, "not run"),
    ],
)
def test_claims(changes, expected):
    assert evaluate(claim(**changes), {"t": TABLE}).verdict == expected


def test_claims_across_tables_and_stacked_tables():
    other = TABLE.assign(value=TABLE["value"] + 0.01)
    across = claim(tables=["t", "u"], holds_if="`u:{m}` > `t:{m}`", each=["A", "C"])
    assert evaluate(across, {"t": TABLE, "u": other}).verdict == "holds"
    assert evaluate(across, {"t": TABLE}).verdict == "not run"
    stacked = claim(tables=["t", "u"], stack=True, holds_if="`A` > `B-x`")
    found = evaluate(stacked, {"t": TABLE, "u": other.assign(dataset="coil-20")})
    assert found.verdict == "holds"
    assert len(found.rows) == 3


def test_claims_between_metrics():
    wide = pd.concat([TABLE.assign(metric="conv1"), TABLE.assign(metric="conv3", value=TABLE["value"] + 0.1)])
    between = claim(metric=None, columns="metric", methods=["A"], holds_if="`conv3` > `conv1`")
    assert evaluate(between, {"t": wide}).verdict == "holds"


def test_a_stand_in_counts_for_a_claim_about_its_original():
    assert evaluate(claim(datasets=["usps-11000"]), {"t": TABLE}).verdict == "fails"


@pytest.mark.parametrize(
    ("holds_if", "words"),
    [
        ("`A` > `C`", "A 0.600 (more than C, 0.650, asked)"),
        ("abs(`A` - 1 / 3) <= 0.1", "|A - 1 / 3| 0.267 (at most 0.100 asked)"),
        ("worst_other < 0.5", "the worst other 0.500 (less than 0.500 asked)"),
        (f"{' + '.join(['`A`'] * 30)} > 0.1", "the left side 18.000 (more than 0.100 asked)"),
    ],
)
def test_a_test_in_words(holds_if, words):
    usps = TABLE[TABLE["dataset"] == "usps"]
    assert evaluate(claim(holds_if=holds_if), {"t": usps}).numbers == f"usps nmi: {words}"


def test_seeds_give_a_paired_test():
    seeds = pd.concat(
        [
            TABLE[TABLE["dataset"] == "mnist"].assign(
                seed=s, value=lambda f, s=s: f["value"] + 0.001 * s * (f["method"] == "A")
            )
            for s in range(4)
        ]
    )
    found = evaluate(claim(), {"t": seeds})
    assert found.verdict == "holds"
    wide = seeds.pivot_table(index="seed", columns="method", values="value")
    gains = wide["A"] - wide.drop(columns="A").max(axis=1)
    assert found.p_value < 0.01
    assert found.p_value == pytest.approx(ttest_1samp(gains, 0, alternative="greater").pvalue)
    assert len(found.rows) == 1
    assert math.isnan(evaluate(claim(), {"t": TABLE}).p_value)


def test_a_verdict_on_one_run_says_so():
    one_seed = TABLE[TABLE["dataset"] == "mnist"].assign(seed=0)
    found = evaluate(claim(), {"t": one_seed})
    assert found.runs == 1 and report.claim_row(found)["tests that hold"].endswith("; one run")
    fixed = evaluate(claim(), {"t": one_seed.assign(draws="nothing")})
    assert fixed.runs == 0 and "one run" not in report.claim_row(fixed)["tests that hold"]


def test_methods_named_beside_each_other_are_compared_on_the_seeds_that_both_have():
    three = cells(("mnist", "A", 0.8, 0), ("mnist", "A", 0.5, 1), ("mnist", "A", 0.5, 2), ("mnist", "C", 0.7, 0))
    by_name = evaluate(claim(holds_if="`A` > `C`", subject=[]), {"t": three})
    assert by_name.verdict == "holds" and by_name.rows["left"].tolist() == [0.8]
    assert evaluate(claim(), {"t": three}).verdict == "fails"  # best_other is the best mean: .6 against .7
    fixed = three.assign(draws=["network"] * 3 + ["nothing"])  # C has no seed: it stands beside all three
    assert evaluate(claim(holds_if="`A` > `C`"), {"t": fixed}).rows["left"].tolist() == [pytest.approx(0.6)]
    apart = three.assign(seed=[1, 2, 3, 0])
    assert evaluate(claim(holds_if="`A` > `C`"), {"t": apart}).rows["left"].tolist() == [pytest.approx(0.6)]


def test_a_claim_about_all_its_sets_waits_for_all():
    both = {"datasets": ["mnist", "usps-11000"], "holds_if": "`A` > 0.1", "all_datasets": True}
    assert evaluate(claim(**both), {"t": TABLE}).verdict == "holds"  # usps stands in
    assert evaluate(claim(**both), {"t": TABLE[TABLE["dataset"] == "mnist"]}).verdict == "not run"


def test_the_metrics_of_a_run_are_no_independent_observations():
    runs = [("mnist", m, v + 0.01 * s, s) for s in range(3) for m, v in (("A", 0.9 + 0.01 * s), ("C", 0.7))]
    once = cells(*runs)
    twice = pd.concat([once, once.assign(metric="accuracy")])
    found = evaluate(claim(metric=["nmi", "accuracy"]), {"t": twice})
    assert found.runs == 3 and found.p_value == pytest.approx(evaluate(claim(), {"t": once}).p_value)


def read_as(reading: str, frame: pd.DataFrame, draws: str = "network", network: str = "") -> pd.DataFrame:
    return frame.assign(reading=reading, draws=draws, network=network)


def test_coverage_is_said_in_words(paper):
    def said(*sets, network="", tables=("table-99",)):
        frame = read_as("as written", TABLE[TABLE["dataset"].isin(sets)], network=network)
        names = {name: frame for name in tables}
        return evaluate(claim(tables=list(tables)), names, paper).said.removesuffix(" (one run)")

    assert said("mnist") == "holds on 1 of the paper's 2 sets"
    assert said("mnist", "usps") == "partly on 1 of the paper's 2 sets; 1 stand-in"
    assert said("usps") == "fails on 1 stand-in alone"
    assert said("mnist", network="a small one") == "holds on 1 of the paper's 2 sets through another network"
    both = "partly on 1 of the paper's 2 sets through another network; 1 stand-in"
    assert said("mnist", "usps", network="a small one") == both
    assert said("mnist", tables=("fig-01",)) == "holds on mnist"  # no numbers are printed
    assert said("coil-20", tables=("fig-01",)) == "not run"
    assert said("coil-20") == "not run"


def test_a_set_that_no_table_of_the_paper_has_stands_in_and_an_example_of_its_own_does_not(paper):
    for name, words in (("cifar-10", "holds on 1 stand-in alone"), ("toy", "holds on toy")):
        frame = read_as("as written", TABLE[TABLE["dataset"] == "mnist"].assign(dataset=name))
        assert evaluate(claim(tables=["fig-01"]), {"fig-01": frame}, paper).said == f"{words} (one run)"
        small = evaluate(claim(tables=["fig-01"]), {"fig-01": frame.assign(network="a small one")}, paper).said
        assert small == "holds on 1 stand-in alone (one run)"


@pytest.mark.parametrize(
    ("gains", "verdict", "weak"),
    [
        ([0.1], "holds", "one run"),
        ([-0.1], "fails", "one run"),
        ([0.1, 0.11, 0.12], "holds", ""),
        ([0.2, -0.1, 0.01], "holds", "may be chance"),
        ([-0.2, 0.1, -0.01], "fails", "may be chance"),
        ([-0.1, -0.11, -0.12], "fails", ""),
    ],
)
def test_a_verdict_says_where_another_draw_may_turn_it(gains, verdict, weak):
    runs = [("mnist", m, v, s) for s, gain in enumerate(gains) for m, v in (("A", 0.5 + gain), ("C", 0.5))]
    found = evaluate(claim(), {"t": read_as("as written", cells(*runs))})
    assert (found.verdict, found.weak) == (verdict, weak)
    assert found.said.endswith(f"({weak})" if weak else "on mnist")
    counted = in_words.claim_words([found, found])
    assert ("by one run or what may be chance" in counted) == bool(weak)


def test_a_claim_is_not_tested_where_what_it_needs_is_missing():
    frame = read_as("as written", TABLE)
    for needs, said in (("`C` > 0.66", ["mnist"]), ("`C` >= 2", []), ("`Z` >= 0", [])):
        found = evaluate(claim(needs=needs), {"t": frame})
        assert sorted(found.rows["dataset"]) == said and (found.verdict == "not run") == (not said)


def test_claims_are_tested_on_the_papers_readings_and_on_ours_where_there_is_nothing_else(paper):
    theirs, ours = read_as("as released", TABLE), read_as("ours", TABLE.assign(value=TABLE["value"] * 0.1))
    found = evaluate(claim(), {"t": pd.concat([ours, theirs])})
    assert found.readings == "paper" and found.rows["left"].max() == 0.9
    only = evaluate(claim(), {"t": ours})
    assert only.readings == "ours" and "(ours only" in only.said
    assert evaluate(claim(ours=False), {"t": ours}).said == "not run"
    subject = ours["method"] == "A"
    mixed = evaluate(claim(datasets=["mnist"]), {"t": pd.concat([ours[subject], theirs[~subject.to_numpy()]])})
    assert mixed.verdict == "fails" and mixed.readings == "ours"  # ours against the paper's other rows


def test_as_written_goes_before_as_released():
    both = pd.concat([read_as("as released", TABLE), read_as("as written", TABLE.assign(value=TABLE["value"] / 2))])
    assert evaluate(claim(), {"t": both}).rows["left"].tolist() == [0.45, 0.3]


def test_seeds_of_kmeans_on_one_representation_are_one_run():
    runs = [
        (d, m, v + 0.01 * s, s) for d in ("mnist", "usps") for s in range(3) for m, v in (("A", 0.9), ("C", 0.7 - s))
    ]
    fixed, anew = (read_as("as written", cells(*runs), draws) for draws in ("k-means", "network"))
    found = evaluate(claim(), {"t": anew})
    assert (found.runs, found.drawn) == (6, "runs")
    one_each = fixed.assign(value=fixed["value"] + (fixed["dataset"] == "usps") * (fixed["method"] == "A") * 0.1)
    found = evaluate(claim(), {"t": one_each})
    assert (found.runs, found.drawn) == (2, "data sets")
    half = pd.concat([anew[anew["method"] == "A"], fixed[fixed["method"] == "C"]])
    assert evaluate(claim(), {"t": half}).runs == 6  # one of the two sides is drawn anew


def test_what_decides_must_be_more_than_what_seeds_differ_by():
    def spread(by):
        runs = [("mnist", m, v + by * s * (m == "A"), s) for s in range(3) for m, v in (("A", 0.7), ("C", 0.7))]
        close = claim(holds_if="abs(`A` - `C`) <= 0.02", subject=[], within=0.02)
        return evaluate(close, {"t": cells(*runs)})

    assert spread(0.01).verdict == "holds"
    assert spread(0.1).verdict == "not run"
    assert spread(0.1).numbers == "cannot be told: the seeds differ by 0.100, and 0.02 would decide"


def test_a_column_may_be_a_method_and_a_metric():
    wide = pd.concat([TABLE.assign(metric="conv1"), TABLE.assign(metric="conv3", value=TABLE["value"] ** 2)])
    grows = claim(metric=None, columns="both", holds_if="`A conv3` - `C conv3` > `A conv1` - `C conv1`")
    assert evaluate(grows, {"t": wide}).rows["holds"].tolist() == [True, False]


def test_an_expression_that_is_no_comparison_is_refused():
    with pytest.raises(ValueError, match="not a comparison"):
        evaluate(claim(holds_if="`A`"), {"t": TABLE})


def test_the_closest_test_is_named():
    assert (
        evaluate(claim(), {"t": TABLE}).numbers
        == "1 of 2 hold; closest is usps nmi: A 0.600 (more than the best other, 0.650, asked)"
    )


def test_chosen_among_known_names():
    known = {"one": 1, "two": 2}
    assert published.chosen("choices", "all", known) == published.chosen("choices", ["all"], known) == known
    assert published.chosen("choices", ["two"], known) == published.chosen("choices", "two", known) == {"two": 2}
    for names, said in (([], "choices is empty"), (["tow"], "unknown name among choices 'tow'; did you mean two")):
        with pytest.raises(UsageError, match=said):
            published.chosen("choices", names, known)


def test_a_cell_names_the_records_behind_it(paper):
    """Those that have a number, each once; the tooltip has the first."""
    runs = cells(("mnist", "A", 0.5, 0), ("mnist", "A", 0.7, 1), ("mnist", "A", math.nan, 2))
    runs["record"] = ["A/mnist/run.seed-0", "A/mnist/run.seed-1", None]
    found = published.compare(runs, paper, "table-99")
    assert one(found, "mnist", "A")["records"] == "A/mnist/run.seed-0 A/mnist/run.seed-1"
    assert one(found, "mnist", "B")["records"] == ""
    assert "record A/mnist/run.seed-0 and 1 more" in plots.comparison_table(found, "nmi")._repr_html_()
