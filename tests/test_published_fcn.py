"""The transcription of GSNMF-FCN's tables, its claims and its page; with checks that the other papers' tests share."""

import importlib
import importlib.util
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

BOOK = Path(__file__).parents[1] / "book"
COMPARISON = re.compile(r"(.+?)\s*(>=|<=|>|<)\s*(.+)")
CLUSTERED = {"accuracy_kmeans", "nmi_kmeans", "accuracy_sc", "nmi_sc"}
DIMENSIONS = {f"accuracy_L{dimension}" for dimension in (256, 512, 1024, 2048)}
METHODS = ["CNN", "PCA-CNN", "LLE-CNN", "AE-CNN", "NNAE-CNN", "EP-CNN", "NMF-FCN", "GSNMF-FCN-OTS", "GSNMF-FCN-FT"]


def cells(paper: str, name: str) -> pd.DataFrame:
    """A published table as it lies in the book."""
    return pd.read_csv(BOOK / "published" / paper / f"{name}.csv", keep_default_na=False, na_values={"value": [""]})


def listed(paper: str) -> list[dict]:
    """What goes with each table, figure and page of a paper, in reading order, as it lies in the book."""
    files = [path for path in (BOOK / "published" / paper).glob("*.yml") if path.stem != "readings"]
    entries = [{"key": path.stem, **yaml.safe_load(path.read_text(encoding="utf-8"))} for path in files]
    return sorted(entries, key=lambda entry: entry["order"])


def claimed(paper: str) -> list[dict]:
    """The claims of a paper, each with the tables that it rests on."""
    return [{"tables": [entry["key"]], **claim} for entry in listed(paper) for claim in entry.get("claims", ())]


def value(paper: str, name: str, dataset: str, method: str, metric: str) -> float:
    frame = cells(paper, name).set_index(["dataset", "method", "metric"])
    return float(frame.loc[(dataset, method, metric), "value"])


def check_tidy(frame: pd.DataFrame) -> None:
    assert list(frame.columns) == ["dataset", "method", "metric", "value", "note"]
    assert not frame.duplicated(["dataset", "method", "metric"]).any()
    assert (frame[["dataset", "method", "metric"]] != "").all(axis=None)
    empty = frame[frame["value"].isna()]
    assert (empty["note"] != "").all(), "an empty cell says why it is empty"


def check_contents(paper: str) -> None:
    """Every table of the paper is listed once, and every entry is a notebook or says why it is none."""
    entries = listed(paper)
    keys = [entry["key"] for entry in entries]
    assert len({entry["order"] for entry in entries}) == len(keys)
    assert {path.stem for path in (BOOK / "published" / paper).glob("*.csv")} <= set(keys)
    for entry in entries:
        assert entry["kind"] in ("table", "figure", "page")
        assert entry["title"] and entry["source"]
        if entry["notebook"] is None:
            assert entry["why"], entry["key"]
        else:
            assert entry["notebook"] == entry["key"] or entry["notebook"].startswith(f"{entry['key']}-")
    notebooks = [entry["notebook"] for entry in entries if entry["notebook"]]
    assert len(notebooks) == len(set(notebooks))


def wide(claim: dict) -> tuple[pd.DataFrame, list[str]]:
    """The cells that a claim is tested on, one column a method (or metric), and the columns themselves."""
    frame = pd.concat([cells(claim["paper"], name) for name in claim["tables"]]).dropna(subset=["value"])
    for column, key in (("metric", "metric"), ("dataset", "datasets"), ("method", "methods")):
        wanted = claim.get(key, [])
        wanted = [wanted] if isinstance(wanted, str) else wanted
        assert set(wanted) <= set(frame[column]) or "in_paper" not in claim, f"{claim['id']}: no such {column}"
        frame = frame[frame[column].isin(wanted)] if wanted else frame
    columns = claim.get("columns")
    if columns == "both":
        result = frame.assign(column=frame["method"] + " " + frame["metric"]).pivot(
            index="dataset", columns="column", values="value"
        )
        return result, list(result.columns)
    across, down = ("metric", "method") if columns == "metric" else ("method", "metric")
    result = frame.pivot(index=["dataset", down], columns=across, values="value")
    return result, list(result.columns)


def outcome(claim: dict) -> str:
    """The verdict of a claim on the paper's own cells, computed without the library."""
    frame, columns = wide(claim)
    others = [column for column in columns if column not in claim.get("subject", [])]
    frame = frame.assign(best_other=frame[others].max(axis=1), worst_other=frame[others].min(axis=1))
    holds: list[bool] = []
    for method in claim.get("each", [""]):
        left, op, right = COMPARISON.fullmatch(claim["holds_if"].replace("{m}", method)).groups()
        # a side may be a plain number: one column of it
        sides = pd.DataFrame({"left": frame.eval(left), "right": frame.eval(right)}, index=frame.index).dropna()
        holds += sides.eval(f"left {op} right").tolist()
    assert holds, f"{claim['id']} finds no cells"
    return "holds" if all(holds) else "partly" if any(holds) else "fails"


def check_claims(paper: str) -> None:
    """Every claim names known tables, evaluates on the paper's cells, and holds there as far as it says."""
    claims = claimed(paper)
    assert len({claim["id"] for claim in claims}) == len(claims)
    keys = {entry["key"] for entry in listed(paper)}
    printed = {path.stem for path in (BOOK / "published" / paper).glob("*.csv")}
    for claim in claims:
        assert set(claim["tables"]) <= keys, claim["id"]
        assert COMPARISON.fullmatch(claim["holds_if"]), claim["id"]
        if not set(claim["tables"]) <= printed:
            assert "in_paper" not in claim, f"{claim['id']} rests on a figure: the paper prints no numbers for it"
        elif "in_paper" in claim:
            assert outcome({**claim, "paper": paper}) == claim["in_paper"], claim["id"]
        else:
            _, columns = wide({**claim, "paper": paper})
            named = set(re.findall(r"`([^`]+)`", claim["holds_if"]))
            assert not named <= {*columns}, f"{claim['id']} can be tested on the paper's cells"


def exists(name: str) -> bool:
    """Whether a dotted name below clustlib can be imported."""
    module, _, attribute = name.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), attribute) or importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def check_page(paper: str) -> None:
    """The page cites what the bibliography has, includes what is generated, and says truly what is to come."""
    page = (BOOK / paper / "index.md").read_text(encoding="utf-8")
    for generated in ("claims", "additions", "contents"):
        assert f"```{{include}} ../generated/{paper}-{generated}.md\n```" in page
    entries = re.findall(r"^@\w+\{(\w+),", (BOOK / "references.bib").read_text(encoding="utf-8"), re.M)
    cited = {key for keys in re.findall(r"\{cite\}`([^`]+)`", page) for key in keys.split(",")}
    assert cited and cited <= set(entries)
    for name, to_come in re.findall(r"`(clustlib(?:\.\w+)+)`( \(to come\))?", page):
        state = "exists" if to_come else "does not exist"
        assert exists(name) != bool(to_come), f"book/{paper}/index.md: {name} {state}"


def check_equations(paper: str, numbers: list[str]) -> None:
    """The page has each numbered equation of the paper once."""
    page = (BOOK / paper / "index.md").read_text(encoding="utf-8")
    tags = re.findall(r"\\tag\{([^}]+)\}", page)
    assert sorted(tags) == sorted(numbers)


@pytest.mark.parametrize(
    ("name", "rows", "datasets", "methods", "metrics"),
    [
        ("table-01", 72, ["mnist", "coil-20"], METHODS, CLUSTERED),
        ("table-02", 108, ["mit-67", "cub-200", "flowers-102"], METHODS, CLUSTERED),
        ("table-03", 12, ["mit-67"], ["PCA-CNN", "AE-CNN", "GSNMF-FCN"], DIMENSIONS),
        ("table-04", 4, ["mnist", "cub-200"], ["mixed l2,1", "joint l1 and l2"], {"accuracy"}),
        ("table-05", 6, ["mit-67", "cub-200", "flowers-102"], ["CNN", "GSNMF-FCN"], {"accuracy"}),
    ],
)
def test_shape(name: str, rows: int, datasets: list[str], methods: list[str], metrics: set[str]) -> None:
    frame = cells("fcn", name)
    check_tidy(frame)
    assert len(frame) == rows == len(datasets) * len(methods) * len(metrics)
    assert list(frame["dataset"].unique()) == datasets
    assert list(frame["method"].unique()) == methods
    assert set(frame["metric"]) == metrics
    assert frame["value"].between(0.1, 0.95).all()


@pytest.mark.parametrize(
    ("name", "dataset", "system", "points"),
    [
        ("table-01", "mnist", "GSNMF-FCN-FT", 16.6),
        ("table-01", "coil-20", "GSNMF-FCN-OTS", 10.3),
        ("table-02", "mit-67", "GSNMF-FCN-FT", 3.2),
        ("table-02", "cub-200", "GSNMF-FCN-FT", 2.6),
        ("table-02", "flowers-102", "GSNMF-FCN-OTS", 5.3),
    ],
)
def test_gains_that_section_5_quotes(name: str, dataset: str, system: str, points: float) -> None:
    ours, cnn = (value("fcn", name, dataset, method, "accuracy_kmeans") for method in (system, "CNN"))
    assert (ours - cnn) * 100 == pytest.approx(points, abs=1e-9)


def test_table_3_repeats_table_2() -> None:
    for method, origin in (("PCA-CNN", "PCA-CNN"), ("AE-CNN", "AE-CNN"), ("GSNMF-FCN", "GSNMF-FCN-FT")):
        printed = value("fcn", "table-03", "mit-67", method, "accuracy_L1024")
        assert printed == value("fcn", "table-02", "mit-67", origin, "accuracy_kmeans")


def test_table_4_repeats_spectral_clustering() -> None:
    for dataset, origin in (("mnist", "table-01"), ("cub-200", "table-02")):
        printed = value("fcn", "table-04", dataset, "joint l1 and l2", "accuracy")
        assert printed == value("fcn", origin, dataset, "GSNMF-FCN-OTS", "accuracy_sc")


def test_contradictions_are_noted_where_they_are() -> None:
    frame = cells("fcn", "table-02")
    table = frame.pivot(index=["dataset", "metric"], columns="method", values="value")
    noted = frame[frame["note"].str.contains("above CNN")].set_index(["dataset", "metric"]).index
    assert set(noted) == set(table.index[table["EP-CNN"] > table["CNN"]])
    flowers = table.loc[("flowers-102", "accuracy_sc")]
    assert flowers.idxmax() == "NNAE-CNN"
    assert (
        "best on every benchmark"
        in frame.set_index(["dataset", "method", "metric"]).loc[("flowers-102", "NNAE-CNN", "accuracy_sc"), "note"]
    )
    gains = table.xs("cub-200")["GSNMF-FCN-FT"] - table.xs("cub-200")["GSNMF-FCN-OTS"]
    assert np.allclose(gains[["accuracy_kmeans", "accuracy_sc"]] * 100, [0.7, 1.2])


def test_contents() -> None:
    check_contents("fcn")


def test_claims() -> None:
    check_claims("fcn")


def test_page() -> None:
    check_page("fcn")
    check_equations("fcn", [str(n) for n in range(1, 9)])


@pytest.mark.parametrize("name", ["searches", "encoding", "networks"])
def test_a_page_hands_on_every_metric_that_its_claims_are_tested_on(name: str) -> None:
    text = (BOOK.parent / f"notebooks/fcn/{name}.ipynb").read_text(encoding="utf-8")
    asked = [claim.get("metric", []) for claim in claimed("fcn") if name in claim["tables"]]
    metrics = [name for some in asked for name in ([some] if isinstance(some, str) else some)]
    only_nmi = 'startswith(\\"nmi\\")' in text and "optional=" not in text
    assert not only_nmi or all(metric.startswith("nmi") for metric in metrics)
