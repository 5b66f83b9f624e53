"""Compiled code is the code: a change anywhere behind a function is compiled anew; no place to write is no fault."""

import os
import subprocess
import sys
import textwrap

import pytest

CALLEE = "from clustlib.compiled import njit\n\n@njit(inline='always')\ndef place(x):\n    return x + {}\n"
IMPORTS = "from clustlib.compiled import njit\nfrom clustlib.inner import place\n"
CALLER = IMPORTS + "\n@njit()\ndef outer(x):\n    return 10 * place(x)\n"


@pytest.fixture
def package(tmp_path):
    """A copy of the decorators in a package of two modules; returns (write, run)."""
    import clustlib

    folder = tmp_path / "clustlib"
    folder.mkdir()
    source = os.path.dirname(clustlib.__file__)
    for name in ("compiled.py", "sources.py"):
        with open(f"{source}/{name}", encoding="utf-8") as file:
            (folder / name).write_text(file.read(), encoding="utf-8")
    (folder / "__init__.py").write_text("", encoding="utf-8")
    (folder / "outer.py").write_text(CALLER, encoding="utf-8")

    def run(constant: int, cache: str = "cache", **environment: str) -> str:
        (folder / "inner.py").write_text(CALLEE.format(constant), encoding="utf-8")
        code = "from clustlib.outer import outer; print(outer(1), sum(outer.stats.cache_hits.values()))"
        env = {**os.environ, "PYTHONPATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / cache), **environment}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, encoding="utf-8", cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def test_a_change_in_a_file_that_is_called_is_compiled_anew(package):
    assert package(1) == "20 0"
    assert package(1) == "20 1"  # found again
    assert package(2) == "30 0"
    assert package(1) == "20 1"  # both are kept


def test_where_nothing_can_be_written_it_is_compiled_in_memory(package, tmp_path):
    (tmp_path / "cache").write_text("a file, not a folder", encoding="utf-8")
    assert package(1) == "20 0"


def test_a_damaged_cache_is_compiled_anew(package, tmp_path):
    package(1)
    for file in (tmp_path / "cache").rglob("*.nbi"):
        file.write_bytes(textwrap.dedent("no index").encode())
    assert package(1) == "20 0"


def test_every_compiled_function_is_kept_by_its_mark():
    import ast
    from pathlib import Path

    import clustlib

    for path in Path(clustlib.__file__).parent.rglob("*.py"):
        if path.name == "compiled.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "numba":
                assert not {alias.name for alias in node.names} & {"njit", "jit", "vectorize", "guvectorize"}, path
            if isinstance(node, ast.keyword):
                assert node.arg != "cache" or not isinstance(node.value, ast.Constant), path
