"""What the text of DBC leaves open, searched: the runs by the text alone and those with one thing changed."""

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from clustlib import published, records
from clustlib.dbc.choices import TRIALS
from clustlib.dbc.runs.written import METHODS, as_written
from clustlib.published.readings import OURS

# What can be seen without a label, and whether more of it looks better
UNLABELLED = {"reconstruction": False, "silhouette": True, "evenness": True, "stability": True, "changed": False}
_OURS = "(ours)"  # how trials with an addition end
# what they stand beside
_BESIDE = ("as written", "code without ReLU", "9 epochs of stage I", "9 epochs of stage I, code without ReLU")
# what changes k-means on the code beside the training of stage I
_OF_THE_CODE = ("scaling", "code", "unpooling", "normalised", "whiten", "n_init", "start")
_ENDS = {"start": "start", "accuracy": "end"}
_NUMBERS = {"start": "accuracy_start", "accuracy": "accuracy", "nmi": "nmi_max", "seconds": "training_seconds"}


def run(
    names: Collection[str], lengths: Mapping[str, Any], methods: Collection[str] = METHODS, **how: Any
) -> dict[str, records.Runs]:
    """The runs of trials, by name (some of ``TRIALS``, or "all"), as :func:`clustlib.records.grid` gives them.

    ``lengths`` are parameters that hold where a trial does not say its own; ``how`` goes to the grid.
    """
    wanted = published.chosen("trials", list(names), TRIALS)
    told = {name: [m for m in methods if m != "FCAE-KMS" or _changes_the_code(TRIALS[name])] for name in wanted}
    return {
        name: records.grid(as_written, method=told[name], **{**lengths, **settings}, **how)
        for name, settings in wanted.items()
        if told[name]
    }


def _changes_the_code(settings: Mapping[str, Any]) -> bool:
    """Whether k-means on the code is another row than the reading's; it is the reading's own where nothing changes."""
    return not settings or any(name.startswith("pretrain_") or name in _OF_THE_CODE for name in settings)


def trials(runs: Mapping[str, records.Runs]) -> pd.DataFrame:
    """One row a run that has a record.

    Returns
    -------
    DataFrame. Columns: trial, dataset, method, seed, start (accuracy of the k-means start; of DBC), accuracy, nmi,
    seconds (of the training; of DBC stage II alone), and those of ``UNLABELLED``, NaN where a run has none.
    """
    numbers, rows = {**_NUMBERS, **{name: name for name in UNLABELLED}}, []
    for trial, outcomes in runs.items():
        for record in outcomes.records:
            told = {name: record.params[name] for name in ("dataset", "method", "seed")}
            rows.append({"trial": trial, **told, **{name: record.metrics.get(as_) for name, as_ in numbers.items()}})
    frame = pd.DataFrame(rows, columns=["trial", "dataset", "method", "seed", *numbers])
    return frame.astype(dict.fromkeys(numbers, float))


def means(found: pd.DataFrame, method: str) -> pd.DataFrame:
    """The trials of one row of the tables, means over the seeds that all of a data set's trials have, by data set.

    ``seeds`` counts them. A trial of more seeds than the others is held to theirs.
    """
    own = found[found["method"] == method]
    trials_of = own.groupby("dataset")["trial"].transform("nunique")
    own = own[own.groupby(["dataset", "seed"])["trial"].transform("nunique") == trials_of]
    numbers = {name: (name, "mean") for name in (*_NUMBERS, *UNLABELLED)}
    return own.groupby(["dataset", "trial"], sort=False).agg(**numbers, seeds=("seed", "count")).reset_index()


def chosen(found: pd.DataFrame, method: str) -> pd.DataFrame:
    """What a user without labels would have chosen by each number that can be seen, and what labels say it cost.

    Among the trials of the text, without additions of ours; an error of reconstruction is compared on one scale of
    the pixels alone.

    Returns
    -------
    DataFrame. Columns: dataset, chosen by, trial, accuracy, best trial, best accuracy, cost, agreement (Spearman's rank
    correlation of the number, signed so that 1 is a perfect guide, with the accuracy), trials (how many had it).
    """
    ours = [name for name in found["trial"].unique() if published.reading("dbc", "search", name).reading == OURS]
    text = found[~found["trial"].isin(ours)]
    rescaled = [name for name, settings in TRIALS.items() if "scaling" in settings]
    rows = []
    for dataset, every in means(text, method).groupby("dataset", sort=False):
        for name in UNLABELLED:
            own = every[~every["trial"].isin(rescaled)] if name == "reconstruction" else every
            if own[name].nunique() > 1:
                rows.append({"dataset": dataset, "chosen by": name, **_choice(own.dropna(subset=[name]), name)})
    return pd.DataFrame(rows)


def _choice(seen: pd.DataFrame, name: str) -> dict[str, Any]:
    """The trial that looks best by one number, beside the best one."""
    value = seen[name] if UNLABELLED[name] else -seen[name]
    pick, best = seen.loc[value.idxmax()], seen.loc[seen["accuracy"].idxmax()]
    return {
        **{"trial": pick["trial"], "accuracy": pick["accuracy"]},
        **{"best trial": best["trial"], "best accuracy": best["accuracy"]},
        **{"cost": best["accuracy"] - pick["accuracy"]},
        "agreement": value.rank().corr(seen["accuracy"].rank()),
        "trials": len(seen),
    }


def additions(found: pd.DataFrame) -> pd.DataFrame:
    """What one addition of ours is worth to the text alone: accuracy of the k-means start and of DBC, by data set.

    Returns
    -------
    DataFrame. Columns: trial (the text, what the whitened code rests on, then those marked ours), and for each data
    set that has one of ours its start and its end: means over the seeds that ours have.
    """
    ours = found[found["trial"].str.endswith(_OURS) & (found["method"] == "DBC")]
    named = [name for name in TRIALS if name in _BESIDE or name.endswith(_OURS)]
    same = found.merge(ours[["dataset", "seed"]].drop_duplicates())
    wide = means(same, "DBC").pivot(index="trial", columns="dataset")
    columns = {(part, name): f"{name}, {said}" for name in ours["dataset"].unique() for part, said in _ENDS.items()}
    wide = wide.reindex(index=[name for name in named if name in wide.index], columns=list(columns))
    return wide.set_axis(list(columns.values()), axis=1).reset_index()


def cells(runs: Mapping[str, records.Runs], method: str = "FCAE-KMS") -> pd.DataFrame:
    """The cells of one row of the tables as claims read them: accuracy, nmi and reconstruction, trials as methods."""
    own = {
        name: records.Runs(run for run in found.records if run.params["method"] == method)
        for name, found in runs.items()
    }
    numbers = {"accuracy": "accuracy", "nmi": "nmi_max", "reconstruction": "reconstruction"}
    return pd.concat([found.cells(**numbers).assign(method=name) for name, found in own.items()], ignore_index=True)
