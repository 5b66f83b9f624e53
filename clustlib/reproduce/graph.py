"""Snakemake on the book's graph, with a logger that says how many jobs there are.

``python -m clustlib.reproduce.graph ARGUMENTS`` is what :mod:`clustlib.reproduce.driver` starts and reads: the output
of Snakemake and of its jobs, and one line ``= 12`` where 12 jobs are to be done.
"""

import contextlib
import os
import sys
from collections.abc import Callable
from logging import LogRecord

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

from clustlib import _paths
from clustlib.reproduce import forkserver

NAME = "clustlib"
TOTAL = "= "  # how a line with the number of jobs begins
MANY = 12  # jobs, from which on a server pays that forks them
_with_many: list[Callable[[], None]] = []  # what is done where there are so many


class LogHandler(LogHandlerBase):
    """Snakemake's logger interface: its events beside its own words, which it keeps printing."""

    writes_to_stream = writes_to_file = False
    has_filter = has_formatter = True
    needs_rulegraph = False

    def emit(self, record: LogRecord) -> None:
        """Print the number of jobs when Snakemake has counted them."""
        if getattr(record, "event", None) == LogEvent.RUN_INFO:
            jobs = record.stats  # type: ignore[attr-defined]
            total = jobs["total"] - jobs.get("all", 0)
            sys.stdout.write(f"{TOTAL}{total}\n")
            sys.stdout.flush()
            while total >= MANY and _with_many:
                _with_many.pop()()


def main(arguments: list[str]) -> None:
    """Run Snakemake; leaves by ``SystemExit`` with its code."""
    from snakemake import cli

    # what the paper profile computes has threads of its own, whose number is known when OpenMP is loaded
    replaying = os.environ.get("CLUSTLIB_RECOMPUTE", "never") == "never"
    with forkserver.serving(_paths.build()) if replaying else contextlib.nullcontext(lambda: None) as start:
        _with_many.append(start)
        LoggerPluginRegistry().register_plugin(NAME, sys.modules[__name__])
        cli.main([*arguments, "--logger", NAME])


if __name__ == "__main__":
    main(sys.argv[1:])
