"""Our additions to the papers' algorithms: what each is worth alone, from records, and the list that the pages show."""

from collections.abc import Iterator

import pandas as pd

from clustlib import published, records
from clustlib.published.readings import Addition

_CHOSEN = ("variant", "choice")  # the parameter that leaves an addition out
_ASIDE = ("device", "seed", *_CHOSEN)
_OUTCOME = ("with", "without")


def worth(addition: Addition, profile: str = "paper") -> str:
    """What an addition is worth alone: means over the runs that have a record with it and one without it.

    The addition's ``worth`` names the row (``method``), the metric of the records ``with`` and ``without`` it, and the
    variant or choice that leaves it out; without one, both metrics are of the same records. On sets in ``other starts``
    the two began from different starts, which would be taken for the addition's worth: they are named and left out.
    """
    if not addition.worth:
        return "not measured alone"
    pairs = pd.DataFrame(_pairs(addition, profile), columns=["dataset", *_OUTCOME])
    apart = pairs["dataset"].isin(addition.worth.get("other starts", []))
    apart, pairs = pairs[apart], pairs[~apart]
    if pairs.empty:
        return "not run"
    means = pairs.groupby("dataset").agg({"with": "mean", "without": "mean", "dataset": "count"})
    metric = addition.worth["without"].split("_")[0]
    said = [
        f"{name} {row['with']:.3f} with, {row['without']:.3f} without ({int(row['dataset'])})"
        for name, row in means.iterrows()
    ]
    said += [f"{name} not comparable, the starts differ" for name in apart["dataset"].unique()]
    return f"{metric} of {addition.worth['method']}: {'; '.join(said)}"


def _pairs(addition: Addition, profile: str) -> Iterator[tuple[str, float, float]]:
    """Data set, the number with the addition and the one without it, of runs that are alike in all else."""
    spec = addition.worth
    left_out = {name: spec[name] for name in _CHOSEN if name in spec}
    runs = list(_runs(spec["method"], spec["with"], profile))
    alone = {_alike(run): run for run in runs if all(run.params.get(n) == v for n, v in left_out.items())}
    for run in runs:
        usual = all(run.params.get(name, "default") == "default" for name in _CHOSEN)
        other = alone.get(_alike(run)) if left_out else run
        if usual and other is not None:
            yield run.params["dataset"], run.metrics[spec["with"]], other.metrics[spec["without"]]


def _runs(method: str, metric: str, profile: str) -> Iterator[records.Record]:
    """The records of a row that have a metric."""
    for key in records.open_store(profile).all_keys():
        record = records.load(key, profile) if key.startswith(f"{method}/") else None
        if record is not None and metric in record.metrics:
            yield record


def _alike(run: records.Record) -> tuple:
    """What two runs must share to be compared: all parameters but the addition's, and the seed."""
    rest = sorted((name, str(value)) for name, value in run.params.items() if name not in _ASIDE)
    return (*rest, run.params.get("seed"))


def table(paper: str, profile: str = "paper") -> pd.DataFrame:
    """A paper's additions as people read them: what, why, whether labels chose it, what it is worth alone."""
    rows = [
        {
            "addition": addition.name,
            "what it does": addition.what,
            "why": addition.why,
            "did labels choose it?": addition.labels,
            "worth alone (runs)": worth(addition, profile),
        }
        for addition in published.additions(paper).values()
    ]
    return pd.DataFrame(rows)
