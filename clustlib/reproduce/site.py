"""The HTML: gather pages and executed notebooks in one folder, write the generated pages, build."""

import json
import math
import re
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd
import yaml

from clustlib import _paths, additions, in_words, plots, published, report, results, timings
from clustlib.reproduce import citing, exports, kept, numbers, pages, processes, tidy
from clustlib.reproduce.api import api_page
from clustlib.reproduce.records_page import records_page
from clustlib.reproduce.workflow import book_files, executed, notebooks, reports

_CARD = ":img-bottom: "  # in front of the picture of a card of the index
_CLAIMS = re.compile(rf'id="T_claims-(?P<paper>{"|".join(published.PAPERS)})-(?P<key>[\w-]+)"')


def contents_page(paper: str) -> str:
    """A paper's tables and figures as a Markdown table: link, what it shows, how many cells stand how."""
    by_name = {notebook.path.stem: notebook for notebook in notebooks() if notebook.paper == paper}
    done = {result.key: result for result in results.read("paper", paper)}
    rows = []
    for entry in published.contents(paper):
        notebook = by_name.get(entry.notebook or "")
        name = f"[{entry.key}](../../notebooks/{notebook.name}.ipynb)" if notebook else entry.key
        state = _state(done.get(notebook.key), entry.key) if notebook else entry.why or "missing: not built yet"
        rows.append([name, entry.title, entry.source, state])
    return _markdown(["", "what it shows", "where", "state"], rows)


def _state(result: results.Result | None, key: str) -> str:
    """How one entry of the contents stands; a notebook may show several."""
    if result is None:
        return "not run"
    if result.status != results.OK:
        return f"failed: {result.status}"
    own = result.comparison
    own = own[own["table"] == key] if len(own) else own
    if not len(own):
        return "made"
    counts, again = published.summary(own), int(published.summary(own, again=True).sum())
    said = [f"{count} {name}" for name, count in counts.items() if count]
    return ", ".join([*said, *([f"{again} as released, too"] if again else [])])


def additions_page(paper: str) -> str:
    """What ours adds to a paper's algorithm, as a Markdown table; beneath, what labels had to do with its readings."""
    shown = additions.table(paper)
    told = {each.labels: each.reading for each in published.readings(paper) if each.labels}
    said = "".join(
        f"\nDid labels choose anything of the rows {reading}? {labels}\n" for labels, reading in told.items()
    )
    return _markdown(list(shown.columns), shown.to_numpy().tolist()) + said


def headline_page(paper: str) -> str:
    """A paper's own row by reading as a Markdown table: printed, as written, as released, ours; a column a data set.

    The last column is the mean over the sets on which every line has a number.
    """
    done = [result.comparison for result in results.read("paper", paper) if len(result.comparison)]
    shown = published.by_reading(pd.concat(done, ignore_index=True), **published.headline(paper)) if done else None
    if shown is None or shown.empty:
        return "*Not run yet.*\n"
    rows = [[name, *("not run" if math.isnan(v) else f"{v:.3f}" for v in values)] for name, values in shown.T.items()]
    header, common = ["", *shown], shown.dropna(axis=1)
    if len(common.columns):
        every = len(common.columns) == len(shown.columns)
        header.append("mean of all" if every else f"mean of {', '.join(common)}")
        rows = [[*row, f"{mean:.3f}"] for row, mean in zip(rows, common.mean(axis=1))]
    return _markdown(header, rows)


def claims_page(found: list[published.Verdict]) -> str:
    """The claims of a paper as a Markdown table: the sentence, our verdict, the numbers, the paper's own numbers."""
    rows = [report.claim_row(verdict) for verdict in found]
    return _markdown(list(rows[0]), [list(row.values()) for row in rows])


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    lines = [header, ["---"] * len(header), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def variants_page() -> str:
    """What the variants of JULE's baselines measured, as a Markdown table."""
    table = report.variants("paper")
    if table.empty:
        return "*No row has been run in both variants yet.*\n"
    numbers = table[["paper", "released", "published"]].map("{:.3f}".format).replace("nan", "")
    shown = table.assign(**numbers)
    return _markdown(list(shown.columns), shown.to_numpy().tolist())


def switches_page() -> str:
    """What JULE's own switches measured, one at a time, as a Markdown table."""
    from clustlib.jule.views import switches

    shown = switches.switches("paper")
    return _markdown(list(shown.columns), shown.to_numpy().tolist())


def choices_page() -> str:
    """What the choices that the FCN paper leaves open measured, as a Markdown table."""
    from clustlib.fcn import views

    table = views.choices("paper")
    if table.empty:
        return "*No choice has been run yet.*\n"
    shown = table.assign(**table.select_dtypes("float").map("{:.3f}".format), seeds=table["seeds"].astype(str))
    return _markdown(list(shown.columns), shown.to_numpy().tolist())


def dbc_choices_page() -> str:
    """What the choices that the DBC paper leaves open measured, as a Markdown table."""
    from clustlib.dbc import views

    shown = views.choices("paper")
    return _markdown(list(shown.columns), shown.to_numpy().tolist())


def dbc_starts_page() -> str:
    """What the k-means starts of DBC measured, as a Markdown table."""
    from clustlib.dbc import views

    shown = views.starts("paper")
    return _markdown(list(shown.columns), shown.to_numpy().tolist())


def performance_page(folder: Path) -> str:
    """The committed timings: bars, measurements and plots, as Markdown; pictures go to ``folder``."""
    parts = []
    for timing in timings.read():
        parts += [f"## {timing.title}", timing.note, timings.machine_line(timing)]
        parts += [_markdown(*timings.bars_table(timing))] if timing.bars else []
        parts.append(_markdown(*timings.table(timing)))
        for i, plot in enumerate(timing.plots):
            picture = f"{timing.name}-{i}.svg"
            figure = plots.line(plot.x, plot.curves, xlabel=plot.xlabel, ylabel=plot.ylabel, log=True)
            (folder / picture).write_text(plots.svg(figure), encoding="utf-8")
            parts.append(f"![{plot.ylabel} against {plot.xlabel}](generated/{picture})")
    return "\n\n".join(parts or ["*Nothing has been timed yet.*"]) + "\n"


def overview_page() -> str:
    """The papers in a sentence each, for the index."""
    return f"{in_words.verdict_key()}\n\n{in_words.overview('paper').markdown('{paper}/index', counts=False)}\n"


def shown_on() -> dict[tuple[str, str], str]:
    """Which notebook shows a paper's table, by paper and table."""
    names = {(notebook.paper, notebook.key): notebook.name for notebook in notebooks()}
    pages: dict[tuple[str, str], str] = {}
    for result in results.read("paper"):
        for table in dict.fromkeys(result.comparison["table"]) if len(result.comparison) else ():
            if (result.paper, result.key) in names:
                pages.setdefault((result.paper, str(table)), names[result.paper, result.key])
    return pages


def gather(folder: Path) -> None:
    """Lay the book's sources out in ``folder`` as in the repository, with executed notebooks."""
    shutil.rmtree(folder, ignore_errors=True)
    for relative in book_files():
        _copy(_paths.root() / relative, folder / relative)
    generated = folder / "book" / "generated"
    generated.mkdir()
    with ProcessPoolExecutor(1, initializer=processes.end_with_parent) as pool:  # which takes half of the time
        of_code = pool.submit(_write_pages_of_code, generated)
        _write_pages_of_results(folder, generated)
        of_code.result()


def _write_pages_of_code(generated: Path) -> None:
    """The generated pages that no notebook's result goes into."""
    (generated / "performance.md").write_text(performance_page(generated), encoding="utf-8")
    (generated / "api.md").write_text(api_page(), encoding="utf-8")
    (generated / "records.md").write_text(records_page(), encoding="utf-8")


def _write_pages_of_results(folder: Path, generated: Path) -> None:
    """The pages that notebooks' results go into: theirs, those that quote their numbers, tables and claims."""
    root = _paths.root()
    config = folder / "_config.yml"
    config.write_text(with_repository(config.read_text(encoding="utf-8")), encoding="utf-8")
    verdicts = {paper: report.verdicts(paper, "paper") for paper in published.PAPERS}
    # html_extra_path copies what is in this folder to the top of the HTML
    extra = generated / "extra" / exports.FOLDER
    frame = exports.write(extra)
    done = {(result.paper, result.key): result for result in results.read("paper")}
    for page in (folder / relative for relative in book_files() if relative.endswith(".md")):
        page.write_text(numbers.filled(page.read_text(encoding="utf-8"), done.values()), encoding="utf-8")
    for notebook in [*notebooks(), *reports()]:
        source = root / executed("paper", notebook)
        if source.is_file():
            target = folder / "notebooks" / f"{notebook.name}.ipynb"
            target.parent.mkdir(parents=True, exist_ok=True)
            content = json.loads(with_claims(source.read_text(encoding="utf-8"), verdicts))
            for cell in content["cells"]:
                if cell["cell_type"] == "markdown":
                    cell["source"] = numbers.filled(pages.source_of(cell), done.values())
            if notebook in reports():
                pages.dashboard(content, frame, shown_on(), extra)
            else:
                own = done.get((notebook.paper, notebook.key))
                pages.page(content, notebook.name, own, verdicts.get(notebook.paper, []), extra)
            target.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    (generated / "verdicts.md").write_text(overview_page(), encoding="utf-8")
    (generated / "citing.md").write_text(citing.page(), encoding="utf-8")
    for paper in published.PAPERS:
        (generated / f"{paper}-contents.md").write_text(contents_page(paper), encoding="utf-8")
        (generated / f"{paper}-additions.md").write_text(additions_page(paper), encoding="utf-8")
        if published.headline(paper):
            (generated / f"{paper}-headline.md").write_text(headline_page(paper), encoding="utf-8")
        (generated / f"{paper}-claims.md").write_text(claims_page(verdicts[paper]), encoding="utf-8")
    (generated / "jule-variants.md").write_text(variants_page(), encoding="utf-8")
    (generated / "jule-switches.md").write_text(switches_page(), encoding="utf-8")
    (generated / "fcn-choices.md").write_text(choices_page(), encoding="utf-8")
    (generated / "dbc-choices.md").write_text(dbc_choices_page(), encoding="utf-8")
    (generated / "dbc-starts.md").write_text(dbc_starts_page(), encoding="utf-8")
    without_missing_pictures(folder / "book" / "intro.md")


def without_missing_pictures(page: Path) -> None:
    """Leave out the pictures of a page's cards that no notebook has drawn here."""
    lines = page.read_text(encoding="utf-8").splitlines(keepends=True)
    named = (line.removeprefix(_CARD) if line.startswith(_CARD) else "" for line in lines)
    there = [not name or (page.parent / name.strip()).is_file() for name in named]
    page.write_text("".join(line for line, stays in zip(lines, there) if stays), encoding="utf-8")


def with_claims(notebook: str, found: dict[str, list[published.Verdict]]) -> str:
    """An executed notebook whose tables of claims are made again: others that they rest on may have run after it.

    ``found`` are the verdicts on every claim, by paper.
    """
    content = json.loads(notebook)
    for cell in content["cells"]:
        for output in cell.get("outputs", ()):
            shown = output.get("data", {})
            table = _CLAIMS.search("".join(shown.get("text/html", "")))
            if table:
                paper, key = table["paper"], table["key"]
                shown["text/html"] = report.claims_table(paper, key, found[paper])._repr_html_()
    return json.dumps(content, ensure_ascii=False, indent=1)


def with_repository(config: str) -> str:
    """The configuration with every link to the repository, where its address is filled in; else as it is."""
    settings = yaml.safe_load(config)
    if not settings.get("repository", {}).get("url"):
        for name in ("repository", "launch_buttons"):  # an empty address would be linked to
            settings.pop(name, None)
        return yaml.safe_dump(settings, allow_unicode=True, sort_keys=False)
    buttons = ("use_repository_button", "use_edit_page_button", "use_issues_button")
    settings["html"] |= dict.fromkeys(buttons, True)
    return yaml.safe_dump(settings, allow_unicode=True, sort_keys=False)


def _forget_pages(sources: Path, html: Path) -> None:
    """Remove the HTML of notebooks that are gone: Sphinx leaves it."""
    for page in [*html.glob("notebooks/*/*.html"), *html.glob("_sources/notebooks/*/*.ipynb")]:
        relative = page.relative_to(html / "_sources" if page.suffix == ".ipynb" else html)
        if not (sources / relative).with_suffix(".ipynb").is_file():
            page.unlink()


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def build() -> int:
    """Build ``_build/html`` with Jupyter Book; where texts alone changed since the last build, only their pages.

    Returns its exit code; its output goes to ``_build/log/html.log``.
    """
    print("> html book", flush=True)
    log, html = _paths.build("log") / "html.log", _paths.build("html")
    log.parent.mkdir(parents=True, exist_ok=True)
    folder, fresh = _paths.build("site"), _paths.build("site.new")
    gather(fresh)
    kept.take_over(fresh, folder)
    frame = kept.frame(folder)
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(folder)]
    command += ["--path-output", str(_paths.root()), *([] if kept.begin(frame) else ["--all"])]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
    log.write_text(done.stdout, encoding="utf-8")
    warnings = [line for line in done.stdout.splitlines() if "WARNING" in line or "ERROR" in line]
    if done.returncode == 0:
        tidy.tidy(html)
        _forget_pages(folder, html)
        if not warnings:  # else the next build shall say them again
            kept.end(frame)
    print(*warnings, sep="\n")
    state = "<" if done.returncode == 0 else "!"
    print(f"{state} html book, {len(warnings)} warnings; its log is {log}", flush=True)
    return done.returncode
