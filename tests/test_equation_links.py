"""From a method page to an equation's code and back: every equation has its function, every name leads somewhere."""

import re
from pathlib import Path

import pytest

from clustlib import published
from clustlib.reproduce import api, equation_links

BOOK = Path(__file__).resolve().parent.parent / "book"
papers = pytest.mark.parametrize("paper", published.PAPERS)


def page(paper: str) -> str:
    return (BOOK / paper / "index.md").read_text(encoding="utf-8")


def shown(paper: str) -> list[str]:
    """The functions that a method page shows, in its order."""
    return [name for names in re.findall(r"^```\{in-code\} (.+)$", page(paper), re.M) for name in names.split()]


def printed_numbers(paper: str) -> set[str]:
    """The numbers that a method page prints beside equations: in tags, below braces and, in DBC's appendix, inline."""
    found = re.findall(r"\\tag\{([^}]+)\}|\\text\{\((\d+[a-z])\)\}|\((\.\d)\)", page(paper))
    return {number for groups in found for number in groups if number}


@papers
def test_every_number_that_a_page_prints_has_its_function(paper):
    coded = {n for equation in equation_links.equations(paper).values() for n in equation_links.numbers(equation)}
    printed = printed_numbers(paper)
    assert len(printed) >= {"fcn": 8, "dbc": 15, "jule": 14, "deepcluster": 2}[paper]
    for number in printed:
        assert number in coded or {number + "a", number + "b", number + "c"} <= coded, f"Eq. ({number})"
    assert {re.sub(r"(?<=\d)[a-z]$", "", number) for number in coded} <= {
        re.sub(r"(?<=\d)[a-z]$", "", number) for number in printed
    }


@papers
def test_every_function_is_shown_once_on_its_page_and_says_where_it_is_from(paper):
    equations = equation_links.equations(paper)
    assert sorted(shown(paper)) == sorted(equations)
    for name, equation in equations.items():
        origin = r"(Eq\. \(|Section \d|Algorithm \d|Property \d|The talk)"
        assert re.match(origin, equation_links.headline(equation)), name


@papers
def test_what_computes_an_equation_fast_is_there_and_has_a_page(paper):
    """Names are imported; the reference has an entry for each, without which its source would have no anchor."""
    reference = set(re.findall(r"auto(?:class|function):: ([\w.]+)", api.api_page()))
    for name, equation in equation_links.equations(paper).items():
        paths = equation_links.fast(equation)
        assert paths, f"{name} names nothing that computes it fast"
        for path in paths:
            assert equation_links.source(path).module.startswith("clustlib.")
            assert path in reference, f"{name}: {path}"


def test_a_name_that_is_gone_is_noticed():
    with pytest.raises(ImportError, match=r"there is no clustlib\.kernels\.affinities"):
        equation_links.source("clustlib.kernels.affinities")
    with pytest.raises(ImportError):
        equation_links.source("clustlib.nowhere.affinity_graph")


def test_numbers_are_read_from_the_first_line():
    jule = equation_links.equations("jule")
    assert equation_links.numbers(jule["timestep"]) == ["5a", "5b", "5c"]
    assert equation_links.numbers(jule["loss_7b"]) == ["7b"]
    assert equation_links.numbers(jule["cluster_affinity"]) == []
    assert list(jule)[:3] == ["best_pair", "best_labels", "best_parameters"]


def test_the_reference_leads_back_to_the_equations():
    lines: list[str] = ["The target."]
    equation_links.add_equations(None, "function", "clustlib.kernels.boosted_target", None, None, lines)
    assert ":func:`dbc Eq. (2) <clustlib.dbc.equations.boosted>`" in lines[2]
    before = list(lines)
    equation_links.add_equations(None, "function", "clustlib.kernels.zca_whitening", None, None, lines)
    assert lines == before


def test_bars_and_trailing_underscores_are_shown_as_they_stand():
    lines = ["|x| and labels_, but ``|x|`` and ``labels_``, a_b, :func:`name_` and \\|"]
    api.escape_marks(None, "function", "f", None, None, lines)
    assert lines == ["\\|x\\| and labels\\_, but ``|x|`` and ``labels_``, a_b, :func:`name_` and \\|"]
