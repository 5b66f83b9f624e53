"""Timings: what a script of ``benchmarks/`` hands on, and the performance page made of it.

A benchmark's file holds a title, a note, the machine, one row per measurement, and the bars that the
project has set itself. Scripts write to ``_build/bench``; the files under ``book/benchmarks`` are
committed and shown on the page, with the device's name.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from clustlib import _paths, records


@dataclass(frozen=True)
class Bar:
    """A limit that was set beforehand, and what was measured. ``unit`` is "s", "GB", "times" ..."""

    work: str
    quantity: str
    unit: str
    limit: float
    measured: float
    at_least: bool = False  # the limit is a floor, such as a speed-up

    @property
    def held(self) -> bool:
        """Whether the measurement keeps to the limit."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


@dataclass(frozen=True)
class Plot:
    """Curves over a common x, on logarithmic axes: ``curves`` maps a name to values as long as ``x``."""

    x: Sequence[float]
    curves: Mapping[str, Sequence[float]]
    xlabel: str
    ylabel: str


@dataclass(frozen=True)
class Timing:
    """One benchmark's outcome. ``rows`` are flat dicts with the same meaning per key; a missing key is a blank."""

    name: str
    title: str
    note: str
    rows: Sequence[dict[str, Any]]
    bars: Sequence[Bar] = ()
    plots: Sequence[Plot] = ()
    machine: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: Path | None = None) -> Path:
        """Write ``<folder>/<name>.json`` atomically with this machine's description; ``_build/bench`` by default."""
        import os

        threads = os.environ.get("OMP_NUM_THREADS") or os.cpu_count()
        machine = {**records.environment(), "threads": int(threads or 1)}
        path = (folder or _paths.build("bench")) / f"{self.name}.json"
        content = json.dumps({**asdict(self), "machine": machine}, indent=1, ensure_ascii=False)
        _paths.write_atomically(path, content.encode() + b"\n")
        return path


def read(folder: Path | None = None) -> list[Timing]:
    """The committed timings, by name; ``book/benchmarks`` by default."""
    timings = []
    for path in sorted((folder or _paths.book("benchmarks")).glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        bars = [Bar(**bar) for bar in content.pop("bars")]
        plots = [Plot(**plot) for plot in content.pop("plots")]
        timings.append(Timing(**content, bars=bars, plots=plots))
    return timings


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def table(timing: Timing) -> tuple[list[str], list[list[str]]]:
    """The measurements as a header and rows of text."""
    columns = list(dict.fromkeys(name for row in timing.rows for name in row))
    return columns, [[_number(row[name]) if name in row else "" for name in columns] for row in timing.rows]


def bars_table(timing: Timing) -> tuple[list[str], list[list[str]]]:
    """The bars as a header and rows of text."""
    rows = []
    for bar in timing.bars:
        sense = "at least" if bar.at_least else "at most"
        limit, measured = f"{sense} {_number(bar.limit)} {bar.unit}", f"{_number(bar.measured)} {bar.unit}"
        rows.append([bar.work, bar.quantity, limit, measured, "✔ held" if bar.held else "✘ missed"])
    return ["work", "quantity", "bar", "measured", ""], rows


def machine_line(timing: Timing) -> str:
    """One sentence on where and with what the timing was taken."""
    machine = timing.machine
    versions = machine["versions"]
    named = ("python", "numpy", "torch", "triton", "numba", "scikit-learn", "faiss-cpu", "faiss-gpu", "openvino")
    used = ", ".join(f"{name} {versions[name]}" for name in named if name in versions)
    commit = machine["commit"] or "unknown"
    return f"Measured on {machine['device']}, {machine['threads']} threads; {used}; commit {commit}."
