"""What a stranger gets of a page: the result first, the numbers as files, words for what is seen, a way to cite."""

import base64
import hashlib
import io
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest
import yaml

from clustlib import _paths, in_words, published, report, results
from clustlib.errors import UsageError
from clustlib.published import VERDICTS
from clustlib.published.compare import COLUMNS
from clustlib.records import provenance
from clustlib.reproduce import citing, colab, exports, pages, site, tidy

ROOT = Path(__file__).resolve().parent.parent
nan = float("nan")
ROWS = [
    ("mnist", "K-means", "nmi", 0.5, 0.51, 0.003, 3, 0.01, "reproduced", "", 12.0, "cpu", ""),
    ("mnist", "A & B_c", "nmi", 0.6, 0.75, nan, 1, 0.15, "better", "", 7.0, "cpu", ""),
    ("usps", "K-means", "nmi", 0.4, nan, nan, 0, nan, "not run", "needs usps", nan, None, ""),
]


@pytest.fixture
def comparison():
    frame = pd.DataFrame(ROWS, columns=COLUMNS[:13]).assign(table="table-03")
    return frame.assign(network="", row=frame["method"], reading="as written", additions="", constant=False)


@pytest.fixture
def result(comparison):
    seeds = [("mnist", "K-means", "nmi", 0.5, seed) for seed in (2, 0, 1)]
    measured = pd.DataFrame(seeds, columns=["dataset", "method", "metric", "value", "seed"])
    return results.Result("jule", "table-03", comparison=comparison, measured=measured)


def cell(source, kind="markdown", tags=(), outputs=None):
    made = {"cell_type": kind, "metadata": {"tags": list(tags)}, "source": source}
    return made if outputs is None else {**made, "outputs": outputs}


# ---------------------------------------------------------------- the result under the title


def test_counts_in_words_leave_out_what_is_not_there(comparison):
    assert in_words.verdict_words(published.summary(comparison)) == (
        "Of 3 published scores: 1 reproduced, 1 better; 1 not run."
    )
    one = pd.Series({"below": 1, "stand-in": 1200})
    assert in_words.verdict_words(one) == "Of 1,201 published scores: 1 below; 1,200 on stand-ins."
    assert in_words.verdict_words(pd.Series(0, index=list(VERDICTS))) == ""


def test_the_strip_is_as_wide_as_the_counts_and_says_them(comparison):
    strip = in_words.verdict_strip(published.summary(comparison))
    assert 'aria-label="1 reproduced, 1 better, 1 not run"' in strip and strip.count("<span") == 3
    assert in_words.verdict_strip(pd.Series({"below": 0})) == ""


@pytest.mark.parametrize(
    "text, first",
    [
        ("One .868 is (Fig. 3) of two. Two follows. Three.", "One .868 is (Fig. 3) of two. Two follows. Three."),
        ("One by Yang et al. Eq. (7) too. " + "Long " * 50 + "end.", "One by Yang et al. Eq. (7) too."),
        ("First\nline goes on. *Second* one.\n\nAnother paragraph.", "First line goes on. *Second* one."),
        ("", ""),
    ],
)
def test_first_sentences(text, first):
    assert in_words.first_sentences(text) == first


def test_the_box_stands_under_the_title_with_the_finding_the_counts_and_the_numbers(result, tmp_path):
    content = {"cells": [cell("# Table 3\n\nWhat it is."), cell("## What we learnt\n\nIt holds. More " + "x " * 60)]}
    pages.page(content, "jule/table-03-x", result, [], tmp_path)
    title, box, about, _ = [pages.source_of(c) for c in content["cells"]]
    assert title == "# Table 3" and about == "What it is."
    assert "It holds." in box and "More x" not in box and "Of 3 published scores" in box
    assert "../../numbers/jule/table-03.csv" in box and "../../numbers/jule/table-03.tex" in box
    assert box.startswith(":::{admonition}") and box.rstrip().endswith(":::")


def test_the_finding_may_be_made_by_a_cell():
    made = cell("x", "code", outputs=[{"data": {"text/markdown": ["Half of ", "it holds. Rest."]}}])
    assert pages.finding({"cells": [cell("## What we learnt"), made]}) == "Half of it holds. Rest."
    assert pages.finding({"cells": [cell("# A"), cell("none")]}) == ""


def test_a_claim_counts_on_the_pages_of_its_tables():
    found = [published.evaluate(claim, {}, "jule") for claim in published.claims("jule")]
    own = [verdict for verdict in found if "table-03" in verdict.claim.tables]
    assert 0 < len(own) < len(found)
    box = in_words.result_box("jule", "table-03", pd.DataFrame(), found)
    assert f"Of {len(own)} claim" in box and "no cell of a published table" not in box


def test_claims_in_words():
    found = [published.evaluate(claim, {}, "jule") for claim in published.claims("jule")]
    asked = [verdict for verdict in found if verdict.claim.question]
    words = in_words.claim_words(found)
    assert words.startswith(f"Of {len(found) - len(asked)} claims: ") and in_words.claim_words([]) == ""
    assert words.endswith(f"{len(asked)} questions are ours and no claim of the paper.")
    assert in_words.claim_words(asked[:1]) == "1 question is ours and no claim of the paper."
    assert in_words.claim_words([v for v in found if v.verdict == "not run"][:1]) == "Its claim could not be tested."


# ---------------------------------------------------------------- cells


def test_parameters_are_shown_once_with_the_values_that_were_used():
    shown = cell('profile = "quick"  # the store\nseeds = [0]  # one run each\nk = 3', "code", ["parameters"])
    injected = cell('# Parameters\nprofile = "paper"\nseeds = [0, 1, 2]\n', "code", ["injected-parameters"])
    content = {"cells": [shown, injected]}
    pages.with_effective_parameters(content)
    assert [pages.source_of(c) for c in content["cells"]] == [
        'profile = "paper"  # the store\nseeds = [0, 1, 2]  # one run each\nk = 3'
    ]


def test_what_is_folded():
    kinds = {"parameters": "hide-cell", "regression": "hide-cell", "hide-cell": "hide-cell", "other": "hide-input"}
    content = {"cells": [cell("x", "code", [tag, "hide-input"]) for tag in kinds] + [cell("text")]}
    pages.fold(content)
    for made, folded in zip(content["cells"], kinds.values()):
        assert {"hide-cell", "hide-input"} & set(pages.tags_of(made)) == {folded}
    assert pages.tags_of(content["cells"][-1]) == []


def test_a_figure_has_its_words_and_its_vector_graphic(tmp_path):
    from matplotlib.figure import Figure

    png = io.BytesIO()
    Figure((2, 1)).savefig(png, dpi=50)
    data = {"image/png": base64.b64encode(png.getvalue()).decode(), "image/svg+xml": ["<svg/>"]}
    outputs = [{"data": data, "metadata": {"image/png": {"alt": 'a "b" <c>'}}}, {"data": dict(data), "metadata": {}}]
    content = {"cells": [cell("## The heading"), cell("x", "code", outputs=outputs)]}
    pages.with_figures(content, "jule/fig-01", tmp_path)
    first, second = (output["data"]["text/html"] for output in content["cells"][1]["outputs"])
    assert 'alt="a &quot;b&quot; &lt;c&gt;" width="100" height="50"' in first
    assert 'alt="Figure: The heading"' in second and "fig-01-2.png" in second
    assert (tmp_path / "figures/jule/fig-01-1.svg").read_text(encoding="utf-8") == "<svg/>"
    assert (tmp_path / "figures/jule/fig-01-2.png").read_bytes() == png.getvalue()


# ---------------------------------------------------------------- numbers


def test_every_cell_goes_into_the_file_with_its_seeds(result):
    frame = exports.cells([result], "paper")
    assert list(frame.columns) == exports.COLUMNS and len(frame) == len(ROWS)
    assert list(frame["seeds"]) == ["0 1 2", "", ""]
    assert published.summary(frame).equals(published.summary(result.comparison))  # the dashboard counts these
    again = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    assert list(again["verdict"]) == list(frame["verdict"])
    assert exports.csv(frame).startswith("paper,table,dataset,stand_in,network,method,metric,published,ours,")


def test_a_cell_on_a_stand_in_has_the_stand_ins_seeds(result):
    stood_in = result.comparison.assign(dataset="usps-11000", stand_in="mnist, EfficientNet-Lite0 for VGG-16")
    own = results.Result("jule", "table-03", comparison=stood_in, measured=result.measured)
    assert exports.cells([own], "paper")["seeds"].iloc[0] == "0 1 2"
    assert exports.measured_on("coil-20->coil-100", "") == "coil-20->coil-100"
    assert exports.measured_on("mnist", "EfficientNet-Lite0 for VGG-16") == "mnist"
    assert "usps-11000 (stand-in: mnist, EfficientNet-Lite0 for VGG-16)" in exports.latex(stood_in)


def test_commits_are_those_of_the_cells_records(result):
    from clustlib import records

    store = records.open_store("paper")
    keys = [key for key in store.all_keys() if key.startswith("K-means/mnist/")][:1]
    assert keys
    known = store.read(keys[0])
    own = results.Result("jule", "table-03", comparison=result.comparison, records=keys)
    assert exports.cells([own], "paper")["commit"].iloc[0] == known.provenance["commit"]
    assert exports.cells([own], "paper")["commit"].iloc[2] == ""  # not run


def test_each_reading_has_its_own_seeds_and_commits():
    from clustlib import records

    store, variants = records.open_store("paper"), {"as-written": "as written", "as-released": "as released"}
    stem = "OURS-RC/mnist-test/joint-clustering.precision-bfloat16.variant-"
    keys = [f"{stem}{name}.seed-{seed}" for name in variants for seed in (0, 1)[: 1 + (name == "as-written")]]
    made = {key: store.read(key) for key in keys}
    cell = {
        "dataset": "mnist-test",
        "method": "OURS-RC",
        "metric": "nmi",
        "seconds": 1.0,
        "device": "x",
        "reason": None,
    }
    rows = [
        {**cell, "value": r.metrics["nmi_geometric"], "seed": r.params["seed"], "variant": r.params["variant"]}
        for r in made.values()
    ]
    compared = published.compare(pd.DataFrame(rows), "jule", "table-03").assign(table="table-03")
    own = results.Result("jule", "table-03", comparison=compared, measured=pd.DataFrame(rows), records=keys)
    lines = exports.cells([own], "paper").query("n > 0").set_index("reading")
    assert lines["seeds"].to_dict() == {"as written": "0 1", "as released": "0"}
    for name, reading in variants.items():
        commits = {record.provenance["commit"] for key, record in made.items() if name in key}
        assert lines["commit"][reading] == " ".join(sorted(commits))


def test_the_index_has_one_sentence_a_paper(monkeypatch, comparison):
    cells = comparison.assign(paper_key="jule")
    monkeypatch.setattr(report, "all_cells", lambda found: cells)
    monkeypatch.setattr(report, "verdicts", lambda paper, profile: [])
    whole, short = (in_words.overview("paper").markdown("{paper}", counts=counts) for counts in (True, False))
    assert "published scores" in whole and "published scores" not in short
    assert all(published.PAPERS[paper] in short for paper in published.PAPERS)


def test_latex_holds_both_numbers_and_escapes_names(comparison):
    text = exports.latex(comparison)
    assert r"0.510 $\pm$ 0.003 (0.500)" in text and "-- (0.400)" in text
    assert r"A \& B\_c" in text and r"\toprule" in text


# ---------------------------------------------------------------- citing and publishing


def test_bibtex_of_the_book():
    entry = citing.bibtex(citing.citation())
    assert entry.startswith("@software{deep-image-clustering-reproduced,") and entry.endswith("\n}")
    assert "{{The authors of Deep Image Clustering, Reproduced}}" in entry and "year    = {2026}" in entry
    person = {"authors": [{"family-names": "Doe", "given-names": "A."}], "title": "T", "date-released": "2020-01-02"}
    assert "Doe, A." in citing.bibtex({**person, "version": 1, "doi": "10.1/x"})


def test_the_papers_are_cited_alike_everywhere():
    """Year, first author and pages in ``CITATION.cff`` are those of the bibliography."""
    bibliography = (ROOT / "book/references.bib").read_text(encoding="utf-8")
    titled = ((block, re.findall(r"title += \{(.+)\}", block)) for block in bibliography.split("\n@"))
    entries = {title.lower(): block for block, titles in titled for title in titles}
    for paper in citing.citation()["references"]:
        block = entries[paper["title"].lower()]
        assert f"{{{paper['year']}}}" in block and paper["authors"][0]["family-names"] in block
        assert f"pages     = {{{paper.get('start')}--{paper.get('end')}}}" in block.replace("pages   =", "pages     =")
    assert "WACV 2018" in published.PAPERS["fcn"]


def test_citation_zenodo_and_package_agree():
    cited, zenodo = citing.citation(), json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    import clustlib

    assert cited["version"] == zenodo["version"] == project["version"] == clustlib.__version__
    assert cited["title"] == zenodo["title"] and cited["license"] == zenodo["license"] == project["license"]
    assert [author["name"] for author in cited["authors"]] == [author["name"] for author in zenodo["creators"]]
    assert len(cited["references"]) == 4
    assert project["version"] in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_repository_is_linked_only_where_its_address_is_filled_in():
    text = (ROOT / "_config.yml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["repository"]["url"] == ""
    off = yaml.safe_load(site.with_repository(text))
    assert "repository" not in off and not any(name.endswith("_button") for name in off["html"])
    on = yaml.safe_load(site.with_repository(text.replace('url: ""', "url: https://github.com/a/b")))
    buttons = {name for name, value in on["html"].items() if name.endswith("_button") and value}
    assert buttons == {"use_repository_button", "use_edit_page_button", "use_issues_button"}


def test_notebooks_for_colab_install_first(book, tmp_path):
    (book / "notebooks/jule").mkdir()
    source = {"cells": [cell("# T"), cell("profile = 1", "code", ["parameters"], [])]}
    (book / "notebooks/jule/table-01.ipynb").write_text(json.dumps(source), encoding="utf-8")
    with pytest.raises(UsageError, match="repository"):
        colab.write(tmp_path / "out")
    assert colab.address("jule/table-01") == ""
    (book / "_config.yml").write_text("repository: {url: https://github.com/a/b}\n", encoding="utf-8")
    assert colab.write(tmp_path / "out") == 1
    cells = json.loads((tmp_path / "out/notebooks/jule/table-01.ipynb").read_text(encoding="utf-8"))["cells"]
    assert cells[0] == source["cells"][0] and cells[2] == source["cells"][1]
    assert "git clone" in cells[1]["source"] and "https://github.com/a/b" in cells[1]["source"]
    assert colab.address("jule/table-01").endswith("/github/a/b/blob/colab/notebooks/jule/table-01.ipynb")


def test_workflows_are_valid_and_run_what_is_there():
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
        assert all("uses" in step or "run" in step for step in steps)
    text = (ROOT / ".github/workflows/publish.yml").read_text(encoding="utf-8")
    for arguments in re.findall(r"-m clustlib\.reproduce (\w+)", text):
        assert subprocess.run([sys.executable, "-m", "clustlib.reproduce", arguments, "--help"]).returncode == 0


# ---------------------------------------------------------------- locks


def pins(name):
    return dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", (ROOT / "locks" / name).read_text(encoding="utf-8"), re.M))


@pytest.mark.parametrize("name", ["cpu.txt", "gpu.txt"])
def test_every_locked_version_has_a_hash_and_no_index_is_named(name):
    text = (ROOT / "locks" / name).read_text(encoding="utf-8")
    entries = [entry for entry in re.split(r"\n(?=\S)", text) if entry.strip() and not entry.startswith("#")]
    assert len(entries) > 100 and all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", text)


def test_the_locks_are_of_what_pyproject_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    for extra, other in (("cpu", "gpu"), ("gpu", "cpu")):
        locked = {canonicalize_name(package): version for package, version in pins(f"{extra}.txt").items()}
        extras = project["optional-dependencies"]
        for text in (*project["dependencies"], *extras[extra], *extras["book"], *extras["test"]):
            wanted = Requirement(text)
            assert wanted.specifier.contains(locked[canonicalize_name(wanted.name)], prereleases=True), wanted
        assert f"faiss-{other}" not in locked
    torch = re.search(r"^TORCH := (\S+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert pins("cpu.txt")["torch"] == f"{torch[1]}+cpu" and pins("gpu.txt")["torch"] == torch[1]


def test_a_record_names_the_lock_whose_versions_are_installed(book):
    provenance.lock.cache_clear()
    assert provenance.environment()["lock"] == ""
    (book / "locks").mkdir()
    text = f"numpy=={provenance.versions()['numpy']} \\\n    --hash=sha256:00\n"
    (book / "locks/cpu.txt").write_text(text, encoding="utf-8")
    provenance.lock.cache_clear()
    assert provenance.environment()["lock"] == hashlib.sha256(text.encode()).hexdigest()[:16]
    (book / "locks/cpu.txt").write_text(f"{text}torch==0.0.1\n", encoding="utf-8")
    provenance.lock.cache_clear()
    assert provenance.environment()["lock"] == ""
    provenance.lock.cache_clear()


# ---------------------------------------------------------------- what the theme leaves


def test_a_page_without_mathematics_loads_none_and_its_switches_have_names():
    head = (
        '<script src="../_static/mathjax/tex-chtml.js"></script><script src="a/fontawesome/6/js/all.min.js?x"></script>'
    )
    box = '<input type="checkbox"\n  class="sidebar-toggle"\n  id="pst-primary-sidebar-checkbox"/>'
    tree = '<a class="reference internal" href="x">JULE</a><details><summary><span></span></summary>'
    page = tidy.tidied(head + box + tree)
    assert "<script" not in page
    assert 'aria-label="primary sidebar"' in page and 'aria-label="pages of: JULE"' in page
    assert "mathjax" in tidy.tidied(head + '<div class="math notranslate">')
    assert tidy.tidied(page) == page


def test_the_download_is_the_source_notebook(book):
    html = book / "_build/html"
    for folder, text in (("notebooks/jule", "source"), ("_build/html/_sources/notebooks/jule", "executed")):
        (book / folder).mkdir(parents=True)
        (book / folder / "table-01.ipynb").write_text(text, encoding="utf-8")
    (html / "index.html").write_text('<meta http-equiv="Refresh" content="0; url=book/intro.html" />', encoding="utf-8")
    tidy.tidy(html)
    index = (html / "index.html").read_text(encoding="utf-8")
    assert "url=book/intro.html" in index and "<title>test</title>" in index and "favicon" in index
    assert (html / "_sources/notebooks/jule/table-01.ipynb").read_text(encoding="utf-8") == "source"
    assert _paths.build("html") == html


def test_a_claim_that_says_it_is_our_question_is_counted_as_one():
    claims = [claim for paper in published.PAPERS for claim in published.claims(paper)]
    assert all(("our question" in claim.claim) == claim.question for claim in claims)
    assert any(claim.question for claim in claims)


def test_a_card_whose_picture_was_not_drawn_has_none(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    page = tmp_path / "intro.md"
    page.write_text("Card\n:img-bottom: a.png\n:img-bottom: b.png\nEnd\n", encoding="utf-8")
    site.without_missing_pictures(page)
    assert page.read_text(encoding="utf-8") == "Card\n:img-bottom: a.png\nEnd\n"
