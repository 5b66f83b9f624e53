"""What the tables and figures say, not their pixels."""

import re
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import colors, pyplot
from matplotlib.figure import Figure

from clustlib import plots
from clustlib.errors import UsageError
from clustlib.plots.looks import LOOKS
from clustlib.published.compare import COLUMNS, SCORES, VERDICTS
from clustlib.records.runs import CELL_COLUMNS, constant_cells

nan = float("nan")

ROWS = [
    # dataset, method, metric, paper, ours, std, n, difference, verdict, reason, seconds, device, stand_in
    ("mnist", "K-means", "nmi", 0.500, 0.512, 0.0031, 3, 0.012, "reproduced", "", 12.3, "cpu", ""),
    ("mnist", "A<B>&|C", "nmi", 0.600, 0.750, nan, 1, 0.150, "better", "", 7300.0, "cuda", ""),
    ("mnist", "OURS", "nmi", 0.906, nan, nan, 0, nan, "not run", 'needs <ImageNet> & "more"', nan, None, ""),
    ("usps-11000", "K-means", "nmi", 0.447, 0.400, 0.01, 3, -0.047, "below", "", 0.25, "cpu", ""),
    ("usps-11000", "A<B>&|C", "nmi", 0.700, 0.690, 0.02, 3, -0.010, "stand-in", "", 130.0, "cpu", "usps"),
    ("digits", "K-means", "nmi", nan, 0.742, 0.004, 3, nan, "no paper value", "", 0.5, "cpu", ""),
    ("mnist", "K-means", "accuracy", 0.535, 0.541, 0.0, 3, 0.006, "reproduced", "", 12.3, "cpu", ""),
]


@pytest.fixture
def comparison():
    frame = pd.DataFrame(ROWS, columns=COLUMNS[:13])
    return frame.assign(network="", row=frame["method"], reading="as written", additions="", seen=False, constant=False)


def parsed(table):
    """The table's HTML as a tree: fails on an unbalanced tag or an unescaped character."""
    return ElementTree.fromstring(table._repr_html_().replace("<br>", "<br/>"))


def words(element):
    return re.sub(r"\s+", " ", " ".join(element.itertext())).strip()


def rows_of(tree):
    """Method -> the texts of its cells, left to right."""
    return {words(row[0]): [words(cell) for cell in row[1:]] for row in tree.iterfind(".//tbody/tr")}


# ---------------------------------------------------------------- comparison table


def test_every_cell_shows_paper_ours_difference_and_verdict(comparison):
    tree = parsed(plots.comparison_table(comparison, "nmi"))
    assert [words(head) for head in tree.iterfind(".//thead/tr/th")] == [
        "method",
        "mnist",
        "usps-11000 ≈ stand-in: usps",
        "digits",
    ]
    assert rows_of(tree) == {
        "K-means": [
            "= reproduced: 0.512 ± 0.003 paper 0.500, +0.012 3 × 12 s",
            "▼ below: 0.400 ± 0.010 paper 0.447, −0.047 3 × 0.25 s",
            "· no paper value: 0.742 ± 0.004 not in the paper 3 × 0.5 s",
        ],
        "A<B>&|C": [
            "▲ better: 0.750 paper 0.600, +0.150 1 × 2 h 1",
            "≈ stand-in: 0.690 ± 0.020 paper 0.700, −0.010 3 × 2.2 min",
            "",
        ],
        "OURS": ['– not run paper 0.906 needs <ImageNet> & "more"', "", ""],
    }
    assert "not run: 1" in words(tree) and "reproduced: 1" in words(tree)
    assert [words(note) for note in tree.iterfind(".//ol/li")] == ["cuda"]
    assert "Run on cpu where no note says otherwise." in words(tree)


def test_what_is_counted_has_no_cost_and_no_device(comparison):
    cells = constant_cells([("mnist", "conv1", "filters", 32.0), ("usps", "conv1", "filters", 16.0)])
    assert list(cells.columns) == CELL_COLUMNS and cells["seconds"].isna().all() and cells["device"].isna().all()
    counted = comparison.iloc[[0]].assign(std=nan, n=1, seconds=nan, device=None)
    tree = parsed(plots.comparison_table(counted, "nmi"))
    assert rows_of(tree) == {"K-means": ["= reproduced: 0.512 paper 0.500, +0.012"]}
    assert "×" not in words(tree) and "Run on" not in words(tree)
    assert "then runs × time of one run" in words(parsed(plots.comparison_table(comparison, "nmi")))


def test_reasons_said_twice_are_footnotes(comparison):
    unrun = comparison.iloc[[2]].assign(method="other")
    tree = parsed(plots.comparison_table(pd.concat([comparison.assign(device="cpu"), unrun]), "nmi"))
    assert "Run on cpu where" in words(tree)
    assert [words(note) for note in tree.iterfind(".//ol/li")] == ['needs <ImageNet> & "more"']
    assert rows_of(tree)["other"] == rows_of(tree)["OURS"] == ["– not run paper 0.906 note 1", "", ""]


def test_data_sets_without_a_measurement_are_one_line_with_what_the_paper_prints(comparison):
    missing = comparison.iloc[[2, 2]].assign(dataset=["frgc", "ytf"], paper=[0.5, 0.25], reason="needs it")
    tree = parsed(plots.comparison_table(pd.concat([comparison, missing]), "nmi"))
    main, hidden = tree.iterfind(".//table")
    assert "frgc" not in words(main) and "mnist" in words(main)
    assert words(tree.find(".//summary")).startswith("No measurement of ours for frgc, ytf : needs it.")
    assert "0.500 0.250" in words(hidden) and "mnist" not in words(hidden)
    none = plots.comparison_table(missing, "nmi")
    assert len(list(parsed(none).iterfind(".//table"))) == 1  # a table of nothing but reasons stays as it is


def test_only_the_metric_asked_for(comparison):
    tree = parsed(plots.comparison_table(comparison, "accuracy"))
    assert rows_of(tree) == {"K-means": ["= reproduced: 0.541 ± 0.000 paper 0.535, +0.006 3 × 12 s"]}


def test_a_cell_says_its_verdict_without_colour(comparison):
    """With the style sheet removed the verdicts still read differently, also to a screen reader."""
    one = comparison.iloc[[3]].assign(dataset="coil-20", verdict="labels seen", seen=True)
    tree = parsed(plots.comparison_table(pd.concat([comparison, one]), "nmi"))
    cells = [cell for cell in tree.iterfind(".//td") if words(cell)]
    seen = {cell.get("class"): (words(cell)[0], words(cell)) for cell in cells}
    assert len(seen) == len(SCORES) == len({symbol for symbol, _ in seen.values()})
    for css_class, (symbol, text) in seen.items():
        verdict = css_class.removeprefix("cell-").replace("-", " ").replace("stand in", "stand-in")
        assert symbol == LOOKS[verdict].symbol and verdict in text
    assert all(cell.get("title") for cell in cells)


def test_ours_stands_beneath_its_row_and_the_table_names_what_it_adds(comparison):
    ours = comparison.iloc[[2]].assign(
        method="OURS †", ours=0.9, n=3, verdict="ours", reason="", reading="ours", additions="smoothed, whitened"
    )
    shown = plots.comparison_table(pd.concat([comparison, ours]).iloc[[2, 0, 7]], "nmi")
    tree = parsed(shown)
    assert list(rows_of(tree)) == ["OURS", "OURS †", "K-means"]
    assert rows_of(tree)["OURS †"][0].startswith("† ours: 0.900")
    for text in (words(tree), shown._repr_markdown_(), str(shown)):
        assert "OURS †: ours, with smoothed, whitened; no verdict" in text


def test_the_looks_are_those_of_the_verdicts():
    assert tuple(LOOKS) == VERDICTS
    for part in ("symbol", "colour"):
        assert len({getattr(look, part) for look in LOOKS.values()}) == len(LOOKS)


def test_headers_are_headers(comparison):
    tree = parsed(plots.comparison_table(comparison, "nmi"))
    assert {head.get("scope") for head in tree.iterfind(".//thead/tr/th")} == {"col"}
    assert {row[0].get("scope") for row in tree.iterfind(".//tbody/tr")} == {"row"}
    assert tree.find(".//div").get("tabindex") == "0"  # scrolls by keyboard


def test_html_needs_no_script_and_no_network_and_styles_only_itself(comparison):
    html = plots.comparison_table(comparison, "nmi")._repr_html_()
    assert not re.search(r"<script|https?:|url\(|@import|javascript|\bid=|on\w+=", html)
    rules = re.search(r"<style>(.*?)</style>", html, re.DOTALL).group(1)
    selectors = [one.strip() for group in re.findall(r"([^{}]+)\{", rules) for one in group.split(",")]
    assert len(selectors) > 10 and all(one.startswith(".clustlib-comparison") for one in selectors)
    assert html == plots.comparison_table(comparison, "nmi")._repr_html_()


@pytest.mark.parametrize(
    "field, where", [("dataset", "head"), ("method", "row"), ("reason", "cell"), ("device", "cell")]
)
def test_markup_in_the_data_is_text(comparison, field, where):
    evil = '<img src=x onerror="alert(1)">&amp;'
    frame = comparison.assign(**{field: evil}).iloc[[2 if field == "reason" else 0]]
    tree = parsed(plots.comparison_table(frame, "nmi"))
    assert evil in words(tree)
    assert tree.find(".//img") is None


def test_none_and_nan_are_empty(comparison, tmp_path):
    """A comparison that went through JSON has None and NaN where it had text."""
    back = pd.DataFrame.from_records(comparison.astype(object).where(comparison.notna(), None).to_dict("records"))
    tables = [plots.comparison_table(frame.assign(stand_in=None), "nmi") for frame in (comparison, back)]
    assert tables[0]._repr_html_() == tables[1]._repr_html_()
    assert not re.search(r"nan|None|NA\b", "".join(re.findall(r">([^<>]*)<", tables[1]._repr_html_())))


def test_numbers_near_zero_and_counts(comparison):
    frame = comparison.iloc[[0]].assign(paper=1762.0, ours=1759.0, std=nan, difference=-0.00001)
    assert "1,759 paper 1,762, +0.000" in str(rows_of(parsed(plots.comparison_table(frame, "nmi"))))


def test_markdown_is_one_table(comparison):
    lines = plots.comparison_table(comparison, "nmi")._repr_markdown_().splitlines()
    columns = [len(re.findall(r"(?<!\\)\|", line)) for line in lines if line.startswith("|")]
    assert columns == [5] * 5  # header, rule and three methods; the bar in a name is escaped
    assert lines[2].startswith("| K-means | = 0.512 ± 0.003 (paper 0.500, +0.012) |")
    assert lines[3].startswith("| A&lt;B&gt;&amp;\\|C |")
    assert '– not run (paper 0.906; needs &lt;ImageNet&gt; &amp; "more")' in lines[4]
    assert "stand-in: usps" in lines[0]


def test_plain_text_has_every_cell(comparison):
    text = str(plots.comparison_table(comparison, "nmi"))
    assert text == repr(plots.comparison_table(comparison, "nmi"))
    assert "nmi on usps-11000 (≈ stand-in: usps)\n  K-means  ▼ 0.400 ± 0.010 (paper 0.447, −0.047)" in text
    assert '  OURS     – not run (paper 0.906; needs <ImageNet> & "more")' in text
    assert len(text.splitlines()) == 3 + 6 + 1  # data sets, cells, legend
    assert max(map(len, text.splitlines())) < 100


def test_a_table_that_cannot_be_drawn(comparison):
    with pytest.raises(UsageError, match="no metric 'ari'; it has 'nmi', 'accuracy'"):
        plots.comparison_table(comparison, "ari")
    with pytest.raises(UsageError, match="no cells"):
        plots.comparison_table(comparison.iloc[:0], "nmi")
    with pytest.raises(UsageError, match="unknown verdict 'good'"):
        plots.comparison_table(comparison.assign(verdict="good"), "nmi")
    with pytest.raises(UsageError, match="two rows for 'K-means' on 'mnist'"):
        plots.comparison_table(pd.concat([comparison, comparison.iloc[:1]]), "nmi")


def chromium():
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.browser
@pytest.mark.skipif(chromium() is None, reason="no Chromium installed")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_wide_table_scrolls_inside_itself(comparison, tmp_path, width):
    frames = [comparison.assign(dataset=f"data set {i}", method="K-means").iloc[[0]] for i in range(14)]
    table = plots.comparison_table(pd.concat(frames), "nmi")._repr_html_()
    measure = (
        "const s = document.querySelector('.comparison-scroll'), h = document.querySelector('tbody th');"
        "s.scrollLeft = 300;"
        "document.title = [innerWidth, document.documentElement.scrollWidth, s.clientWidth, s.scrollWidth,"
        "Math.round(h.getBoundingClientRect().left - s.getBoundingClientRect().left)].join(' ');"
    )
    body = f"<body style='margin:0;width:{width}px'>{table}<script>{measure}</script>"
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><meta charset=utf-8>{body}", encoding="utf-8")
    # a headless window is never narrower than 500 pixels, so the body is what is narrow
    command = [chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,800", "--dump-dom"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    dom = subprocess.run(
        [*command, profile, page.as_uri()], capture_output=True, text=True, timeout=60, encoding="utf-8"
    ).stdout
    seen = re.search(r"<title>([\d\- ]+)</title>", dom)
    assert seen, dom[:500]
    window, page_width, visible, whole, name_left = map(int, seen.group(1).split())
    assert page_width <= window and visible <= width < whole
    assert name_left == 0  # the method's name stays in sight


# ---------------------------------------------------------------- figures


def legend_of(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def drawn(figure):
    """Forces the layout and the drawing, so that a figure that cannot be drawn fails."""
    figure.canvas.draw()
    return figure


def all_figures(comparison):
    rng = np.random.default_rng(0)
    yield plots.parity(comparison)
    yield plots.verdict_bar(pd.DataFrame({"reproduced": [3], "not run": [1]}, index=["jule/table-03"]))
    yield plots.image_grid(np.zeros((3, 8, 8), dtype=np.uint8))
    yield plots.embedding(rng.normal(size=(30, 2)), np.arange(30) % 3, "thirty points")
    yield plots.line([1, 2, 3], {"a": [1, 2, 3]})


def test_figures_are_returned_and_never_shown(comparison, monkeypatch):
    monkeypatch.setattr(pyplot, "show", lambda *_, **__: pytest.fail("a figure was shown"))
    before = pyplot.get_fignums()
    for figure in all_figures(comparison):
        assert isinstance(drawn(figure), Figure)
        assert colors.to_hex(figure.get_facecolor()) == "#ffffff"
    assert pyplot.get_fignums() == before


def test_the_style_is_set_once_and_then_the_readers(comparison):
    plots.line([0, 1], {"a": [0, 1]})
    with matplotlib.rc_context({"axes.labelsize": 33}):
        assert plots.line([0, 1], {"a": [0, 1]}, xlabel="x").axes[0].xaxis.label.get_size() == 33
        plots.style()
        assert matplotlib.rcParams["axes.labelsize"] != 33
    assert matplotlib.rcParams["figure.constrained_layout.use"]


def test_parity_draws_what_both_have(comparison):
    figure = drawn(plots.parity(comparison))
    points = np.concatenate(
        [c.get_offsets() for c in figure.axes[0].collections if type(c).__name__ == "PathCollection"]
    )
    both = comparison.dropna(subset=["paper", "ours"])[["paper", "ours"]].to_numpy()
    assert sorted(map(tuple, points)) == sorted(map(tuple, both))
    assert legend_of(figure) == [
        "paper ± 0.02",
        "= reproduced (2)",
        "▲ better (1)",
        "▼ below (1)",
        "≈ stand-in (1)",
    ]
    assert figure.axes[0].get_xlim() == figure.axes[0].get_ylim()
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("paper", "ours")


def test_parity_stand_ins_are_hollow(comparison):
    figure = plots.parity(comparison[comparison["verdict"] == "stand-in"])
    (points,) = [c for c in figure.axes[0].collections if type(c).__name__ == "PathCollection"]
    assert colors.to_hex(points.get_facecolor()[0]) == "#ffffff"
    assert colors.to_hex(points.get_edgecolor()[0]) == LOOKS["stand-in"].colour


def test_parity_tells_tables_apart_by_marker(comparison):
    tables = [comparison.assign(paper_key="jule", table=name) for name in ("table-03", "table-10")]
    figure = drawn(plots.parity(pd.concat(tables)))
    assert legend_of(figure)[-2:] == ["jule, table-03", "jule, table-10"]
    paths = [c.get_paths()[0].vertices for c in figure.axes[0].collections if type(c).__name__ == "PathCollection"]
    assert len({path.tobytes() for path in paths}) == 2


def test_parity_keeps_counts_off_the_scale_of_shares(comparison):
    counts = comparison.iloc[[0]].assign(paper=1762.0, ours=1759.0)
    figure = plots.parity(pd.concat([comparison, counts]))
    assert figure.axes[0].get_xlim()[1] < 1.1
    assert figure.axes[0].get_title(loc="left") == "not drawn, because on another scale: 1"
    assert plots.parity(counts).axes[0].get_xlim()[1] > 1700


def test_dots_are_one_row_a_method_with_its_mean():
    cells = pd.DataFrame({"method": ["b", "a", "b", "c"], "value": [0.5, 0.9, 0.7, nan]})
    axes = drawn(plots.dots(cells, xlabel="accuracy", baseline="b")).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "a"]
    points = [list(line.get_xdata()) for line in axes.lines]
    assert [pytest.approx(found) for found in points] == [[0.5, 0.7], [0.6], [0.9], [0.9]]
    shaded = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    assert (shaded.x0, shaded.x1) == pytest.approx((0.5, 0.7)), "the range of the baseline"
    assert not plots.dots(cells, baseline="c").axes[0].patches, "a baseline without values shades nothing"
    with pytest.raises(UsageError, match="no value"):
        plots.dots(cells[3:])


def test_points_have_their_names_beside_them():
    axes = drawn(plots.points([1, 100], [0.2, 0.4], ["a", "b"], xlabel="components", log=True)).axes[0]
    assert {text.get_text(): tuple(text.xy) for text in axes.texts} == {"a": (1, 0.2), "b": (100, 0.4)}
    assert [[*line.get_xdata(), *line.get_ydata()] for line in axes.lines] == [[1, 100, 0.2, 0.4]]
    assert axes.get_xscale() == "log"
    for x, y, names in (([], [], []), ([1], [1, 2], ["a"])):
        with pytest.raises(UsageError, match="one length"):
            plots.points(x, y, names)


def test_empty_figures_say_why(comparison):
    for frame in (comparison.iloc[:0], comparison.assign(ours=None)):
        assert [t.get_text() for t in drawn(plots.parity(frame)).axes[0].texts] == [
            "no cell has both a published and a measured value"
        ]
    for counts in (pd.DataFrame(columns=list(VERDICTS)), pd.DataFrame(index=list(VERDICTS)).T):
        assert [t.get_text() for t in drawn(plots.verdict_bar(counts)).axes[0].texts] == ["no table has cells yet"]


def test_verdict_bar_counts_by_symbol_and_hatching():
    counts = pd.DataFrame(
        [[30, 5, 5, 0, 5, 50, 0], [10, 0, 0, 0, 0, 80, 0]],
        columns=list(SCORES),
        index=["jule/table-03", "dbc/table-03"],
    )
    figure = drawn(plots.verdict_bar(counts))
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(counts.index)
    assert axes.yaxis_inverted()  # the first table on top
    assert legend_of(figure) == [
        "= reproduced (40)",
        "▲ better (5)",
        "▼ below (5)",
        "≈ stand-in (5)",
        "– not run (130)",
    ]
    assert sorted(t.get_text() for t in axes.texts) == sorted(["= 30", "5", "5", "5", "– 50", "= 10", "– 80"])
    widths = [[bar.get_width() for bar in bars] for bars in axes.containers]
    assert widths == [[30, 10], [5, 0], [5, 0], [5, 0], [50, 80]]
    hatched = [bars[0].get_hatch() for bars in axes.containers]
    assert len({hatch for hatch in hatched if hatch}) == 3  # neighbours never share one


def test_verdict_bar_of_one_table_and_of_strangers():
    one = plots.verdict_bar(pd.Series({"reproduced": 3, "below": 1}))
    assert legend_of(one) == ["= reproduced (3)", "▼ below (1)"]
    nested = pd.DataFrame({"below": [1]}, index=pd.MultiIndex.from_tuples([("jule", "table-03")]))
    assert plots.verdict_bar(nested).axes[0].get_yticklabels()[0].get_text() == "jule / table-03"
    with pytest.raises(UsageError, match="unknown verdict 'good'"):
        plots.verdict_bar(pd.DataFrame({"good": [1]}))


def picture(figure):
    return np.asarray(figure.axes[0].images[0].get_array())


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_image_grid_holds_the_images_in_reading_order(channels):
    images = np.random.default_rng(0).integers(0, 255, (5, *channels, 16, 16), dtype=np.uint8)
    canvas = picture(drawn(plots.image_grid(images, columns=3)))
    assert canvas.shape == (2 * 17, 3 * 17 - 1, 3)
    fourth = images[3].reshape(-1, 16, 16).transpose(1, 2, 0)
    assert (canvas[18:34, :16] == fourth).all()
    assert (canvas[18:34, 34:] == 255).all()  # the place after the last image
    assert (picture(plots.image_grid(torch.tensor(images), columns=3)) == canvas).all()


def test_image_grid_takes_floats_and_titles():
    images = np.random.default_rng(0).random((12, 8, 8))
    figure = drawn(plots.image_grid(images, titles=range(12)))
    assert [text.get_text() for text in figure.axes[0].texts] == [str(i) for i in range(12)]
    for titles in (np.array(["a", "", "b"] + [""] * 9), ["a", "", "b"] + [""] * 9):
        said = plots.image_grid(images, titles=titles)._repr_mimebundle_()[1]["image/png"]["alt"]
        assert said.endswith("10 to a row, under the titles a, b.")
    assert (picture(plots.image_grid(images))[1:9, :8, 0] == np.round(images[0] * 255)).all()


@pytest.mark.parametrize(
    "images, options, message",
    [
        (np.zeros((2, 2, 8, 8), np.uint8), {}, "shape"),
        (np.zeros((8, 8), np.uint8), {}, "shape"),
        (np.zeros((0, 8, 8), np.uint8), {}, "shape"),
        (np.full((2, 8, 8), 1.5), {}, "between 0 and 1"),
        (np.full((2, 8, 8), np.nan), {}, "between 0 and 1"),
        (np.zeros((2, 8, 8), np.int64), {}, "uint8"),
        (np.zeros((2, 8, 8), np.uint8), {"titles": ["a"]}, "1 titles for 2 images"),
        (np.zeros((2, 8, 8), np.uint8), {"columns": 0}, "columns"),
    ],
)
def test_images_that_cannot_be_drawn(images, options, message):
    with pytest.raises(UsageError, match=message):
        plots.image_grid(images, **options)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_embedding_names_its_classes(dimensions):
    points = np.random.default_rng(0).normal(size=(60, dimensions))
    labels = np.repeat([-4, 7, 12], 20)
    figure = drawn(plots.embedding(torch.tensor(points), labels, "three classes"))
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["-4", "7", "12"]
    assert axes.texts[1].get_position() == pytest.approx(tuple(np.median(points[20:40], axis=0)[:2]))
    assert "three classes" in (axes.get_title(), axes.get_title(loc="left"))
    assert plots.embedding(points, None).axes[0].texts[:] == []


def test_embedding_of_many_classes_colours_each():
    points, labels = np.random.default_rng(0).normal(size=(200, 2)), np.arange(200) % 40
    used = plots.embedding(points, labels).axes[0].collections[0].get_facecolor()
    assert len(np.unique(used, axis=0)) == 40


def test_embedding_checks_its_input():
    with pytest.raises(UsageError, match="points must have shape"):
        plots.embedding(np.zeros((4, 5)), np.zeros(4))
    with pytest.raises(UsageError, match="4 points need as many labels"):
        plots.embedding(np.zeros((4, 2)), np.zeros(3))


def test_curves_differ_without_colour():
    x = np.linspace(0, 1, 200)
    figure = drawn(plots.line(x, {f"curve {i}": x + i for i in range(6)}, xlabel="x", ylabel="y", title="six"))
    lines = figure.axes[0].lines
    assert len({(curve.get_marker(), curve.get_linestyle()) for curve in lines}) == 6
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [f"curve {i}" for i in range(6)]
    assert (lines[2].get_ydata() == x + 2).all()


def test_the_spread_of_a_curve_is_shaded_in_its_colour():
    curves, spread = {"a": [1, 2], "b": [0, 1]}, {"b": ([0, 0.5], [0.5, 2])}
    (axes,) = drawn(plots.line([0, 1], curves, spread=spread)).axes
    (shade,) = axes.collections
    assert (shade.get_facecolor()[0, :3] == colors.to_rgb(axes.lines[1].get_color())).all()
    heights = shade.get_paths()[0].vertices[:, 1]
    assert heights.min() == 0 and heights.max() == 2


def test_curves_that_cannot_be_drawn():
    with pytest.raises(UsageError, match="no curve"):
        plots.line([0, 1], {})
    with pytest.raises(UsageError, match=r"curve 'a' has shape \(3,\), x has shape \(2,\)"):
        plots.line([0, 1], {"a": [0, 1, 2]})


def test_the_import_is_light():
    code = "import sys, clustlib.plots; print(*{'torch', 'matplotlib', 'seaborn', 'sklearn'} & set(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8"
    ).stdout
    assert loaded.strip() == ""


# ---------------------------------------------------------------- alternative texts


def test_every_figure_says_in_words_what_is_seen(comparison):
    for figure in all_figures(comparison):
        data, metadata = figure._repr_mimebundle_()
        said = metadata["image/png"]["alt"]
        assert len(said.split()) >= 4 and not re.search(r"nan|None|_child|object at", said), said
        assert ElementTree.fromstring(data["image/svg+xml"]).tag.endswith("svg")


def test_the_text_of_curves_has_their_names_and_ends():
    figure = plots.line([1, 2, 30], {"a": [0.1, 0.2, 0.3], "b": [2, 1, nan]}, xlabel="epoch", ylabel="NMI")
    said = figure._repr_mimebundle_()[1]["image/png"]["alt"]
    assert said == "Curves of NMI against epoch: a from 0.1 at 1 to 0.3 at 30; b from 2 at 1 to 1 at 2."


def test_the_text_of_the_bars_counts_each_table():
    counts = pd.DataFrame([[30, 0, 5, 0, 0, 0, 0]], columns=list(SCORES), index=["jule/table-03"])
    said = plots.verdict_bar(counts)._repr_mimebundle_()[1]["image/png"]["alt"]
    assert "jule/table-03: 30 reproduced, 5 below." in said


def test_the_vector_graphic_is_the_same_each_time():
    made = [plots.line([0, 1], {"a": [0, 1]})._repr_mimebundle_()[0]["image/svg+xml"] for _ in range(2)]
    assert made[0] == made[1] and "<dc:date>" not in made[0]
