"""Numbers in prose are references: filled in at build time, refused where they are typed or point nowhere."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from clustlib.errors import UsageError
from clustlib.reproduce import numbers
from clustlib.results import Result

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*/*.ipynb"))
PAGES = [*NOTEBOOKS, *sorted((ROOT / "book").rglob("*.md")), ROOT / "README.md"]


def result(value: float) -> Result:
    row = {"dataset": "umist", "method": "OURS-RC", "metric": "nmi", "ours": value, "table": "table-03"}
    return Result("jule", "table-03", comparison=pd.DataFrame([row]))


def test_a_cell_and_its_published_value_are_filled_in():
    text = "RC has {ours}`jule/table-03 umist OURS-RC nmi`, printed {paper}`jule/table-03 mnist OURS-RC nmi`."
    assert numbers.filled(text, [result(0.9034)]) == "RC has .903, printed .913."


def test_a_record_is_filled_in_alone_and_as_a_mean(monkeypatch):
    values = {f"m/d/run.seed-{i}": {"nmi": i / 10} for i in (1, 2, 3)}
    monkeypatch.setattr(numbers, "_keys", lambda: tuple(values))
    monkeypatch.setattr(numbers.records, "load", lambda key: type("R", (), {"metrics": values[key]}))
    assert numbers.filled("{record}`m/d/run.seed-1 nmi` {record}`m/d/run.seed-1 nmi*`", []) == ".100 .200"


@pytest.mark.parametrize(
    "reference",
    ["{ours}`jule/table-03 umist NOBODY nmi`", "{ours}`jule/table-03 umist`", "{record}`a/b/c.seed-0 nmi`"],
)
def test_a_reference_to_nothing_is_one_line(reference):
    with pytest.raises(UsageError, match=r"refers|form"):
        numbers.filled(reference, [result(0.5)])


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, ".500"), (1.0, "1.000"), (-0.02, "-.020"), (36.2, "36.2"), (1234.0, "1,234")]
)
def test_numbers_read_as_in_the_papers(value, text):
    assert numbers.shown(value) == text


def test_typed_numbers_are_seen():
    assert numbers.typed("it has .903 and 12.5 s, 40 % of 3 sets") == [".903", "12.5", "40 %"]
    assert numbers.typed("`alpha=0.5`, {ours}`a/b c d e`, Section 3.5.2, $0.2$, version of 2016, 3 and 5") == []


def learnt(path: Path) -> str:
    """The prose of "What we learnt" in a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    found = re.search(r"^## What we learnt\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    return found[1] if found else ""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_we_learnt_is_short_and_types_no_number(path):
    text = learnt(path)
    assert numbers.typed(text) == []
    words = re.sub(numbers.REFERENCE, "number", text).split()
    assert len(words) <= 120
    for sentence in re.split(r"(?<=[.!?:])\s+", " ".join(words)):
        assert len(sentence.split()) <= 32, sentence


BOTH = [path for path in NOTEBOOKS if re.search(r"optional=[^)]*as_written", path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("path", BOTH, ids=lambda path: path.stem)
def test_a_page_with_both_readings_tells_the_papers_first(path):
    text = re.sub("by the text alone", "as written", learnt(path).lower())
    assert 0 <= text.find("as written") < text.find("our version") % len(text)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_a_page_refers_to_is_there(path, monkeypatch):
    """Records and published cells, as they lie in the checkout; cells of results are there only after a build."""
    monkeypatch.chdir(ROOT)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    for reference in (match[0] for match in numbers.REFERENCE.finditer(text) if match[1] != "ours"):
        assert numbers.filled(reference, []), reference
