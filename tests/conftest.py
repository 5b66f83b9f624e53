"""Fixtures shared by the tests."""

import os
import shutil
from pathlib import Path

import hypothesis
import pytest
from evidence import touched, written
from small_book import lay_out

from clustlib import _paths

ROOT = Path(__file__).resolve().parent.parent

# the same examples each time: a stranger's `make test` is no lottery; --hypothesis-profile=default draws new ones
hypothesis.settings.register_profile("fixed", derandomize=True)
hypothesis.settings.load_profile("fixed")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by their argument: a file made at collection may hold the time of day, and an id must not."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session", autouse=True)
def evidence():
    """The ledger and the records of the checkout that the tests run in are left as they are."""
    before = written(ROOT / "book" / "records")
    yield
    changed = touched(ROOT / "book" / "records", before)
    assert not changed, f"a test wrote into the evidence: {changed[:5]}"


@pytest.fixture
def committed(monkeypatch):
    """The checkout as the working folder: its published tables, readings and records."""
    monkeypatch.chdir(ROOT)


@pytest.fixture
def book(tmp_path, monkeypatch):
    """An empty book in a temporary folder, with the working folder inside it: stores, results and all."""
    for name in ("notebooks", "book/records", "book/published"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "_config.yml").write_text("title: test\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    _paths._root_from.cache_clear()
    yield tmp_path
    _paths._root_from.cache_clear()


@pytest.fixture
def small_book(book):
    """A book of two notebooks and a dashboard, without HTML."""
    lay_out(book)
    return book


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data; tests that need it skip where there is none."""
    folder = os.environ.get("CLUSTLIB_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("real data not here: set CLUSTLIB_DATA")
    return Path(folder)


@pytest.fixture(scope="session")
def executed() -> tuple[str, ...]:
    """The notebooks that the built site shows with their results; the others go in as they are."""
    return ("jule/table-03-nmi-raw-pixels", "dbc/fig-03-kl-loss", "report/dashboard")


@pytest.fixture(scope="session")
def html(tmp_path_factory, executed) -> Path:
    """The built site. Some notebooks are executed in the paper profile, which computes nothing.

    ``CLUSTLIB_HTML`` names one that is built already (``_build/html``, after ``make book``), with every page executed.
    """
    if built := os.environ.get("CLUSTLIB_HTML"):
        return Path(built).resolve()
    from clustlib.reproduce import notebook as nb
    from clustlib.reproduce import running, site, workflow

    book = tmp_path_factory.mktemp("book")
    for name in ("_config.yml", "_toc.yml", "CITATION.cff"):
        shutil.copy(ROOT / name, book)
    for name in ("book", "notebooks"):
        shutil.copytree(ROOT / name, book / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(book)
        _paths._root_from.cache_clear()
        for notebook in nb.all_notebooks():
            output = book / workflow.executed("paper", notebook)
            output.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(notebook.path, output)
            if notebook.name in executed:
                running.run(notebook, "paper", {}, output)
        assert site.build() == 0
    _paths._root_from.cache_clear()
    return book / "_build/html"
