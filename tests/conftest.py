"""Fixtures shared by the tests."""

import os
from pathlib import Path

import hypothesis
import pytest
from small_book import lay_out

from clustlib import _paths

ROOT = Path(__file__).resolve().parent.parent

# the same examples each time: a stranger's `make test` is no lottery; --hypothesis-profile=default draws new ones
hypothesis.settings.register_profile("fixed", derandomize=True)
hypothesis.settings.load_profile("fixed")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by their argument: a file made at collection may hold the time of day, and an id must not."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture
def book(tmp_path, monkeypatch):
    """An empty book in a temporary folder, with the working folder inside it: stores, results and all."""
    for name in ("notebooks", "book/records", "book/profiles", "book/published"):
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
