"""How to cite: ``CITATION.cff`` as BibTeX, for the index."""

import re
from typing import Any

import yaml

from clustlib import _paths


def citation() -> dict[str, Any]:
    """What ``CITATION.cff`` says; empty where a book has none."""
    file = _paths.root() / "CITATION.cff"
    return yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}


def bibtex(found: dict[str, Any]) -> str:
    """A software citation as one BibTeX entry; fields that the file lacks are left out."""
    authors = " and ".join(_author(author) for author in found["authors"])
    fields = {
        "author": authors,
        "title": f"{{{found['title']}}}",
        "year": str(found["date-released"])[:4],
        "version": str(found["version"]),
        "doi": found.get("doi", ""),
        "url": found.get("url") or found.get("repository-code", ""),
    }
    key = re.sub(r"\W+", "-", str(found["title"]).lower()).strip("-")
    lines = [f"  {name:<8}= {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@software{{{key},", *lines, "}"])


def _author(author: dict[str, str]) -> str:
    if "name" in author:
        return f"{{{author['name']}}}"  # braces keep a group's name in one piece
    return f"{author['family-names']}, {author['given-names']}"


def page() -> str:
    """How to cite the book, as Markdown."""
    text = citation()
    return f"```bibtex\n{bibtex(text)}\n```\n" if text else ""
