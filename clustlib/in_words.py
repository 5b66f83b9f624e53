"""What a page or a paper came to: its counts by verdict in words and as a small bar, and a sentence to quote."""

import re
from collections import Counter
from collections.abc import Sequence
from html import escape

import pandas as pd

from clustlib import plots, published, report, results
from clustlib.published import VERDICTS, Verdict, summary
from clustlib.published.tables import AVERAGE

_NO_COUNTS = pd.Series(0, index=list(VERDICTS))
_JUDGED = published.SCORES[:-1]  # "no paper value" is no verdict on the paper
_DECIDED = ("reproduced", "better", "below")  # what could have come out otherwise


def verdict_strip(counts: pd.Series) -> str:
    """Counts by verdict (as :func:`clustlib.published.summary` gives) as a small bar of HTML; empty without cells."""
    shown = {str(name): int(count) for name, count in counts.items() if count and name in _JUDGED}
    parts = "".join(
        f'<span style="flex:{count} 0 0;background:{plots.LOOKS[name].colour}" title="{count} {name}"></span>'
        for name, count in shown.items()
    )
    said = ", ".join(f"{count} {name}" for name, count in shown.items())
    style = "display:flex;height:.7em;max-width:30em;gap:1px"
    return f'<div class="verdict-strip" role="img" aria-label="{said}" style="{style}">{parts}</div>' if shown else ""


def verdict_key() -> str:
    """What the colours of a strip mean, as HTML."""
    spot = "display:inline-block;width:.7em;height:.7em;margin-right:.3em"
    entries = (
        f'<span style="{spot};background:{look.colour}"></span>{name}'
        for name, look in plots.LOOKS.items()
        if name in _JUDGED
    )
    return f'<p class="verdict-key">{" &ensp; ".join(entries)}</p>'


def verdict_words(counts: pd.Series, again: pd.Series | None = None) -> str:
    """Counts by verdict as a sentence; empty where there is no cell. ``again`` are those of second readings.

    What could have come out otherwise stands first; stand-ins and cells without a measurement prove nothing.
    """
    counted = {name: int(counts.get(name, 0)) for name in VERDICTS}
    printed = sum(counted[name] for name in _JUDGED)
    said = _scores_in_words(counts)
    sentences = [f"Of {_plural(printed, 'published score', 'published scores')}: {said}." if printed else ""]
    if again is not None and again.sum():
        sentences.append(f"Run as released, too: {_scores_in_words(again)}.")
    if counted[published.OURS]:
        sentences.append(f"{_plural(counted[published.OURS], 'number is', 'numbers are')} of ours (\N{DAGGER}).")
    checked = sum(counted[name] for name in published.CONSTANTS)
    if checked:
        agree = counted[published.CONSTANTS[0]]
        sentences.append(f"Of {_plural(checked, 'constant', 'constants')}: {agree} as printed.")
    return " ".join(filter(None, sentences))


def _scores_in_words(counts: pd.Series) -> str:
    counted = {name: int(counts.get(name, 0)) for name in _JUDGED}
    own = [f"{counted[name]} {name}" for name in _DECIDED if counted[name]]
    rest = [
        _plural(counted[published.SEEN], "with labels seen", "with labels seen"),
        _plural(counted["stand-in"], "on a stand-in", "on stand-ins"),
        _plural(counted["not run"], "not run", "not run"),
    ]
    return "; ".join(filter(None, [", ".join(own), ", ".join(filter(None, rest))]))


def claim_words(found: Sequence[Verdict]) -> str:
    """How claims stand, as a sentence, and how many questions of ours stand beside them; empty where there is none."""
    claimed = [verdict for verdict in found if not verdict.claim.question]
    asked = _plural(len(found) - len(claimed), "question is", "questions are")
    return " ".join(filter(None, [_claim_words(claimed), f"{asked} ours and no claim of the paper." if asked else ""]))


def _claim_words(found: Sequence[Verdict]) -> str:
    """How a paper's claims stand, as a sentence; empty where there is none."""
    if len(found) == 1:
        return {
            "holds": "Its claim holds.",
            "partly": "Its claim holds in part.",
            "fails": "Its claim fails.",
            "not run": "Its claim could not be tested.",
        }[found[0].verdict]
    counts = Counter(verdict.verdict for verdict in found)
    names = {"holds": ("holds", "hold"), "partly": ("holds in part", "hold in part"), "fails": ("fails", "fail")}
    weak = Counter(verdict.verdict for verdict in found if verdict.weak)
    said = [
        _plural(counts[name], *words) + (f" ({weak[name]} by one run or what may be chance)" if weak[name] else "")
        for name, words in names.items()
        if counts[name]
    ]
    said += [f"{counts['not run']} not run"] if counts["not run"] else []
    return f"Of {_plural(len(found), 'claim', 'claims')}: {', '.join(said)}." if found else ""


def _plural(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}" if count else ""


# a full stop ends a sentence where a capital, a quotation or markup follows, unless it belongs to an abbreviation
_SENTENCE = re.compile(r"(?<!\bFig\.)(?<!\bEq\.)(?<!\bal\.)(?<!\bvs\.)(?<!\bcf\.)(?<=[.!?])\s+(?=[A-Z*`\[\"“(])")


def first_sentences(text: str, words: int = 45) -> str:
    """The first sentence of a text, and those after it for which ``words`` leave room."""
    sentences = _SENTENCE.split(" ".join(text.split("\n\n")[0].split()))
    while len(sentences) > 1 and len(" ".join(sentences).split()) > words:
        sentences.pop()
    return " ".join(sentences)


def result_box(paper: str, key: str, comparison: pd.DataFrame, found: Sequence[Verdict] = (), finding: str = "") -> str:
    """What a notebook found, as Markdown to stand under its title.

    Parameters
    ----------
    paper, key : the notebook's, as in its result
    comparison : its cells, as :func:`clustlib.published.compare` gives; may be empty
    found : the verdicts on the paper's claims; those that rest on ``key`` count
    finding : a sentence or two in Markdown, before the counts
    """
    counts, again = (summary(comparison, again) if len(comparison) else _NO_COUNTS for again in (False, True))
    claims_here = [verdict for verdict in found if key in verdict.claim.tables]
    words = " ".join(filter(None, [verdict_words(counts, again), claim_words(claims_here)]))
    body = [finding, f"{verdict_strip(counts)}\n\n{words}".strip()]
    shown = "\n\n".join(filter(None, body)) or "This page has a result that no cell of a published table holds."
    return f":::{{admonition}} Result\n:class: result-box result-{paper}\n\n{shown}\n:::\n"


def quotable(paper: str, cells: pd.DataFrame) -> str:
    """A sentence on the paper's own method, by reading, to stand behind its name; ``cells`` are all of the paper's."""
    theirs = cells["row"].isin(published.own_rows(paper)) & cells["paper"].notna() & (cells["dataset"] != AVERAGE)
    own = report.scores(cells[theirs])
    counts = summary(own)
    start = f"Of the {sum(counts[list(_JUDGED)])} scores of its own method"
    beside = [
        f"{counts[published.SEEN]} with labels seen" if counts[published.SEEN] else "",
        f"{counts['stand-in']} on stand-ins" if counts["stand-in"] else "",
        f"{counts[published.OURS]} with additions of ours" if counts[published.OURS] else "",
    ]
    rest = " and ".join(filter(None, beside))
    more = f"; {rest} prove nothing of it" if rest else ""
    told = []
    for reading in (published.WRITTEN, published.RELEASED):
        by_verdict = own.loc[own["reading"] == reading, "verdict"].value_counts()
        decided = [f"{by_verdict.get(verdict, 0)} {verdict}" for verdict in _DECIDED]
        n = sum(int(by_verdict.get(verdict, 0)) for verdict in _DECIDED)
        told += [f"{n} were run {reading}: {', '.join(decided)}"] if n else []
    if told:
        return f"{start} {'; '.join(told)}{more}."
    return f"{start} none has been run as written or released, on the paper's data and network{more}."


def paper_line(paper: str, profile: str) -> tuple[pd.Series, str, str]:
    """A paper's cells by verdict, the sentence on it to quote, and the counts of all its cells and claims in words."""
    cells = report.all_cells(results.read(profile, paper))
    counts = summary(cells)
    if not len(cells):
        return counts, "Nothing has been run yet.", ""
    words = filter(
        None, [verdict_words(counts, summary(cells, again=True)), claim_words(report.verdicts(paper, profile))]
    )
    return counts, quotable(paper, cells), " ".join(words)


class Overview:
    """Every paper in one line with a small bar of its verdicts; shows itself in Jupyter and as Markdown."""

    def __init__(self, profile: str) -> None:
        self.lines = {paper: paper_line(paper, profile) for paper in published.PAPERS}

    def _repr_html_(self) -> str:
        parts = self._parts()
        rows = [
            f"<p><b>{escape(published.PAPERS[p])}.</b> {line} {words}</p>{strip}" for p, line, words, strip in parts
        ]
        return "\n".join(rows)

    def markdown(self, link: str, counts: bool = True) -> str:
        """The same as Markdown; ``link`` is a page's address with ``{paper}`` in it; ``counts`` tells them, too."""
        said = [
            (f"**[{published.PAPERS[p]}]({link.format(paper=p)}).** {line} {words if counts else ''}".rstrip(), strip)
            for p, line, words, strip in self._parts()
        ]
        return "\n\n".join(f"{words}\n\n{strip}" for words, strip in said)

    def _parts(self) -> list[tuple[str, str, str, str]]:
        """Paper, sentence, counts in words, a bar of all rows."""
        strips = {paper: verdict_strip(counts) for paper, (counts, _, _) in self.lines.items()}
        said = {
            paper: f"<small>All rows of its tables:</small>{strip}" if strip else "" for paper, strip in strips.items()
        }
        return [(paper, line, words, said[paper]) for paper, (_, line, words) in self.lines.items()]


def overview(profile: str) -> Overview:
    """The papers in four lines: for the index and the dashboard."""
    return Overview(profile)
