"""An executed notebook as a page that people read: the result first, what was run folded, figures with their words."""

import base64
import re
from html import escape
from pathlib import Path
from typing import Any

from clustlib import in_words, published
from clustlib.reproduce import colab, exports
from clustlib.results import Result

LEARNT = "## What we learnt"
PROMPTS = {"parameters": "the parameters of this run", "hide-input": "the code", "regression": "the regression check"}
_ASSIGNED = re.compile(r"(\w+) = ")
_COMMENT = re.compile(r"  # .*$", re.M)


def source_of(cell: dict) -> str:
    """A cell's text."""
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def tags_of(cell: dict) -> list[str]:
    """A cell's tags."""
    return cell["metadata"].get("tags", [])


def finding(content: dict) -> str:
    """The first sentences of "What we learnt", whether the prose is typed or made by the cell below the heading."""
    for place, cell in enumerate(content["cells"]):
        _, learnt, text = source_of(cell).partition(LEARNT)
        if cell["cell_type"] == "markdown" and learnt:
            return in_words.first_sentences(text.strip() or _made_prose(content["cells"][place + 1 : place + 2]))
    return ""


def _made_prose(cells: list[dict]) -> str:
    """The Markdown that a cell shows."""
    shown = [output.get("data", {}).get("text/markdown", "") for cell in cells for output in cell.get("outputs", ())]
    return "\n\n".join("".join(text) for text in shown).strip()


def with_effective_parameters(content: dict) -> None:
    """Show the parameters once: the values that papermill injected, in the cell that explains them."""
    injected = [cell for cell in content["cells"] if "injected-parameters" in tags_of(cell)]
    content["cells"] = [cell for cell in content["cells"] if cell not in injected]
    values = {line.partition(" = ")[0]: line for cell in injected for line in source_of(cell).splitlines()}
    for cell in content["cells"]:
        if "parameters" in tags_of(cell):
            cell["source"] = "\n".join(_with_value(line, values) for line in source_of(cell).splitlines())


def _with_value(line: str, values: dict[str, str]) -> str:
    name, comment = _ASSIGNED.match(line), _COMMENT.search(line)
    if not name or name[1] not in values:
        return line
    return values[name[1]] + (comment[0] if comment else "")


def fold(content: dict) -> None:
    """Fold parameters, code and the regression check; outputs of other cells stay open."""
    for cell in content["cells"]:
        if cell["cell_type"] != "code":
            continue
        tags = set(tags_of(cell))
        kind = next((name for name in ("parameters", "regression") if name in tags), "hide-input")
        tags = tags - {"hide-input", "hide-cell"} if kind != "hide-input" or "hide-cell" in tags else tags
        whole = kind != "hide-input" or "hide-cell" in tags_of(cell)
        cell["metadata"]["tags"] = sorted({*tags, "hide-cell" if whole else "hide-input"})
        cell["metadata"]["mystnb"] = {
            "code_prompt_show": f"Show {PROMPTS[kind]}",
            "code_prompt_hide": f"Hide {PROMPTS[kind]}",
        }


def with_figures(content: dict, name: str, folder: Path) -> None:
    """Turn pictures into HTML with their text and a link to the vector graphic; the files go to ``folder``/figures."""
    number, heading = 0, name
    for cell in content["cells"]:
        if cell["cell_type"] == "markdown":
            heading = ([heading, *re.findall(r"^#+ (.+)$", source_of(cell), re.M)])[-1]
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", {}):
                number += 1
                output.update(_figure(output, f"figures/{name}-{number}", heading, folder))


def _figure(output: dict, path: str, heading: str, folder: Path) -> dict:
    """An output as HTML; writes the picture's files."""
    data = output["data"]
    alt = output.get("metadata", {}).get("image/png", {}).get("alt") or f"Figure: {heading}"
    png, vector = base64.b64decode("".join(data["image/png"])), "".join(data.get("image/svg+xml", ""))
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.with_suffix(".png").write_bytes(png)
    width, height = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
    address = f"../../{exports.FOLDER}/{path}"
    link = ""
    if vector:
        target.with_suffix(".svg").write_text(vector, encoding="utf-8")
        link = f'<figcaption><a href="{address}.svg">this figure as SVG</a></figcaption>'
    size = f'width="{width}" height="{height}" loading="lazy"'
    shown = f'<figure class="book-figure"><img src="{address}.png" alt="{escape(alt)}" {size}>{link}</figure>'
    return {"data": {"text/html": shown}, "metadata": {}}


def _markdown(name: str, text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}


def _under_title(content: dict, text: str) -> None:
    """Put a cell between the title and what else its cell says."""
    first = content["cells"][0]
    title, _, rest = source_of(first).partition("\n")
    content["cells"][0]["source"] = title
    content["cells"][1:1] = [_markdown("result", text), *([_markdown("about", rest.strip())] if rest.strip() else [])]


def numbers_links(paper: str, tables: list[str]) -> str:
    """Links to the tables' numbers, as HTML; a page lies two folders deep."""
    links = "; ".join(f"{escape(table)} as {_files(paper, table)}" for table in tables)
    return f'<p class="numbers">{links}</p>' if links else ""


def colab_link(name: str) -> str:
    """A link that opens the notebook on Colab, as HTML; nothing without a repository on GitHub."""
    address = colab.address(name)
    return f'<p class="numbers"><a href="{address}">Run this notebook on Colab</a></p>' if address else ""


def _files(paper: str, table: str) -> str:
    address = f"../../{exports.FOLDER}/{paper}/{table}"
    named = f"{paper}/{table}"
    csv = f'<a href="{address}.csv" aria-label="{named} as CSV">CSV</a>'
    return f'{csv} or <a href="{address}.tex" aria-label="{named} as LaTeX">LaTeX</a>'


def page(content: dict, name: str, result: Result | None, found: list[published.Verdict], folder: Path) -> None:
    """Make a page of an executed notebook ``name`` ("jule/table-03-..."), in place.

    ``found`` are the verdicts on the paper's claims; ``folder`` is where files beside the page go.
    """
    with_effective_parameters(content)
    told = finding(content)
    if result is not None and result.paper in published.PAPERS:
        box = in_words.result_box(result.paper, result.key, result.comparison, found, told)
        tables = list(dict.fromkeys(result.comparison["table"])) if len(result.comparison) else []
        links = numbers_links(result.paper, tables) + colab_link(name)
        _under_title(content, box.replace("\n:::\n", f"\n\n{links}\n:::\n") if links else box)
    fold(content)
    with_figures(content, name, folder)


def dashboard(content: dict, frame: Any, shown_on: dict[tuple[str, str], str], folder: Path) -> None:
    """Put the papers in four lines and every table's links under the dashboard's title, in place.

    ``frame`` are all cells; ``shown_on`` maps a paper's table to the notebook that shows it.
    """
    rows = "".join(_dashboard_row(frame, *name, shown_on.get(name, "")) for name in exports.names(frame))
    heads = "<tr><th>paper</th><th>table</th><th>cells by verdict</th><th>numbers</th></tr>"
    table = f'<table class="dataframe verdict-list"><thead>{heads}</thead><tbody>{rows}</tbody></table>'
    everything = (
        f'<p class="numbers">Every cell in one file: <a href="../../{exports.FOLDER}/results.csv">results.csv</a></p>'
    )
    lines = in_words.overview("paper").markdown("../../book/{paper}/index")
    _under_title(content, "\n\n".join([in_words.verdict_key(), lines, *([everything, table] if rows else [])]))
    fold(content)
    with_figures(content, "report/dashboard", folder)


def _dashboard_row(frame: Any, paper: str, table: str, notebook: str) -> str:
    own = frame[(frame["paper_key"] == paper) & (frame["table"] == table)]
    shown = f'<a href="../{notebook}.html">{escape(table)}</a>' if notebook else escape(table)
    strip, links = in_words.verdict_strip(published.summary(own)), _files(paper, table)
    return f"<tr><td>{paper}</td><td>{shown}</td><td>{strip}</td><td>{links}</td></tr>"
