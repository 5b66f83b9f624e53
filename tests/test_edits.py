"""make witness against this checkout's own code: faults that must be noticed, harmless edits that must be carried."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "witnesses"))

import edits  # noqa: E402

whole = pytest.mark.skipif("CLUSTLIB_FAULTS" not in os.environ, reason="takes minutes: CLUSTLIB_FAULTS=1")


def _text(file: str) -> str:
    return (ROOT / "clustlib" / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", edits.FAULTS)
def test_each_fault_changes_one_definition(name):
    fault = edits.FAULTS[name]
    before, after = ast.parse(_text(fault.file)).body, ast.parse(edits.edited(_text(fault.file), fault)).body
    assert sum(ast.unparse(a) != ast.unparse(b) for a, b in zip(before, after, strict=True)) == 1


def test_the_faults_are_spread_over_the_papers_and_what_they_share():
    rooms = {fault.file.split("/")[0] for fault in edits.FAULTS.values()}
    assert rooms >= {"fcn", "dbc", "jule", "kernels", "cluster", "transfer", "metrics.py"} and len(edits.FAULTS) >= 12


@whole
@pytest.mark.slow
def test_every_fault_is_noticed():
    escaped = [name for name, _, fault in edits.by_witnesses(list(edits.FAULTS)) if fault]
    assert escaped == []


@whole
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_command_carries_a_new_name_and_refuses_a_fault_with_the_runs_it_concerns(tmp_path):
    """In a copy of the last commit; whatever is edited here and not committed is not judged."""
    status = subprocess.run(["git", "-C", str(ROOT), "status", "--short", "-uno", "clustlib"], capture_output=True)
    if status.stdout:
        pytest.skip("clustlib has changes that are not committed")
    found = {
        name: (told, fault)
        for name, told, fault in edits.in_a_copy(["a local variable", "boosted target"], tmp_path / "copy")
    }
    assert [fault for _, fault in found.values()] == ["", ""]
    assert "clustlib.dbc.runs.clustering:cluster" in found["boosted target"][0]
