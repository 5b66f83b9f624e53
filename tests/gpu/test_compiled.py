"""Every Triton kernel becomes machine code for the chips that are named, without a GPU being there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_code.py"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """What the benchmark found, in a process whose Triton compiles and does not interpret."""
    folder = tmp_path_factory.mktemp("bench")
    environment = {**os.environ, "TRITON_CACHE_DIR": str(folder / "cache")}
    environment.pop("TRITON_INTERPRET", None)
    call = [sys.executable, str(SCRIPT), "--folder", str(folder)]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, check=False, encoding="utf-8")
    assert done.returncode in (0, 1), done.stderr
    return json.loads((folder / "gpu-code.json").read_text(encoding="utf-8"))


def test_every_kernel_is_compiled(compiled):
    modules = (SCRIPT.parents[1] / "clustlib" / "kernels" / "cuda").glob("*.py")
    with_kernels = [path.stem for path in modules if "@triton.jit" in path.read_text(encoding="utf-8")]
    assert all(f"{name}._" in SCRIPT.read_text(encoding="utf-8") for name in with_kernels)
    kernels = [{row["kernel"] for row in compiled["rows"] if chip in row["chip"]} for chip in ("sm_80", "sm_90")]
    assert kernels[0] == kernels[1] and len(kernels[0]) > len(with_kernels)


def test_nothing_spills_and_all_fits(compiled):
    spilled = [row for row in compiled["rows"] if row["spilled (bytes)"]]
    assert not spilled
    for bar in compiled["bars"]:
        assert (bar["measured"] >= bar["limit"]) if bar["at_least"] else (bar["measured"] <= bar["limit"]), bar


def test_products_of_few_bits_are_made_by_tensor_cores(compiled):
    for row in compiled["rows"]:
        if row["kernel"].startswith(("nearest centre, bfloat16", "nearest centre, tf32")):
            assert row["products"] == ("wgmma" if "sm_90" in row["chip"] else "mma"), row
