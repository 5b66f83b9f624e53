"""What the theme leaves to be done on each built page: names for its switches, no script that nothing needs."""

import re
import shutil
from html import escape
from pathlib import Path

import yaml

from clustlib import _paths

# Font Awesome comes twice, as fonts and as a script of 1.5 MB that draws the same icons
_ICON_SCRIPT = re.compile(r'\s*<script src="[^"]*fontawesome[^"]*all\.min\.js[^"]*"></script>')
_PRELOADED = re.compile(r'\s*<link rel="preload" as="font"[^>]*fa-(?:brands|regular)-400\.woff2" />')
_MATHS = re.compile(
    r'\s*<script[^>]*src="[^"]*mathjax/[^"]*"></script>|\s*<script>window\.MathJax = .*?</script>', re.S
)
_REFRESH = re.compile(r'http-equiv="Refresh" content="0; url=([^"]+)"', re.I)
_VIEWPORT = re.compile(r'<meta name="viewport"[^>]*>')
_SWITCH = re.compile(
    r'(<input type="checkbox"\s+class="sidebar-toggle"\s+id="pst-(primary|secondary)-sidebar-checkbox"(?! aria-label))'
)
_BUTTON = re.compile(r'(<button class="sidebar-toggle [^>]*?title="([^"]+)"(?! aria-label))')
_FOLDER = re.compile(r'(<a class="[^"]*reference internal[^"]*" href="[^"]*">)([^<]*)(</a><details[^>]*><summary)>')


# the page at the top of the site: whoever enters there is sent on
_ENTRY = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<link rel="icon" href="_static/favicon.svg"><meta http-equiv="Refresh" content="0; url={start}"></head>
<body><main><h1>{title}</h1><p><a href="{start}">Begin here.</a></p></main></body></html>
"""


def entry(start: str) -> str:
    """The site's entry, which leads to the page ``start``."""
    title = yaml.safe_load((_paths.root() / "_config.yml").read_text(encoding="utf-8"))["title"]
    return _ENTRY.format(title=escape(title), start=start)


def tidied(page: str) -> str:
    """A page's HTML without needless scripts and with a name for each switch; a tidy page is left as it is."""
    page = _PRELOADED.sub("", _ICON_SCRIPT.sub("", page))
    if not re.search(r'class="[^"]*\bmath\b', page):
        page = _MATHS.sub("", page)
    page = _SWITCH.sub(r'\1 aria-label="\2 sidebar"', page)
    page = _BUTTON.sub(r'\1 aria-label="\2"', page)
    page = _FOLDER.sub(r'\1\2\3 aria-label="pages of: \2">', page)
    page = page.replace(
        '<div role="list" class="citation-list">', '<div class="citation-list">'
    )  # its entries are no items
    first = _VIEWPORT.search(page)
    return page if first is None else page[: first.end()] + _VIEWPORT.sub("", page[first.end() :])


def tidy(html: Path) -> None:
    """Tidy every page under ``html``; each notebook's download becomes the one that readers run, without outputs."""
    for path in html.rglob("*.html"):
        if "_static" not in path.relative_to(html).parts:
            page = path.read_text(encoding="utf-8")
            if (better := tidied(page)) != page:  # one that was kept of an earlier build is tidy, and keeps its date
                path.write_text(better, encoding="utf-8")
    index = html / "index.html"
    if index.is_file() and (start := _REFRESH.search(index.read_text(encoding="utf-8"))):
        index.write_text(entry(start[1]), encoding="utf-8")
    for copy in (html / "_sources" / "notebooks").glob("*/*.ipynb"):
        shutil.copyfile(_paths.root() / copy.relative_to(html / "_sources"), copy)
