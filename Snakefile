# The book's graph: notebooks -> results -> dashboard -> HTML.
#   make book         the quick profile computed, the paper profile replayed from its records, the HTML
#   make reproduce    the same graph; records that are missing in the paper profile are computed
# A job of a notebook that raises keeps its page and its error and lets the others go on; whoever
# calls the graph reads the results for the verdict.
import os
import shlex

from clustlib.reproduce import forked
from clustlib.reproduce import workflow as book

COMPUTING = os.environ.get("CLUSTLIB_RECOMPUTE", "never") != "never"  # the paper profile's records
PROFILES = config.get("profiles", "quick paper").split()
RUN = shlex.join(forked.command(["python", "-m", "clustlib.reproduce", "run"]))
NOTEBOOKS, REPORTS = book.notebooks(), book.reports()

if workflow.is_main_process:  # a cluster's job reads this file too, and must not take away what it is made of
    book.forget_outdated(COMPUTING)


def made(profile, notebooks):
    return [book.result(profile, notebook) for notebook in notebooks]


rule all:
    input:
        [made(profile, NOTEBOOKS + REPORTS) for profile in PROFILES],
        "_build/log/html.done",


for profile in ("quick", "paper"):
    for notebook in NOTEBOOKS + REPORTS:
        rule:
            name: f"{profile} {notebook.name}"
            input:
                book.dependencies(notebook),
                made(profile, NOTEBOOKS) if notebook in REPORTS else [],
            output:
                executed=book.executed(profile, notebook),
                result=book.result(profile, notebook),
            params:
                parameters=book.parameters(notebook, profile),
                notebook=notebook.name,
                profile=profile,
            threads: workflow.cores if profile == "paper" and COMPUTING else 1
            resources:
                gpu=1 if profile == "paper" and COMPUTING else 0,
            shell:
                "OMP_NUM_THREADS={threads} {RUN} {params.notebook}"
                " --profile {params.profile} --output {output.executed} --keep-going"


rule html:
    input:
        made("paper", NOTEBOOKS + REPORTS),
        book.book_files(),
        book.page_sources(),
    output:
        touch("_build/log/html.done"),
    threads: workflow.cores
    shell:
        "python -m clustlib.reproduce html"
