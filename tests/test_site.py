"""The HTML: built from the committed records, then looked at, by a parser and in a real browser."""

import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from clustlib import _paths, published, report
from clustlib.reproduce import equation_links, kept, site

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def test_tables_of_claims_are_made_again_once_every_notebook_has_run():
    found = {"jule": report.verdicts("jule", "paper")}
    old = report.claims_table("jule", "table-03", found["jule"])._repr_html_().replace("not run", "as it was")
    outputs = [
        {"data": {"text/html": [old[:200], old[200:]]}},
        {"data": {"text/html": "<p>a table</p>"}},
        {"text": "x"},
    ]
    made = json.loads(site.with_claims(json.dumps({"cells": [{"outputs": outputs}, {"source": ""}]}), found))
    new, *others = made["cells"][0]["outputs"]
    assert new["data"]["text/html"] == report.claims_table("jule", "table-03", found["jule"])._repr_html_()
    assert "as it was" not in new["data"]["text/html"]
    assert others == outputs[1:] and made["cells"][1] == {"source": ""}


def test_the_sources_hold_nothing_of_the_machine_that_built_them(html):
    pages = list((html / "_sources").rglob("*.ipynb"))
    assert pages
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for word in ("input_path", "output_path", str(html.parent.parent), "widget-view"):
            assert word not in text, page


class Links(HTMLParser):
    """Every link and resource of a page, and the ids that links may point to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.resources: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if found.get("id"):
            self.ids.add(found["id"])
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        elif tag == "link" and found.get("rel") not in ("next", "prev") and found.get("href"):
            self.resources.append(found["href"])
        elif found.get("src"):
            self.resources.append(found["src"])


@pytest.fixture(scope="module")
def pages(html) -> dict[Path, Links]:
    return {
        path: Links(path.read_text(encoding="utf-8")) for path in html.rglob("*.html") if "_static" not in path.parts
    }


def test_builds_without_a_warning(html):
    log = (html.parent / "log/html.log").read_text(encoding="utf-8")
    assert not [line for line in log.splitlines() if "WARNING" in line or "ERROR" in line]


def test_every_page_of_the_contents_is_there(html, executed):
    assert "book/intro.html" in (html / "index.html").read_text(encoding="utf-8")
    for page in ("book/jule/index", "book/datasets", "book/bibliography", *(f"notebooks/{name}" for name in executed)):
        assert (html / f"{page}.html").is_file(), page


def test_no_link_is_broken(pages):
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.exists(), f"{path.name}: {link}"
            if parts.fragment and target in pages and "search" not in target.name:
                assert unquote(parts.fragment) in pages[target].ids, f"{path.name}: {link}"


def test_nothing_is_loaded_from_a_network(pages):
    for path, page in pages.items():
        for resource in page.resources:
            parts = urlsplit(resource)
            assert parts.scheme in ("", "data") and not parts.netloc, f"{path.name}: {resource}"
            if not parts.scheme:
                assert (path.parent / unquote(parts.path)).resolve().exists(), f"{path.name}: {resource}"


def test_the_dashboard_is_one_click_away(pages, html):
    assert any("report/dashboard" in link for link in pages[html / "book/intro.html"].links)


@pytest.mark.parametrize("paper", published.PAPERS)
def test_from_an_equation_to_its_code_and_back_takes_one_click_each(pages, html, paper):
    page, source = html / f"book/{paper}/index.html", html / f"_modules/clustlib/{paper}/equations.html"
    for name, equation in equation_links.equations(paper).items():
        assert f"../../_modules/clustlib/{paper}/equations.html#{name}" in pages[page].links
        assert f"../../../book/{paper}/index.html#clustlib.{paper}.equations.{name}" in pages[source].links
        for kernel in map(equation_links.source, equation_links.fast(equation)):
            assert f"../../_modules/{kernel.module.replace('.', '/')}.html#{kernel.name}" in pages[page].links


def test_a_published_table_shows_every_method_and_a_reason_where_nothing_was_run(html):
    text = (html / "notebooks/jule/table-03-nmi-raw-pixels.html").read_text(encoding="utf-8")
    for method in ("K-means", "AC-Link", "AC-GDL", "TSC-D", "OURS-RC"):
        assert method in text
    assert "see the page on data sets" in text


def chromium(page: str, width: int = 1280, *flags: str) -> tuple[str, str]:
    """The page's DOM after its scripts ran, and what the browser logged."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    command += ["--allow-file-access-from-files", f"--window-size={width},900", "--virtual-time-budget=15000"]
    done = subprocess.run(
        [*command, *flags, "--dump-dom", page], capture_output=True, text=True, timeout=120, encoding="utf-8"
    )
    return done.stdout, done.stderr


PAGES = [
    "book/intro.html",
    "book/jule/index.html",
    "book/api.html",
    "_modules/clustlib/jule/equations.html",
    "notebooks/report/dashboard.html",
    "notebooks/jule/table-03-nmi-raw-pixels.html",
]


@pytest.mark.browser
@pytest.mark.parametrize("page", PAGES)
def test_no_console_error(html, page):
    dom, log = chromium(f"file://{html / page}")
    assert "</html>" in dom
    assert not [
        line for line in log.splitlines() if "CONSOLE" in line and re.search(r"error|fail|not found", line, re.I)
    ]


@pytest.mark.browser
def test_maths_is_typeset_without_a_network(html):
    dom, _ = chromium(f"file://{html / 'book/jule/index.html'}", 1280, "--host-resolver-rules=MAP * ~NOTFOUND")
    assert dom.count("<mjx-container") > 10


@pytest.mark.browser
def test_search_finds_a_page(html):
    dom, _ = chromium(f"file://{html / 'search.html'}?q=hungarian")
    assert "table-10-accuracy-raw-pixels" in dom


@pytest.mark.browser
@pytest.mark.parametrize(
    "asked, first",
    [
        ("Eq.+(7)", "book/jule/index.html#"),
        ("jule+eq.+(10)", "book/jule/index.html#"),
        ("fcn+eq.+(7)", "book/fcn/index.html#"),
        ("own+images", "notebooks/guide/your-own-images.html"),
        ("empty+clusters", "book/deepcluster/"),
    ],
)
def test_what_is_asked_for_most_is_found_first(html, asked, first):
    dom, _ = chromium(f"file://{html / 'search.html'}?q={asked}")
    results = re.findall(r'<li[^>]*><a href="([^"]+)"', dom[dom.index("search-results") :])
    assert any(first in link for link in results[: 4 if asked.startswith("Eq") else 1]), results[:5]


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("page", PAGES)
def test_no_page_is_wider_than_the_screen(html, page, width):
    frame = html / f"frame-{width}-{Path(page).stem}.html"
    frame.write_text(
        f'<body><iframe src="{html / page}" width="{width}" height="900" onload="setTimeout(() => {{'
        "document.title = 'width ' + this.contentDocument.documentElement.scrollWidth}, 3000)\"></iframe>",
        encoding="utf-8",
    )
    dom, _ = chromium(f"file://{frame}", 1600)
    frame.unlink()
    found = re.search(r"<title>width (\d+)</title>", dom)
    assert found, "the page did not load"
    assert int(found[1]) <= width


# ---------------------------------------------------------------- what a new build may keep


def _sources(folder: Path, text: str = "words", heading: str = "A page") -> Path:
    cells = [{"cell_type": "markdown", "source": [f"# {heading}\n", text]}, {"cell_type": "code", "source": ["# no"]}]
    for name, content in (
        ("_config.yml", "title: test"),
        ("book/one.md", f"# One\n\n(here)=\n{text}"),
        ("notebooks/jule/two.ipynb", json.dumps({"cells": cells})),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def test_a_page_whose_text_changed_leaves_the_others_and_a_heading_none(tmp_path):
    frame = kept.frame(_sources(tmp_path / "a"))
    assert frame == kept.frame(_sources(tmp_path / "b", text="other words"))
    assert frame != kept.frame(_sources(tmp_path / "c", heading="Another page"))
    for name, content in (
        ("_config.yml", "title: other"),
        ("book/one.md", "# One\n\n(there)=\nwords"),
        ("book/_static/book.css", "a {}"),
        ("book/new.md", "no heading"),
    ):
        changed = _sources(tmp_path / "d") / name
        changed.parent.mkdir(exist_ok=True)
        changed.write_text(content, encoding="utf-8")
        assert frame != kept.frame(tmp_path / "d"), name


def test_files_that_are_the_same_keep_their_dates_and_those_that_are_gone_go(tmp_path):
    old, fresh = _sources(tmp_path / "old"), _sources(tmp_path / "fresh", text="other words")
    (old / "book/gone.md").write_text("", encoding="utf-8")
    shutil.copy(old / "book/one.md", fresh / "book/one.md")
    for file in ("book/one.md", "notebooks/jule/two.ipynb"):
        os.utime(old / file, (0, 0))
    kept.take_over(fresh, old)
    assert (old / "book/one.md").stat().st_mtime == 0 < (old / "notebooks/jule/two.ipynb").stat().st_mtime
    assert "other words" in (old / "notebooks/jule/two.ipynb").read_text(encoding="utf-8")
    assert not (old / "book/gone.md").exists() and not fresh.exists()


def test_a_build_that_did_not_end_is_made_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(_paths, "build", lambda *parts: tmp_path)
    assert not kept.begin("frame")
    kept.end("frame")
    assert kept.begin("frame")
    assert not kept.begin("frame")  # no end came
    kept.end("frame")
    assert not kept.begin("other")
