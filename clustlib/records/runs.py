"""Run a function once per set of parameters: replay what exists, compute what is missing."""

import hashlib
import inspect
import itertools
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from clustlib.errors import DataMissing, DeviceMissing, PackageMissing, RecordCorrupt, UsageError
from clustlib.records import freshness, provenance
from clustlib.records.freshness import mark_of
from clustlib.records.store import Record, Store, open_store

if TYPE_CHECKING:
    import pandas as pd

RECOMPUTE = ("never", "missing", "stale", "all")
LONGEST = 216  # letters of a run's name
_requested: dict[str, None] = {}  # in order of first request


def requested() -> list[str]:
    """The keys of every run that this process has asked for, whether or not there was a record."""
    return list(_requested)


class NoRecord(LookupError):
    """Replay was asked for, and there is nothing to replay."""


@dataclass(frozen=True)
class Missing:
    """A run that has no record; ``reason`` says why in a few words."""

    params: dict[str, Any]
    reason: str


def _slug(value: Any) -> str:
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", str(value)).strip("-") or "none"


def bind(fn: Callable, params: dict[str, Any]) -> dict[str, Any]:
    """``params`` completed with the function's defaults. Raises :class:`UsageError` on a misspelt name."""
    try:
        bound = inspect.signature(fn).bind(**params)
    except TypeError as error:
        raise UsageError(f"{fn.__name__}: {error}") from None
    bound.apply_defaults()
    # a NumPy number would name another key than the plain one, or none at all
    return filled(fn, {name: v.item() if isinstance(v, np.generic) else v for name, v in bound.arguments.items()})


def _own_values(fn: Callable, params: dict[str, Any]) -> dict[str, Any]:
    """What a default stands for in a run's parameters, where its function says so (:func:`declare`)."""
    fills = getattr(fn, "fills", None)
    return fills(params) if fills else {}


def filled(fn: Callable, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters with what a default stands for written out, so that a record states every setting."""
    known, own = inspect.signature(fn).parameters, _own_values(fn, params)
    unsaid = [name for name in own if name in params and params[name] == known[name].default]
    return {**params, **{name: own[name] for name in unsaid}}


def taking(run: Callable) -> Callable[[Callable], Callable]:
    """A decorator: the function is called with the parameters of ``run``, by the same names and with its defaults.

    For runs that pass on what another reads: their own text names what they use, and ``**settings``.
    """

    def decorate(fn: Callable) -> Callable:
        returned = inspect.signature(fn).return_annotation
        fn.__signature__ = inspect.signature(run).replace(return_annotation=returned)  # type: ignore[attr-defined]
        return fn

    return decorate


def declare(
    *runs: Callable, check: Callable | None = None, uses: Callable | None = None, fills: Callable | None = None
) -> None:
    """Say of run functions what stands beside their own text.

    Parameters
    ----------
    check : called with the parameters of every run of a grid before any of them is begun; it refuses what cannot be.
    uses : of the parameters (a dict) gives what they choose, as :func:`clustlib.records.freshness.roots_of` has it:
        code as ``"clustlib.module:name"``, settings as any other text.
    fills : of the parameters gives, by name, what their default stands for, such as a data set's own number of epochs.
    """
    for run in runs:
        for name, told in (("check", check), ("uses", uses), ("fills", fills)):
            if told is not None:
                setattr(run, name, told)


def key_of(fn: Callable, params: dict[str, Any]) -> str:
    """``method/dataset/function.other-parameters.seed-0``: readable, and safe as a path.

    It is a name and not the identity, which is the parameters themselves: two runs whose parameters differ only in
    what a file's name cannot hold get the same one, and :func:`run` tells them apart.
    """
    defaults = {name: p.default for name, p in inspect.signature(fn).parameters.items()} | _own_values(fn, params)
    parts = [_slug(fn.__name__.replace("_", "-"))]
    for name in sorted(params):
        if name not in ("method", "dataset", "seed", "device") and params[name] != defaults.get(name):
            parts.append(f"{_slug(name)}-{_slug(params[name])}")
    if "seed" in params:
        parts.append(f"seed-{params['seed']}")
    name = ".".join(parts)
    if len(name) > LONGEST:  # no file's name may be longer than 255 bytes, with its ending and that of a lock
        name = f"{name[:LONGEST]}~{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return f"{_slug(params.get('method', fn.__name__))}/{_slug(params.get('dataset', 'no-data'))}/{name}"


def identity_of(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters that name a run: where it ran is provenance, not identity."""
    return {name: value for name, value in params.items() if name != "device"}


def _same_run(record: Record, fn: Callable, params: dict[str, Any]) -> bool:
    """Whether a record is of this run."""
    return identity_of(_settings(record, fn)) == json.loads(json.dumps(identity_of(params)))


def _settings(record: Record, fn: Callable) -> dict[str, Any]:
    """The parameters of a record, all of them and each with its value, as JSON has them.

    A setting that is younger than the record had its default then; an older record holds None, or 0 for JULE's eta,
    where a data set's own value was meant.
    """
    known = inspect.signature(fn).parameters.items()
    younger = {name: p.default for name, p in known if name not in record.params and p.default is not p.empty}
    return filled(fn, {**json.loads(json.dumps(younger)), **record.params})


def key_in(store: Store, fn: Callable, params: dict[str, Any]) -> str:
    """The key under which a store keeps this run, or would keep it: another run may have the readable name already."""
    key = key_of(fn, params)
    taken = store.read(key)
    if taken is None or _same_run(taken, fn, params):
        return key
    text = json.dumps(identity_of(params), sort_keys=True)
    return f"{key}~{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def is_stale(record: Record, fn: Callable, params: dict[str, Any], store: Store) -> bool:
    """Whether other code than today's made the record, or (quick profile) other versions."""
    if store.profile == "quick":
        gpu = provenance.on_gpu(record.provenance)
        return record.sources != mark_of(fn, params, gpu) or record.provenance["versions"] != provenance.versions()
    return freshness.judge(record, fn).state == "stale"


def _split(result: dict[str, Any], key: str) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """A run's result as metrics (plain finite numbers) and arrays."""
    arrays = {name: value for name, value in result.items() if isinstance(value, np.ndarray)}
    metrics = {name: float(value) for name, value in result.items() if name not in arrays}
    bad = [name for name, value in metrics.items() if not np.isfinite(value)]
    if bad:
        raise ValueError(f"{key}: not finite: {', '.join(bad)}")
    return metrics, arrays


def _dataset_checksum(params: dict[str, Any]) -> str | None:
    from clustlib import datasets

    if "dataset" not in params:
        return None
    if datasets.info(params["dataset"]).streamed:
        return datasets.ImageFolder(datasets.folder(params["dataset"])).checksum
    return datasets.load(params["dataset"]).checksum


# the run that is being computed, (function, parameters): what it leaves in the cache is part of it
asking: ContextVar[tuple[Callable, dict[str, Any]] | None] = ContextVar("asking", default=None)


def _compute(fn: Callable, params: dict[str, Any], key: str, store: Store) -> Record:
    provenance.reset_peak_memory()
    started, clock = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), time.perf_counter()
    token = asking.set((fn, identity_of(params)))
    try:
        metrics, arrays = _split(fn(**params), key)
    finally:
        asking.reset(token)
    seconds = round(time.perf_counter() - clock, 3)
    origin = {
        **provenance.environment(),
        "function": freshness.place_of(fn),
        "started": started,
        "peak_memory_mb": provenance.peak_memory_mb(),
        "dataset_sha256": _dataset_checksum(params),
    }
    through = mark_of(fn, params, gpu=provenance.on_gpu(origin))
    return store.write(key, params, metrics, arrays, seconds=seconds, provenance=origin, sources=through)


def run(fn: Callable, *, profile: str = "quick", recompute: str = "stale", **params: Any) -> Record:
    """The record of ``fn(**params)``: replayed where it exists, computed and saved where it does not.

    Parameters
    ----------
    fn : a module-level function of clustlib that returns a dict of numbers and small arrays.
    profile : "quick" or "paper": which store.
    recompute : "never" (replay only), "missing", "stale" (missing, or made by other sources) or "all".

    Raises
    ------
    UsageError : an unknown profile, ``recompute`` or parameter name.
    NoRecord : ``recompute="never"`` and there is no record.
    RecordCorrupt : the record on disk is half-written or was edited.
    """
    if recompute not in RECOMPUTE:
        raise UsageError(f"recompute must be one of {', '.join(RECOMPUTE)}; got {recompute!r}")
    store, params = open_store(profile), bind(fn, params)
    key = key_in(store, fn, params)
    _requested.setdefault(key)

    def usable() -> Record | None:
        record = store.read(key) if recompute != "all" else None
        if record is None or (recompute not in ("never", "missing") and is_stale(record, fn, params, store)):
            return None
        return stated(record, fn)

    record = usable()
    if record is not None:
        return record
    if recompute == "never":
        raise NoRecord("no record yet")
    with store.lock(key_of(fn, params)):
        key = key_in(store, fn, params)  # another process may have taken the name meanwhile
        return usable() or _compute(fn, params, key, store)


def stated(record: Record, fn: Callable) -> Record:
    """The record with the value of every setting that it has."""
    settings = _settings(record, fn)
    return replace(record, params={name: settings[name] for name in record.params})


def load(key: str, profile: str = "paper") -> Record:
    """The record of a key, as listed by ``open_store(profile).all_keys()``. Raises ``KeyError`` if absent."""
    record = open_store(profile).read(key)
    if record is None:
        raise KeyError(f"no record {key} in the {profile} store")
    try:
        return stated(record, freshness.run_function(record))
    except LookupError:  # its function is gone
        return record


class Runs(list):
    """The outcomes of a grid of runs: each a :class:`Record` or a :class:`Missing`."""

    @property
    def records(self) -> list[Record]:
        """Those that have a record."""
        return [outcome for outcome in self if isinstance(outcome, Record)]

    @property
    def missing(self) -> list[Missing]:
        """Those that have none, each with its reason."""
        return [outcome for outcome in self if isinstance(outcome, Missing)]

    def cells(self, **metrics: str) -> "pd.DataFrame":
        """One row per run and metric, ready for ``published.compare``.

        ``metrics`` maps the table's metric names to the records': ``cells(nmi="nmi_geometric")``.
        Columns: dataset, method, metric, value, seed, seconds (``Record.run_seconds``), device, reason, variant (of the
        run, of the fit that it rests on, or its network, where it has one; ``OWN_WEIGHTS``), record (its key, or None).
        """
        import pandas as pd  # here, so that timings can be taken where there is none

        frame = pd.DataFrame(self._rows(metrics), columns=[*CELL_COLUMNS, "variant", "record"])
        return frame.astype({"value": float, "seconds": float})  # of no rows, too: they are put below others

    def _rows(self, metrics: dict[str, str]) -> Iterator[tuple]:
        for outcome in self:
            names = tuple(outcome.params.get(name) for name in ("dataset", "method"))
            seed = outcome.params.get("seed")
            named = next((outcome.params[name] for name in _VARIANTS if name in outcome.params), None)
            variant = OWN_WEIGHTS if outcome.params.get("weights") else named
            for metric, stored in metrics.items():
                if isinstance(outcome, Missing):
                    yield (*names, metric, np.nan, seed, np.nan, None, outcome.reason, variant, None)
                else:
                    value, device = outcome.metrics[stored], outcome.provenance["device"]
                    yield (*names, metric, value, seed, outcome.run_seconds, device, None, variant, outcome.key)


OWN_WEIGHTS = "own weights"  # the variant of a run on a network that was trained elsewhere
_VARIANTS = ("reading", "variant", "cnn")  # settings that name the variant of a run, the first that it has
CELL_COLUMNS = ["dataset", "method", "metric", "value", "seed", "seconds", "device", "reason"]


def constant_cells(rows: Iterable[tuple[str, str, str, float]]) -> "pd.DataFrame":
    """What is counted or set and not run, (data set, method, metric, value) a row, as cells like those of ``Runs``.

    Columns: ``CELL_COLUMNS``; such a cell has no seed, took no seconds and ran on no device.
    """
    import pandas as pd

    return pd.DataFrame([(*row, None, np.nan, None, None) for row in rows], columns=CELL_COLUMNS)


def _attempt(fn: Callable, profile: str, recompute: str, params: dict[str, Any]) -> Record | Missing:
    """One run of a grid: what data, memory, a device, a package or a damaged record forbid costs only this cell."""
    try:
        return run(fn, profile=profile, recompute=recompute, **params)
    except NoRecord as error:
        return Missing(params, str(error))
    except DataMissing:
        return Missing(params, f"needs {params['dataset']}: see the page on data sets")
    except (MemoryError, DeviceMissing, PackageMissing, RecordCorrupt) as error:
        return Missing(params, str(error))


def grid(
    fn: Callable,
    *,
    profile: str = "quick",
    recompute: str = "stale",
    once: Iterable[str] = (),
    **params: Any,
) -> Runs:
    """:func:`run` for every combination of the parameters given as lists, with a progress bar.

    ``once`` names the methods that do not depend on the seed: they run with the first seed only.
    A run that its data, memory, devices or packages do not allow becomes a :class:`Missing` with its reason; a wrong
    parameter stops the grid before any work.
    """
    lists = {name: value if isinstance(value, (list, tuple)) else [value] for name, value in params.items()}
    for name, values in lists.items():
        if not values:
            raise UsageError(f"{name} is empty: nothing to run")
    combinations = [dict(zip(lists, values)) for values in itertools.product(*lists.values())]
    once = set(once)
    chosen = [c for c in combinations if c.get("method") not in once or c.get("seed") == lists["seed"][0]]
    for combination in chosen:
        bind(fn, combination)
    check = getattr(fn, "check", None)
    if check:
        for combination in chosen:
            check(**combination)
    from tqdm.auto import tqdm

    bar = tqdm(chosen, desc=fn.__name__.replace("_", " "), unit="run", leave=False)
    runs = Runs()
    for combination in bar:
        bar.set_postfix_str(" ".join(str(combination[name]) for name in ("dataset", "method") if name in combination))
        runs.append(_attempt(fn, profile, recompute, combination))
    return runs
