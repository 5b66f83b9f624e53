"""What the Snakefile asks: which notebooks there are, what each depends on, what must run again."""

import json
from pathlib import Path

import clustlib
from clustlib import _paths, records, results
from clustlib.records.store import is_held
from clustlib.reproduce.notebook import Notebook, all_notebooks, profile_parameters

REPORT = "report"  # notebooks/report reads what the others measured


def notebooks() -> list[Notebook]:
    """Every notebook that shows a table or a figure."""
    return [notebook for notebook in all_notebooks() if notebook.paper != REPORT]


def reports() -> list[Notebook]:
    """The notebooks that summarise the others."""
    return [notebook for notebook in all_notebooks() if notebook.paper == REPORT]


def executed(profile: str, notebook: Notebook) -> str:
    """The executed copy, relative to the root."""
    return f"_build/{profile}/notebooks/{notebook.name}.ipynb"


def result(profile: str, notebook: Notebook) -> str:
    """The result file, relative to the root."""
    return results.path(profile, notebook.paper, notebook.key).relative_to(_paths.root()).as_posix()


def unfinished(page: Path) -> Path:
    """Where a page is written before it is whole."""
    return page.with_name(f".{page.stem}.unfinished{page.suffix}")


def page_lock(page: Path) -> Path:
    """The lock file of a page under ``_build``: one run of it at a time."""
    return _paths.build("locks") / "pages" / ".".join(page.relative_to(_paths.build()).parts)


def dependencies(notebook: Notebook) -> list[str]:
    """The files whose change makes a notebook run again, relative to the root where they are inside it."""
    return [_relative(path) for path in [notebook.path, *notebook.files()]]


def _relative(path: Path) -> str:
    root = _paths.root()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def parameters(notebook: Notebook, profile: str) -> str:
    """The profile's parameters as text: when it changes, the notebook runs again."""
    return json.dumps(profile_parameters(notebook, profile), sort_keys=True)


def book_files() -> list[str]:
    """What the HTML is made of besides the executed notebooks."""
    root = _paths.root()
    pages = [*root.glob("_config.yml"), *root.glob("_toc.yml"), *root.glob("book/**/*.md"), *root.glob("book/**/*.bib")]
    shown = [f for folder in ("published", "benchmarks", "_static") for f in root.glob(f"book/{folder}/**/*")]
    return sorted(_relative(path) for path in [*pages, *shown] if path.is_file())


def page_sources() -> list[str]:
    """What the pages are made by and of, besides the notebooks' results: the records, and the code, which they show."""
    package = Path(clustlib.__file__).parent
    code = [*package.glob("**/*.py"), *package.glob("**/*.yml")]
    return sorted(_relative(path) for path in [*code, *_paths.book("records").glob("**/*.json")])


def forget_outdated(computing: bool) -> None:
    """Remove the results that must be made again for reasons no file's date shows, and what has no notebook any more.

    Made again are results of notebooks that failed or did not come to an end; results whose records have changed since
    (a new one came in, one was computed again or deleted); and, where the paper profile's records are to be
    computed, results that still miss some.
    """
    for profile in ("quick", "paper"):
        known = {result(profile, notebook) for notebook in all_notebooks()}
        for file in (_paths.build(profile) / "results").glob("*/*.json"):
            if _relative(file) not in known or not _stands(file, profile, computing and profile == "paper"):
                file.unlink()
        for outcome in (_paths.build(profile) / "results").glob("*/*.outcome"):
            if _relative(outcome.with_suffix(".json")) not in known:
                outcome.unlink()
        _forget_pages(profile)


def _forget_pages(profile: str) -> None:
    """Remove the pages of notebooks that are gone, and what killed runs left of theirs."""
    known = {executed(profile, notebook) for notebook in all_notebooks()}
    folder = _paths.build(profile) / "notebooks"
    at_work = {unfinished(page) for page in folder.glob("*/*.ipynb") if is_held(page_lock(page))}
    for page in folder.glob("*/*.ipynb"):
        if _relative(page) not in known and page not in at_work:
            page.unlink()


def _stands(file: Path, profile: str, complete: bool) -> bool:
    """Whether a result may be kept."""
    try:
        found = results.load(file)
    except results.ResultDamaged:
        return False
    if found.status != results.OK or found.records_digest != records.digest(profile, found.records):
        return False
    store = records.open_store(profile)
    return not complete or all(store.path(key).is_file() for key in found.records)
