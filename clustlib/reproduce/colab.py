"""Notebooks for Google Colab: each as it is, with a first cell that fetches and installs the book there."""

import json
from pathlib import Path
from typing import Any

import yaml

from clustlib import _paths
from clustlib.errors import UsageError
from clustlib.reproduce.notebook import Notebook, all_notebooks

BRANCH = "colab"  # which the publishing workflow fills
# Colab has torch, and its own versions of most others: what is there is kept
_FIRST = """# On Colab this fetches and installs the book (a minute); elsewhere it does nothing
import os, sys

if "google.colab" in sys.modules and not os.path.isdir("/content/book"):
    !git clone --quiet --depth 1 --branch {branch} {url} /content/book
    %pip install --quiet -e "/content/book[cpu]"
    sys.path.insert(0, "/content/book")
if os.path.isdir("/content/book"):
    %cd -q /content/book/notebooks/{paper}"""


def repository() -> tuple[str, str]:
    """The repository's address and branch, as ``_config.yml`` has them; an empty address where it is not filled in."""
    settings = yaml.safe_load((_paths.root() / "_config.yml").read_text(encoding="utf-8")) or {}
    configured = settings.get("repository") or {}
    return str(configured.get("url") or "").rstrip("/"), str(configured.get("branch") or "main")


def address(notebook: str) -> str:
    """Where Colab opens a notebook ("jule/table-03-..."); empty without a repository on GitHub."""
    url, _ = repository()
    start = "https://github.com/"
    where = f"https://colab.research.google.com/github/{url.removeprefix(start)}/blob/{BRANCH}"
    return f"{where}/notebooks/{notebook}.ipynb" if url.startswith(start) else ""


def with_first_cell(notebook: Notebook, url: str, branch: str) -> dict:
    """The notebook as a dictionary, with the cell that installs after its title."""
    content = json.loads(notebook.path.read_text(encoding="utf-8"))
    source = _FIRST.format(url=url, branch=branch, paper=notebook.paper)
    cell: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "id": "colab",
        "metadata": {},
        "outputs": [],
        "source": source,
    }
    content["cells"].insert(1, cell)
    return content


def write(folder: Path) -> int:
    """Write every notebook under ``folder``/notebooks and return how many. Raises without a repository to fetch."""
    url, branch = repository()
    if not url:
        raise UsageError("Colab needs an address to fetch the book from: fill in repository: url in _config.yml")
    for notebook in all_notebooks():
        text = json.dumps(with_first_cell(notebook, url, branch), ensure_ascii=False, indent=1)
        _paths.write_atomically(folder / "notebooks" / f"{notebook.name}.ipynb", f"{text}\n".encode())
    return len(all_notebooks())
