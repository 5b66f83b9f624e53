"""What we measured: one record per run, kept with where it came from, and replayed exactly.

A run is a call of a plain function, ``run(fn, **params)``, whose result is a dict: its numbers become
the record's metrics, its small arrays go beside it into one ``.npz``. A run that exists is replayed;
one that is missing, or whose sources have changed, is computed and saved atomically. A run serves
every table and figure that shows it.

Two stores hold records. The *paper* store is ``book/records`` (committed: the evidence that the
published pages show); the *quick* store lies under ``_build`` and is computed anew on each machine.
"""

from clustlib.records.artifacts import artifact
from clustlib.records.freshness import judge
from clustlib.records.provenance import environment
from clustlib.records.runs import RECOMPUTE, Missing, NoRecord, Runs, declare, grid, load, requested, run
from clustlib.records.store import Record, Store, digest, open_store

__all__ = [
    "RECOMPUTE",
    "Missing",
    "NoRecord",
    "Record",
    "Runs",
    "Store",
    "artifact",
    "declare",
    "digest",
    "environment",
    "grid",
    "judge",
    "load",
    "open_store",
    "requested",
    "run",
]
