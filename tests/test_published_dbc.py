"""The transcription of DBC's tables, its claims and its page."""

import math
import re

import pytest
from test_published_fcn import (
    BOOK,
    cells,
    check_claims,
    check_contents,
    check_equations,
    check_page,
    check_tidy,
    listed,
    value,
)

LAYERS = ["conv1", "pool1", "conv2", "pool2", "conv3", "pool3", "conv4", "pool4", "features"]
DATA = {"table-03": "mnist", "table-04": "usps-11000", "table-05": "coil-20", "table-06": "coil-100"}


@pytest.mark.parametrize(
    ("name", "methods", "empty"),
    [
        ("table-03", ["KMS", "DAE-KMS", "AEC", "IEC", "DCN", "DEC", "FCAE-KMS", "DBC"], 2),
        ("table-04", ["KMS", "AEC", "IEC", "FCAE-KMS", "DBC"], 0),
        ("table-05", ["KMS", "DEN", "FCAE-KMS", "DBC"], 0),
        ("table-06", ["KMS", "IEC", "FCAE-KMS", "DBC"], 0),
    ],
)
def test_shape_of_the_clustering_tables(name: str, methods: list[str], empty: int) -> None:
    frame = cells("dbc", name)
    check_tidy(frame)
    plain = frame[~frame["metric"].str.endswith("_reported")]
    assert list(plain["metric"]) == ["accuracy", "nmi"] * len(methods)
    assert list(frame["method"].unique()) == methods
    assert list(frame["dataset"].unique()) == [DATA[name]]
    assert frame["value"].isna().sum() == empty
    assert frame["value"].dropna().between(0.5, 0.97).all()


def test_two_printed_values_of_dcn_are_both_kept() -> None:
    frame = cells("dbc", "table-03")
    pairs = frame[frame["method"] == "DCN"].set_index("metric")["value"].to_dict()
    assert pairs == {"accuracy": 0.58, "accuracy_reported": 0.93, "nmi": 0.63, "nmi_reported": 0.85}


def test_kms_cells_of_usps_are_those_of_mnist() -> None:
    for metric in ("accuracy", "nmi"):
        assert value("dbc", "table-04", "usps-11000", "KMS", metric) == value("dbc", "table-03", "mnist", "KMS", metric)
    frame = cells("dbc", "table-04").set_index("method")
    assert frame.loc["KMS", "note"].str.contains("MNIST").all()
    iec, dbc = (value("dbc", "table-04", "usps-11000", method, "accuracy") for method in ("IEC", "DBC"))
    assert iec > dbc


def test_datasets() -> None:
    frame = cells("dbc", "table-01")
    check_tidy(frame)
    table = frame.pivot(index="dataset", columns="metric", values="value")
    assert table.shape == (4, 5)
    per_class = table["samples"] / table["categories"]
    # ten digits of 1,100 images; objects turned in steps of five degrees; MNIST is not balanced
    assert per_class[["usps-11000", "coil-20", "coil-100"]].to_list() == [1100, 72, 72]
    assert (table["height"] == table["width"]).all()
    assert table.loc["coil-100", "channels"] == 3


def network(dataset: str) -> list[tuple[str, float, float, float, float]]:
    """The layers that a data set has: name, filter size, filters (NaN for pooling), map size, channels."""
    frame = cells("dbc", "table-02")
    table = frame[frame["dataset"] == dataset].pivot(index="method", columns="metric", values="value")
    rows = table.loc[LAYERS, ["filter_size", "filters", "output_size", "output_channels"]]
    return list(rows.dropna(subset=["output_size"]).itertuples(name=None))


def test_shape_of_the_network_table() -> None:
    frame = cells("dbc", "table-02")
    check_tidy(frame)
    assert len(frame) == 3 * len(LAYERS) * 4
    assert list(frame["method"].unique()) == LAYERS
    assert [len(network(name)) for name in ("mnist", "usps-11000", "coil-20")] == [5, 5, 9]


@pytest.mark.parametrize(("dataset", "padding"), [("mnist", 0), ("usps-11000", 1), ("coil-20", 0)])
def test_maps_of_the_network_follow_from_its_filters(dataset: str, padding: int) -> None:
    sizes = cells("dbc", "table-01").set_index(["dataset", "metric"])["value"]
    size, channels = sizes[dataset, "height"], sizes[dataset, "channels"]
    for name, width, filters, output_size, output_channels in network(dataset):
        if name.startswith("pool"):
            size /= width
        else:
            # the last layer is never padded, whatever Section 4.1 says of USPS
            size += 1 - width + 2 * (0 if name == "features" else padding)
            channels = filters
        assert (size, channels) == (output_size, output_channels), name
    assert size == 1


def weights(dataset: str, channels: int) -> tuple[int, int]:
    """Weights and biases of the encoder, without and with batch normalisation."""
    plain = normalised = 0
    for _, width, filters, _, _ in network(dataset):
        if not math.isnan(filters):
            plain += int(width * width * channels * filters + filters)
            normalised += int(2 * filters)
            channels = int(filters)
    return plain, plain + normalised


def test_page_counts_the_weights_right() -> None:
    page = (BOOK / "dbc" / "index.md").read_text(encoding="utf-8")
    counts = [weights("mnist", 1), weights("usps-11000", 1), weights("coil-20", 1), weights("coil-20", 3)]
    for row, expected in zip(("weights and biases", "with batch normalisation"), zip(*counts)):
        line = re.search(rf"^\| {row} \|(.*)$", page, re.M)[1]
        assert [int(number.replace(",", "")) for number in re.findall(r"\d+,\d+", line)] == list(expected)


def test_page_gives_the_layers_of_table_2() -> None:
    page = (BOOK / "dbc" / "index.md").read_text(encoding="utf-8")
    for column, dataset in enumerate(("mnist", "usps-11000", "coil-20"), start=2):
        for name, width, filters, size, channels in network(dataset):
            shown = re.search(rf"^\| {name} \|.*$", page, re.M)[0].split("|")[column].strip()
            filter_text = f"{width:.0f}" if math.isnan(filters) else f"{width:.0f}, {filters:.0f}"
            assert shown == f"{filter_text} → {size:.0f} × {size:.0f} × {channels:.0f}"


def test_contents() -> None:
    check_contents("dbc")
    stems = {entry["key"]: entry["notebook"] for entry in listed("dbc")}
    assert stems["fig-03"] == "fig-03-kl-loss"


def test_claims() -> None:
    check_claims("dbc")


def test_page() -> None:
    check_page("dbc")
    check_equations("dbc", ["M1", "M2", "1", "2", "3", "4", "5", ".4", ".6"])
