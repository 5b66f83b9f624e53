"""What a run's mark reacts to, and what it does not."""

import re
import textwrap

import pytest

from clustlib import sources

CODE = []  # of the test that runs


@pytest.fixture
def package(tmp_path):
    """A small package in clustlib's place; returns a function that rewrites one of its modules."""

    def write(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        CODE[:] = [sources.Code(tmp_path)]

    write("__init__.py", "")
    write("kernels/__init__.py", "from clustlib.kernels.core import knn\nfrom clustlib.kernels.other import linkage\n")
    write("kernels/core.py", "SCALE = 2\n\ndef knn(x):\n    return helper(x) * SCALE\n\ndef helper(x):\n    return x\n")
    write("kernels/other.py", "def linkage(x):\n    return x\n")
    write(
        "run.py",
        "from clustlib import kernels\n\ndef fit(x):\n    return kernels.knn(x)\n\ndef unused(x):\n    return 1\n",
    )
    return write


def mark() -> str:
    return CODE[0].mark(["clustlib.run:fit"])


def test_follows_calls_constants_and_reexports(package):
    found = {f"{d.module}:{d.name}" for d in CODE[0].closure([sources.Definition("clustlib.run", "fit")])}
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
    assert CODE[0].mark(["clustlib.run:fit", "n_init=10"]) != CODE[0].mark(["clustlib.run:fit", "n_init=1"])


def test_loaders_and_lists_of_rows_do_not_count(package):
    package(
        "run.py",
        "from clustlib import datasets\nfrom clustlib.jule import rows\n\n"
        "def fit(x):\n    return datasets.load(rows.ROWS[x])\n",
    )
    package("datasets.py", "def load(x):\n    return x\n")
    package("jule/rows.py", "ROWS = {}\n")
    before = mark()
    package("datasets.py", "def load(x):\n    return -x\n")
    package("jule/rows.py", "ROWS = {1: 2}\n")
    assert mark() == before


HARMLESS = {
    "an annotation": ("def knn(x: int) -> object:\n    y: int = helper(x) * SCALE\n    return y\n", None),
    "a text of an error": (
        'def knn(x):\n    raise ValueError(f"no {x}")\n',
        'def knn(x):\n    raise ValueError("none")\n',
    ),
    "a text of a warning": ('import warnings\ndef knn(x):\n    warnings.warn("a", stacklevel=2)\n',) * 2,
    "a docstring of a method": (
        "class knn:\n    def a(self):\n        'One.'\n",
        "class knn:\n    def a(self):\n        pass\n",
    ),
}


@pytest.mark.parametrize("kind", HARMLESS)
def test_what_computes_nothing_does_not_count(package, kind):
    one, other = HARMLESS[kind]
    rest = "SCALE = 2\n\ndef helper(x):\n    return x\n"
    package("kernels/core.py", one + rest)
    before = mark()
    other = other or one.replace(": int", "").replace(" -> object", "")
    package("kernels/core.py", other.replace('"a"', '"b"') + rest)
    assert mark() == before


def test_the_kind_of_an_error_and_a_fields_name_count(package):
    for one, other in (("ValueError('a')", "TypeError('a')"),):
        package("run.py", f"def fit(x):\n    raise {one}\n")
        before = mark()
        package("run.py", f"def fit(x):\n    raise {other}\n")
        assert mark() != before
    package("run.py", "class fit:\n    a: int\n    b: int\n")
    before = mark()
    package("run.py", "class fit:\n    b: int\n    a: int\n")
    assert mark() != before


LOCALS = """
    def fit(x, scale=1):
        rows = x + scale
        best = [row for row in rows if row > rows[0]]

        def near(row):
            rows = row * 2
            return rows + len(best)

        return near(best)
"""


def local_names(**others: str) -> str:
    """``LOCALS`` with other names for its variables."""
    return re.sub(r"\w+", lambda word: others.get(word[0], word[0]), LOCALS)


def test_the_name_of_a_local_variable_does_not_count(package):
    package("run.py", LOCALS)
    before = mark()
    for others in ({"rows": "flat"}, {"best": "chosen"}, {"rows": "best", "best": "rows"}):
        package("run.py", local_names(**others))
        assert mark() == before
    package(
        "run.py", LOCALS.replace("rows = row * 2\n            return rows", "flat = row * 2\n            return flat")
    )
    assert mark() == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("len(best)", "len(x)"),  # a local variable for a parameter
        ("return rows", "return row"),
        ("near(best)", "near(rows)"),  # one local variable for another
        ("rows[0]", "row[0]"),
        ("rows = row * 2\n            return rows", "flat = row * 2\n            return rows"),  # the outer one
        ("return rows + len(best)", "return rows + len(near)"),
        ("def near(row)", "def near(row, best=best)"),
        ("scale", "shift"),  # a caller may name it
    ],
)
def test_which_variable_is_read_counts(package, before, after):
    package("run.py", LOCALS)
    first = mark()
    assert before in LOCALS
    package("run.py", LOCALS.replace(before, after))
    assert mark() != first


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("def g(y=a):\n        a = 1\n        return y, a", "def g(y=b):\n        b = 1\n        return y, b"),
        ("a = 1\n    del a\n    return locals()", "b = 1\n    del b\n    return locals()"),
        ("global a\n    a = 1", "global b\n    b = 1"),
        (
            "def g(a):\n        return a\n    a = 2\n    return g(a=a)",
            "def g(b):\n        return b\n    b = 2\n    return g(a=b)",
        ),
    ],
)
def test_names_that_something_sees_count(package, one, two):
    text = "def fit(x):\n    a, b = x\n    {}\n" if "def g" in one else "def fit(x):\n    {}\n"
    package("run.py", text.format(one))
    before = mark()
    package("run.py", text.format(two))
    assert mark() != before


def test_where_a_definition_stands_does_not_count(package):
    before = mark()
    package("elsewhere.py", "SCALE = 2\n\ndef knn(x):\n    return helper(x) * SCALE\n\ndef helper(x):\n    return x\n")
    package("kernels/core.py", "")
    package("kernels/__init__.py", "from clustlib.elsewhere import knn\n")
    assert mark() == before
    assert CODE[0].mark(["the text clustlib.a.b:C"]) == CODE[0].mark(["the text clustlib.c:C"])


def test_where_a_function_imports_from_does_not_count_and_what_it_imports_does(package):
    text = "def fit(x):\n    from clustlib.{} import step\n\n    return step(x)\n\n\ndef {other}"
    other = "other(x):\n    from clustlib.b import step\n\n    return step(x)\n"
    for name, sign in (("a", ""), ("b", "-"), ("moved", "")):
        package(f"{name}.py", f"def step(x):\n    return {sign}x\n")
    package("run.py", text.format("a", other=other))
    before = mark()
    package("run.py", text.format("moved", other=other))
    assert mark() == before
    package("run.py", "from clustlib.moved import step\n\n\ndef fit(x):\n    return step(x)\n")
    assert mark() == before
    package("run.py", text.format("b", other=other))
    assert mark() != before


def test_the_same_texts_bound_to_other_names_are_another_run(package):
    package("a.py", "def step(x):\n    return x\n")
    package("b.py", "def step(x):\n    return -x\n")
    imports = "from clustlib.{} import step as one\nfrom clustlib.{} import step as two\n"
    text = imports + "\ndef fit(x):\n    return one(two(x)) - one(x)\n"
    package("run.py", text.format("a", "b"))
    before = mark()
    package("run.py", text.format("b", "a"))
    assert mark() != before


def test_names_of_a_stub_are_followed(package):
    before = mark()
    package("kernels/__init__.py", "import lazy_loader as lazy\n")
    package("kernels/__init__.pyi", "from .core import knn as knn\n")
    assert mark() == before


def test_a_notebooks_files_are_those_it_reaches(package, tmp_path):
    package("rows.py", 'ROWS = {"a": "clustlib.kernels.other:linkage"}\n')
    files = CODE[0].files_of_code("from clustlib import run\nfrom clustlib.rows import ROWS\nrun.fit(ROWS)\n")
    assert {path.relative_to(tmp_path).as_posix() for path in files} == {
        "kernels/core.py",
        "kernels/other.py",
        "rows.py",
        "run.py",
    }


def test_code_without_clustlib_depends_on_nothing(package):
    assert CODE[0].files_of_code("import numpy as np\nnp.zeros(3)\n") == []


def test_a_name_that_cannot_be_found_is_an_error(package):
    package("run.py", "from clustlib import kernels\n\ndef fit(x):\n    return kernels.gone(x)\n")
    with pytest.raises(LookupError, match=r"clustlib\.kernels:gone"):
        mark()


def test_every_row_and_notebook_can_be_traced():
    from clustlib.jule import rows
    from clustlib.jule.runs import pixels
    from clustlib.records import runs
    from clustlib.reproduce.notebook import all_notebooks

    for label in rows.ROWS:
        assert len(runs.mark_of(pixels.cluster_pixels, {"method": label})) == 16
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
    names = [{d.name for d in CODE[0].closure([sources.Definition("clustlib.run", "fit")], gpu=g)} for g in (0, 1)]
    assert "linkage" not in names[0] and "linkage" in names[1]


def test_a_run_on_a_gpu_does(package):
    text = "def knn(x):\n    if on_gpu(x):\n        return {}\n    return x\n"
    package("kernels/core.py", text.format(1))
    here, there = (CODE[0].mark(["clustlib.run:fit"], gpu=gpu) for gpu in (False, True))
    package("kernels/core.py", text.format(2))
    assert here == mark() and there != CODE[0].mark(["clustlib.run:fit"], gpu=True)


def test_what_a_loader_returns_counts_and_the_loader_does_not(package):
    def loaded(take: str, load: str) -> str:
        sets = f"class ImageSet:\n    def take(self, n):\n        return {take}\n"
        package("datasets/imageset.py", sets)
        head = "from clustlib.datasets.imageset import ImageSet\n\n"
        package("datasets/__init__.py", f"{head}def load(name) -> ImageSet:\n    return {load}\n")
        package("run.py", "from clustlib import datasets\n\ndef fit(x):\n    return datasets.load(x).take(3)\n")
        return mark()

    first = loaded("n", "ImageSet()")
    assert loaded("n", "ImageSet(1)") == first
    assert loaded("n + 1", "ImageSet()") != first
