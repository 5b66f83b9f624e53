"""The transcription of DeepCluster's tables, its claims and its page."""

import pandas as pd
import pytest
from test_published_fcn import cells, check_claims, check_contents, check_equations, check_page, check_tidy, value

CONVOLUTIONS = [f"conv{n}" for n in range(1, 6)]
VOC = [f"{task}_{layers}" for task in ("classification", "detection", "segmentation") for layers in ("fc68", "all")]
LABELLED = ["ImageNet labels", "Places labels", "DeepCluster"]


def table(name: str) -> pd.DataFrame:
    """A table in points, one row a (data set, metric), one column a method."""
    frame = cells("deepcluster", name)
    return frame.pivot(index=["dataset", "metric"], columns="method", values="value") * 100


def lead(name: str) -> pd.Series:
    """Points by which DeepCluster is above the best method without labels."""
    frame = table(name)
    return (frame["DeepCluster"] - frame.drop(columns=LABELLED, errors="ignore").max(axis=1)).round(6)


@pytest.mark.parametrize(
    ("name", "datasets", "n_methods", "metrics", "empty"),
    [
        ("table-01", ["imagenet", "places"], 11, CONVOLUTIONS, 5),
        ("table-02", ["voc2007", "voc2012"], 15, VOC, 25),
        ("table-03", ["voc2007", "voc2012"], 3, VOC, 0),
        ("table-04", ["voc2007"], 6, ["detection_alexnet", "detection_vgg16"], 1),
        ("table-05", ["oxford5k", "paris6k"], 5, ["map"], 0),
    ],
)
def test_shape(name: str, datasets: list[str], n_methods: int, metrics: list[str], empty: int) -> None:
    frame = cells("deepcluster", name)
    check_tidy(frame)
    assert list(frame["dataset"].unique()) == datasets
    assert frame["method"].nunique() == n_methods
    assert list(frame["metric"].unique()) == metrics
    assert frame["value"].isna().sum() == empty
    # each method has every cell of the table's header
    assert (frame.groupby("method").size() == len(frame) / n_methods).all()
    assert frame["value"].dropna().between(0.05, 0.85).all()


def test_only_classification_and_detection_are_on_voc2007() -> None:
    for name in ("table-02", "table-03"):
        frame = cells("deepcluster", name)
        segmentation = frame["metric"].str.startswith("segmentation")
        assert (frame["dataset"].eq("voc2012") == segmentation).all()


def test_methods_with_the_same_authors_are_told_apart() -> None:
    methods = set(cells("deepcluster", "table-02")["method"])
    assert {"Pathak et al. (inpainting)", "Pathak et al. (moving objects)"} <= methods
    assert {"Zhang et al. (colorization)", "Zhang et al. (split-brain)"} <= methods


def test_probes_lead_as_section_4_3_says() -> None:
    leads = lead("table-01")["imagenet"]
    assert leads[CONVOLUTIONS[1:]].between(1, 6).all() and leads["conv1"] < 0
    assert leads.idxmax() == "conv3"
    gap = (table("table-01")["ImageNet labels"] - table("table-01")["DeepCluster"])["imagenet"]
    assert gap["conv5"] == pytest.approx(12.3)
    assert gap[["conv2", "conv3"]].round().to_list() == [4, 3]


def test_transfer_leads_as_section_4_4_says() -> None:
    leads = lead("table-02").droplevel("dataset")
    assert leads["segmentation_all"] == pytest.approx(7.5)
    assert leads["classification_fc68"] == pytest.approx(9.0)
    assert leads[["classification_all", "detection_all", "segmentation_all"]].idxmax() == "segmentation_all"


def test_best_competitor_is_the_best_of_table_2_but_for_one_cell() -> None:
    best = table("table-02").drop(columns=LABELLED, errors="ignore").max(axis=1)
    printed = table("table-03")["Best competitor on ImageNet"]
    differ = (printed - best).round(6)
    assert differ[differ != 0].to_dict() == {("voc2012", "segmentation_all"): 0.1}
    noted = cells("deepcluster", "table-03").set_index(["method", "metric"])["note"]
    assert "37.6" in noted["Best competitor on ImageNet", "segmentation_all"]


def test_table_3_repeats_deepcluster_of_table_2() -> None:
    assert (table("table-03")["DeepCluster on ImageNet"] == table("table-02")["DeepCluster"]).all()


def test_uncurated_leads_as_section_5_1_says() -> None:
    frame = table("table-03").droplevel("dataset")
    leads = frame["DeepCluster on YFCC100M"] - frame["Best competitor on ImageNet"]
    assert leads["classification_fc68"] == pytest.approx(4.3)
    assert leads["segmentation_all"] == pytest.approx(4.5)
    assert list(leads.index[leads < 0]) == ["detection_all"]


def test_architectures_as_section_5_2_says() -> None:
    frame = table("table-04").droplevel("dataset")
    assert (frame["ImageNet labels"] - frame["DeepCluster"]).to_list() == pytest.approx([1.4, 1.4])
    over_random = frame["DeepCluster"] - frame["Random"]
    assert over_random["detection_vgg16"] > over_random["detection_alexnet"]


def test_table_4_repeats_detection_of_table_2() -> None:
    for method in ("ImageNet labels", "Doersch et al.", "Wang and Gupta", "DeepCluster"):
        printed = value("deepcluster", "table-04", "voc2007", method, "detection_alexnet")
        assert printed == value("deepcluster", "table-02", "voc2007", method, "detection_all")
    random = value("deepcluster", "table-04", "voc2007", "Random", "detection_alexnet")
    for method in ("Random-rgb", "Random-sobel"):
        assert random != value("deepcluster", "table-02", "voc2007", method, "detection_all")


def test_retrieval_leads_by_nineteen_points_on_average() -> None:
    frame = table("table-05")
    differences = frame[["Doersch et al.", "Wang et al."]].rsub(frame["DeepCluster"], axis=0)
    assert round(differences.to_numpy().mean()) == 19
    assert lead("table-05").to_list() == pytest.approx([18.7, 14.0])


def test_contents() -> None:
    check_contents("deepcluster")


def test_claims() -> None:
    check_claims("deepcluster")


def test_page() -> None:
    check_page("deepcluster")
    check_equations("deepcluster", ["1", "2"])
