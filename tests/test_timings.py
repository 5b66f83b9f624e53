"""Benchmarks' results: written, read back and shown on the performance page."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clustlib.reproduce import site
from clustlib.timings import Bar, Plot, Timing, bars_table, machine_line, read, table

TIMING = Timing(
    "sorting",
    "Sorting",
    "A note.",
    [{"work": "ours", "n": 70000, "seconds": 0.123456}, {"work": "peer", "n": 70000, "ratio": 2.5}],
    [Bar("ours, 70,000", "time", "s", 1.0, 0.123456), Bar("ours", "speed-up", "times", 3.0, 2.5, at_least=True)],
    [Plot([10, 100, 1000], {"ours": [1.0, 10.0, 100.0]}, "n", "seconds")],
)


def test_a_timing_comes_back_with_the_machine_it_was_taken_on(tmp_path):
    path = TIMING.save(tmp_path)
    (found,) = read(tmp_path)
    assert path.name == "sorting.json" and found.rows == TIMING.rows
    assert found.bars == TIMING.bars and found.plots == TIMING.plots
    assert found.machine["device"] in machine_line(found) and "threads" in machine_line(found)


def test_bars_are_limits_or_floors():
    header, rows = bars_table(TIMING)
    assert rows[0] == ["ours, 70,000", "time", "at most 1 s", "0.123 s", "✔ held"]
    assert rows[1] == ["ours", "speed-up", "at least 3 times", "2.5 times", "✘ missed"]
    assert all(len(row) == len(header) for row in rows)


def test_the_table_has_every_column_and_leaves_blanks():
    header, rows = table(TIMING)
    assert header == ["work", "n", "seconds", "ratio"]
    assert rows == [["ours", "70,000", "0.123", ""], ["peer", "70,000", "", "2.5"]]


def test_the_page_says_what_was_timed_and_what_was_not(book, tmp_path):
    assert "Nothing has been timed" in site.performance_page(tmp_path)
    TIMING.save(book / "book" / "benchmarks")
    page = site.performance_page(tmp_path)
    assert "## Sorting" in page and "✘ missed" in page and "generated/sorting-0.svg" in page
    assert (tmp_path / "sorting-0.svg").stat().st_size > 1000


@pytest.mark.parametrize(("script", "first"), [("linkage", "exact GDL"), ("jule_step", None)])
def test_a_benchmark_runs_and_writes_its_file(script, first, tmp_path):
    command = [sys.executable, f"benchmarks/{script}.py", "--quick", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")
    assert done.returncode == 0, done.stderr[-2000:]
    content = json.loads((tmp_path / f"{script.replace('_', '-')}.json").read_text(encoding="utf-8"))
    assert content["rows"][0].get("work") == first and content["bars"]


def test_the_gpu_benchmark_runs_on_small_input_without_a_gpu(tmp_path):
    pytest.importorskip("triton")
    command = [
        sys.executable,
        "benchmarks/gpu.py",
        "--small",
        "--device",
        "cpu",
        "--no-tests",
        "--folder",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")
    content = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert done.returncode == 1, done.stderr[-2000:]  # no bar of a GPU is held by an interpreter
    assert {"nearest centre, tf32", "cluster sums", "exact neighbours"} <= {row["kernel"] for row in content["rows"]}


def test_the_gpu_benchmark_says_where_there_is_no_gpu(tmp_path):
    command = [sys.executable, "benchmarks/gpu.py", "--folder", str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, encoding="utf-8"
    )
    assert done.returncode == 0 and "no CUDA device" in done.stdout
    assert not list(tmp_path.iterdir())


def test_the_gpu_benchmark_needs_torch_triton_and_scikit_learn_only(tmp_path):
    """A GPU machine may have nothing else, and no way to get it."""
    pytest.importorskip("triton", reason="needs triton")
    script = Path(__file__).parents[1] / "benchmarks" / "gpu.py"
    absent = ["pandas", "tqdm", "matplotlib", "seaborn", "numba", "faiss", "pooch", "hypothesis", "papermill", "PIL"]
    arguments = [str(script), "--small", "--device", "cpu", "--no-tests", "--folder", str(tmp_path)]
    code = (
        f"import runpy, sys\nsys.modules.update(dict.fromkeys({absent}))\nsys.argv = {arguments}\n"
        f"runpy.run_path({str(script)!r}, run_name='__main__')"
    )
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(script.parents[1])}
    call = [sys.executable, "-c", code]
    done = subprocess.run(
        call, cwd=script.parent, env=environment, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    assert "DBC is left out" in done.stdout, done.stderr
    assert {row["kernel"] for row in json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["rows"]} >= {
        "GSNMF update"
    }
