"""Every built page in a real browser: two widths, light and dark, with what a reader on any of them would trip over.

``CLUSTLIB_HTML=_build/html`` walks a book that is built already, as ``make book`` leaves it.
"""

import functools
import http.server
import os
import shutil
import statistics
import threading
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = ["no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"]
QUIET += ["disable-component-update", "disable-sync"]
MEGABYTE = 1e6

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif("CLUSTLIB_HTML" not in os.environ, reason="walks a built book: CLUSTLIB_HTML=_build/html"),
]

# What is wider than its box and neither scrolls nor can be reached by keyboard; pictures whose text says nothing;
# remains of progress bars; how far down the first result is.
LOOK = """() => {
  const article = document.querySelector('article') || document.body;
  const scrolls = box => box && box !== document.body && (
    ['auto', 'scroll'].includes(getComputedStyle(box).overflowX) ? box : scrolls(box.parentElement));
  const shown = box => box.getClientRects().length > 0;
  const clipped = [], unreachable = [];
  for (const box of article.querySelectorAll('table, pre')) {
    if (!shown(box)) continue;
    const holder = scrolls(box);
    const wide = box.scrollWidth > box.clientWidth + 1 || box.getBoundingClientRect().right > innerWidth + 1;
    if (!wide) continue;
    if (!holder) clipped.push(box.outerHTML.slice(0, 80));
    else if (holder.scrollWidth > holder.clientWidth + 1 && holder.tabIndex < 0) unreachable.push(holder.className);
  }
  const told = text => /\\S+\\s+\\S+/.test(text) && !/^_?[0-9a-f]{20}/.test(text);
  const pictures = [...article.querySelectorAll('img')].filter(i => !told(i.alt));
  const small = [...article.querySelectorAll('td, th, td *')].filter(
    c => shown(c) && c.textContent.trim() && parseFloat(getComputedStyle(c).fontSize) < 12);
  const result = article.querySelector('.result-box, .verdict-strip, .cell_output');
  return {
    overflow: document.documentElement.scrollWidth - innerWidth,
    clipped, unreachable,
    pictures: pictures.map(i => i.src),
    small: small.map(c => c.outerHTML.slice(0, 60)),
    widgets: document.querySelectorAll('.jupyter-widgets, script[type*="widget"]').length,
    result: result ? result.getBoundingClientRect().top + scrollY : null,
  };
}"""


class Silent(http.server.SimpleHTTPRequestHandler):
    """A server that does not log."""

    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture(scope="module")
def address(html):
    """The site over HTTP, where a missing file is a 404."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=str(html)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=[f"--{flag}" for flag in QUIET])
        yield chromium
        chromium.close()


def pages(html: Path) -> list[str]:
    """The pages that people read, as paths below the site: not the entry, which sends on, nor pages of source."""
    found = (path.relative_to(html) for path in sorted(html.rglob("*.html")) if path != html / "index.html")
    return [path.as_posix() for path in found if not {"_static", "_modules", "numbers"} & set(path.parts)]


def visit(context, url: str) -> tuple:
    """An open page with what the browser complained of while it loaded, and the bytes that it took."""
    page, wrong, sizes = context.new_page(), [], []
    page.on("console", lambda said: wrong.append(f"console: {said.text}") if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))

    def answered(response) -> None:
        if response.status >= 400 or not response.url.startswith(("http://127.0.0.1", "data:")):
            wrong.append(f"{response.status} {response.url}")
        sizes.append(int(response.headers.get("content-length", 0)))

    page.on("response", answered)
    page.goto(url, wait_until="load")
    page.wait_for_timeout(150)  # what scripts do once the page is there
    return page, wrong, sum(sizes)


def serious(page) -> list[str]:
    """Findings of axe that keep somebody out."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    # left to itself axe fetches style sheets again, as if their addresses were relative to the page
    options = {"resultTypes": ["violations"], "preload": False}
    found = axe.Axe().run(page, options=options).response["violations"]
    bad = [one for one in found if one["impact"] in ("serious", "critical")]
    return [f"axe {one['id']}: {node['html'][:120]}" for one in bad for node in one["nodes"][:3]]


def complaints(seen: dict, width: int, executed: bool) -> list[str]:
    """What is wrong with a page's layout, in words; an executed notebook shows a result high on a desktop's page."""
    lists = ("clipped", "unreachable", "pictures", "small")
    found = [f"{name}: {one}" for name in lists for one in seen[name][:3]]
    found += [f"{seen['overflow']} px wider than the screen"] if seen["overflow"] > 0 else []
    found += ["remains of a widget"] if seen["widgets"] else []
    late = executed and width > 600 and not (seen["result"] is not None and seen["result"] < 900)
    return found + ([f"the first result is {seen['result']} px down"] if late else [])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 390])
def test_no_page_has_a_fault_that_a_browser_sees(html, executed, address, browser, width, theme):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
    faults, whole = [], "CLUSTLIB_HTML" in os.environ
    shown = {f"notebooks/{name}.html" for name in executed}
    for name in pages(html):
        page, wrong, _ = visit(context, f"{address}/{name}")
        wrong += complaints(
            page.evaluate(LOOK), width, name in shown or (whole and name.startswith("notebooks/"))
        ) + serious(page)
        faults += [f"{name}: {one}" for one in dict.fromkeys(wrong)]
        page.close()
    context.close()
    assert not faults, "\n" + "\n".join(faults)


def test_half_of_the_pages_weigh_at_most_a_megabyte_and_a_half(html, address, browser):
    weights = []
    for name in pages(html):
        context = browser.new_context()  # an empty cache: the weight for who comes from elsewhere
        weights.append(visit(context, f"{address}/{name}")[2])
        context.close()
    assert statistics.median(weights) <= 1.5 * MEGABYTE


def test_from_the_index_the_numbers_and_the_citation_are_within_two_clicks(address, browser):
    page, _, _ = visit(browser.new_context(), f"{address}/")
    page.wait_for_url("**/book/intro.html")
    assert "@software{" in page.inner_text("article")
    assert page.locator('a[href$="results.csv"]').count() == 1
    page.locator("article .sd-card", has_text="Dashboard").first.click()
    page.locator('article a[href$="table-03.csv"]').first.wait_for()
    answer = page.request.get(page.locator('article a[href$="table-03.csv"]').first.evaluate("link => link.href"))
    assert answer.ok and answer.text().startswith("paper,table,dataset")
