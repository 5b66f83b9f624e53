"""What a run's fingerprint reacts to, and what it does not."""

import textwrap

import pytest

from clustlib import sources


def forget() -> None:
    for cached in (sources._read, sources._statements, sources._named, sources._text):
        cached.cache_clear()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package in clustlib's place; returns a function that rewrites one of its modules."""
    monkeypatch.setattr(sources, "_ROOT", tmp_path)

    def write(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        forget()

    write("__init__.py", "")
    write("kernels/__init__.py", "from clustlib.kernels.core import knn\nfrom clustlib.kernels.other import linkage\n")
    write("kernels/core.py", "SCALE = 2\n\ndef knn(x):\n    return helper(x) * SCALE\n\ndef helper(x):\n    return x\n")
    write("kernels/other.py", "def linkage(x):\n    return x\n")
    write(
        "run.py",
        "from clustlib import kernels\n\ndef fit(x):\n    return kernels.knn(x)\n\ndef unused(x):\n    return 1\n",
    )
    yield write
    forget()


def mark() -> str:
    return sources.fingerprint(["clustlib.run:fit"])


def test_follows_calls_constants_and_reexports(package):
    found = {f"{d.module}:{d.name}" for d in sources.closure([sources.Definition("clustlib.run", "fit")])}
    assert found == {
        "clustlib.run:fit",
        "clustlib.kernels.core:knn",
        "clustlib.kernels.core:helper",
        "clustlib.kernels.core:SCALE",
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("kernels/core.py", "SCALE = 3\n\ndef knn(x):\n    return helper(x) * SCALE\n\ndef helper(x):\n    return x\n"),
        (
            "kernels/core.py",
            "SCALE = 2\n\ndef knn(x):\n    return helper(x) * SCALE\n\ndef helper(x):\n    return -x\n",
        ),
        ("run.py", "from clustlib import kernels\n\ndef fit(x):\n    return kernels.knn(x + 1)\n"),
    ],
)
def test_a_change_on_the_way_shows(package, name, text):
    before = mark()
    package(name, text)
    assert mark() != before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("kernels/other.py", "def linkage(x):\n    return x + 1\n"),
        (
            "run.py",
            "from clustlib import kernels\n\ndef fit(x):\n    '''Says more.'''\n    return kernels.knn(x)  # why\n",
        ),
        (
            "kernels/core.py",
            "def helper(x):\n    return x\n\nSCALE = 2\n\ndef knn(x):\n    return helper(x) * SCALE\n\nNEW = 1\n",
        ),
    ],
)
def test_a_change_elsewhere_or_in_prose_does_not(package, name, text):
    before = mark()
    package(name, text)
    assert mark() == before


def test_plain_text_counts(package):
    assert sources.fingerprint(["clustlib.run:fit", "n_init=10"]) != sources.fingerprint(
        ["clustlib.run:fit", "n_init=1"]
    )


def test_skipped_modules_do_not_count(package):
    before = sources.fingerprint(["clustlib.run:fit"], skip=["clustlib.kernels"])
    package("kernels/core.py", "def knn(x):\n    return 0\n")
    assert sources.fingerprint(["clustlib.run:fit"], skip=["clustlib.kernels"]) == before


def test_a_notebooks_files_are_those_it_reaches(package, tmp_path):
    package("rows.py", 'ROWS = {"a": "clustlib.kernels.other:linkage"}\n')
    files = sources.files_of_code("from clustlib import run\nfrom clustlib.rows import ROWS\nrun.fit(ROWS)\n")
    assert {path.relative_to(tmp_path).as_posix() for path in files} == {
        "kernels/core.py",
        "kernels/other.py",
        "rows.py",
        "run.py",
    }


def test_code_without_clustlib_depends_on_nothing(package):
    assert sources.files_of_code("import numpy as np\nnp.zeros(3)\n") == []


def test_a_name_that_cannot_be_found_is_an_error(package):
    package("run.py", "from clustlib import kernels\n\ndef fit(x):\n    return kernels.gone(x)\n")
    with pytest.raises(LookupError, match=r"clustlib\.kernels:gone"):
        mark()


def test_every_row_and_notebook_can_be_traced():
    from clustlib import experiments, rows
    from clustlib.records import runs
    from clustlib.reproduce.notebook import all_notebooks

    for label in rows.ROWS:
        assert len(runs.fingerprint(experiments.cluster_pixels, {"method": label})) == 16
    for notebook in all_notebooks():
        assert notebook.files()


def test_a_run_on_the_cpu_does_not_go_through_what_a_gpu_does(package):
    before = mark()
    package(
        "kernels/core.py",
        """
        from clustlib._device import on_gpu

        SCALE = 2

        def knn(x):
            if on_gpu(x):
                from clustlib.kernels.other import linkage

                return linkage(x)
            return helper(x) * SCALE

        def helper(x):
            if on_gpu(x) and x > 0:
                x = -x
            else:
                return x
        """,
    )
    assert mark() == before
    names = [{d.name for d in sources.closure([sources.Definition("clustlib.run", "fit")], gpu=g)} for g in (0, 1)]
    assert "linkage" not in names[0] and "linkage" in names[1]


def test_a_run_on_a_gpu_does(package):
    text = "def knn(x):\n    if on_gpu(x):\n        return {}\n    return x\n"
    package("kernels/core.py", text.format(1))
    here, there = (sources.fingerprint(["clustlib.run:fit"], gpu=gpu) for gpu in (False, True))
    package("kernels/core.py", text.format(2))
    assert here == mark() and there != sources.fingerprint(["clustlib.run:fit"], gpu=True)
