"""The HTML: gather pages and executed notebooks in one folder, write the generated pages, build."""

import shutil
import subprocess
import sys
from pathlib import Path

from clustlib import _paths, published, report, results
from clustlib.reproduce.workflow import book_files, executed, notebooks, reports

def contents_page(paper: str) -> str:
    """A paper's tables and figures as a Markdown table: link, what it shows, how many cells stand how."""
    stems = {notebook.key: notebook.path.stem for notebook in notebooks() if notebook.paper == paper}
    done = {result.key: result for result in results.read("paper", paper)}
    rows = []
    for entry in published.contents(paper):
        key, title = entry["key"], entry["title"]
        name = f"[{key}](../../notebooks/{paper}/{stems[key]})" if key in stems else key
        rows.append([name, title, entry["source"], _state(key, entry, done)])
    return _markdown(["", "what it shows", "where", "state"], rows)


def _state(key: str, entry: dict, done: dict) -> str:
    if key in done and done[key].status != "ok":
        return f"failed: {done[key].status}"
    if key in done and len(done[key].comparison):
        counts = published.summary(done[key].comparison)
        return ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    if key in done:
        return "made"
    return "missing: not built yet" if entry.get("notebook") else entry.get("why", "")


def claims_page(paper: str) -> str:
    """A paper's claims as a Markdown table: the sentence, our verdict, the numbers, the paper's own numbers."""
    rows = [report.claim_row(verdict) for verdict in report.verdicts(paper, "paper")]
    return _markdown(list(rows[0]), [list(row.values()) for row in rows])


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    lines = [header, ["---"] * len(header), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def gather(folder: Path) -> None:
    """Lay the book's sources out in ``folder`` as in the repository, with executed notebooks."""
    root = _paths.root()
    shutil.rmtree(folder, ignore_errors=True)
    for relative in book_files():
        _copy(root / relative, folder / relative)
    for notebook in [*notebooks(), *reports()]:
        source = root / executed("paper", notebook)
        if source.is_file():
            _copy(source, folder / "notebooks" / f"{notebook.name}.ipynb")
    generated = folder / "book" / "generated"
    generated.mkdir(parents=True)
    for paper in published.PAPERS:
        (generated / f"{paper}-contents.md").write_text(contents_page(paper))
        (generated / f"{paper}-claims.md").write_text(claims_page(paper))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def build() -> int:
    """Build ``_build/html`` with Jupyter Book. Returns its exit code; warnings are errors."""
    print("> html book", flush=True)
    folder, root = _paths.build("site"), _paths.root()
    gather(folder)
    command = [sys.executable, "-m", "jupyter_book", "build", str(folder), "--path-output", str(root), "--all"]
    done = subprocess.run([*command, "-W", "-n", "--keep-going"], text=True, capture_output=True)
    print(done.stdout, done.stderr, sep="\n", flush=True)
    print("< html book" if done.returncode == 0 else "! html book: the build has warnings or errors", flush=True)
    return done.returncode
