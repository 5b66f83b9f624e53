"""Text is UTF-8 whatever the locale: every place that reads or writes it says so."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYTHON = [path for folder in ("clustlib", "tests", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]
PROCESSES = {"run", "Popen", "check_output", "check_call"}
SYSTEM = {"clustlib/records/provenance.py"}  # what it reads are files of the system and git's answers


def given(call: ast.Call) -> dict[str | None, ast.expr]:
    return {keyword.arg: keyword.value for keyword in call.keywords}


def is_binary(call: ast.Call, position: int) -> bool:
    """Whether a call of open asks for bytes, or may, where the mode is no constant."""
    mode = given(call).get("mode", call.args[position] if len(call.args) > position else ast.Constant("r"))
    return not isinstance(mode, ast.Constant) or "b" in str(mode.value)


def reads_text(call: ast.Call) -> bool:
    """Whether a call reads or writes text, as far as its own words tell."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in ("read_text", "write_text"):
        return True
    if name in PROCESSES:
        return {"text", "universal_newlines"} & set(given(call)) != set()
    return name in ("open", "fdopen") and not isinstance(call.func, ast.Attribute) and not is_binary(call, 1)


def silent(source: str) -> list[int]:
    """The lines of calls that read or write text in the locale's encoding."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if reads_text(call) and not {"encoding", None} & set(given(call))]


@pytest.mark.parametrize(
    "source",
    ["open(p)", "open(p, 'w')", "p.read_text()", "p.write_text(t)", "run(c, text=True)", "sp.Popen(c, text=True)"],
)
def test_the_search_finds_what_it_looks_for(source):
    assert silent(source) == [1]
    assert silent(source.replace(")", ", encoding='utf-8')").replace("(, ", "(")) == []
    assert silent("open(p, 'rb'); p.read_bytes(); run(c)") == []


def test_text_names_its_encoding():
    found = {path.relative_to(ROOT).as_posix(): silent(path.read_text(encoding="utf-8")) for path in PYTHON}
    assert {name for name, lines in found.items() if lines} <= SYSTEM


def test_an_ascii_locale_reads_all_that_the_book_holds():
    script = """
from clustlib import published, records
from clustlib.reproduce import notebook as nb
for each in nb.all_notebooks():
    assert each.code() and nb.profile_parameters(each, "paper")
for paper in published.PAPERS:
    published.contents(paper), published.claims(paper)
    for name in published.tables(paper):
        published.table(paper, name)
for key in records.open_store("paper").all_keys()[::50]:
    records.load(key)
"""
    ascii_only = {**os.environ, "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=ascii_only, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
