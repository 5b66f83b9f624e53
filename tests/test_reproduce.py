"""Running notebooks: parameters, failures, plain Python, the whole workflow, and what a kill leaves behind."""

import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from small_book import (
    FINISH,
    PARAMETERS,
    calls,
    command_line,
    descendants,
    kill,
    lay_out,
    make,
    run_cli,
    set_default,
    targets,
    working_notebook,
    write_entry,
    write_notebook,
)

from clustlib import results
from clustlib.errors import UsageError
from clustlib.records.store import lock
from clustlib.reproduce import notebook as nb
from clustlib.reproduce import running, workflow
from clustlib.reproduce.__main__ import main


def test_names_parameters_and_keys(book):
    write_notebook(book, "jule", "table-03-nmi-raw-pixels")
    found = nb.find("jule/table-03-nmi-raw-pixels")
    assert found.key == "table-03"
    assert found.defaults() == {"profile": "quick", "recompute": "stale", "value": 0.5, "seconds": 0}
    for stem, key in {
        "fig-09a-alpha": "fig-09a",
        "fig-stages": "fig-stages",
        "average-tables": "average-tables",
    }.items():
        assert nb.Notebook(book / "notebooks/jule" / f"{stem}.ipynb").key == key


def test_a_misspelt_parameter_or_notebook_is_an_error_before_any_work(book):
    write_notebook(book, "jule", "table-03")
    with pytest.raises(UsageError, match=r"valu.*did you mean value"):
        nb.checked(nb.find("jule/table-03"), {"valu": 1}, "command line")
    with pytest.raises(UsageError, match="did you mean jule/table-03"):
        nb.find("jule/table-30")
    write_entry(book, "jule", "table-03", "profile: {vale: 1}")
    with pytest.raises(UsageError, match="paper profile: jule/table-03 has no parameter 'vale'"):
        nb.profile_parameters(nb.find("jule/table-03"), "paper")


def test_profile_parameters(book):
    write_notebook(book, "jule", "table-03")
    write_entry(book, "jule", "table-03", "profile: {value: 2, seconds: 1}")
    assert nb.profile_parameters(nb.find("jule/table-03"), "paper") == {
        **{"profile": "paper", "recompute": "never"},  # of all notebooks that have such a parameter
        **{"value": 2, "seconds": 1},
    }
    write_notebook(book, "jule", "table-10")
    write_entry(book, "jule", "table-10", "profile_like: table-03\nprofile: {value: 3}")
    assert nb.profile_parameters(nb.find("jule/table-10"), "paper")["seconds"] == 1
    assert nb.profile_parameters(nb.find("jule/table-10"), "paper")["value"] == 3
    write_entry(book, "jule", "average", "profile: {value: 4}", notebook="table-03")
    with pytest.raises(UsageError, match="two entries of jule set the paper profile of table-03"):
        nb.profile_parameters(nb.find("jule/table-03"), "paper")
    assert nb.profile_parameters(nb.find("jule/table-03"), "quick") == {}


@pytest.mark.parametrize("text", ["{}", "not json", '{"cells": []}'])
def test_a_file_that_is_no_notebook(book, text):
    path = book / "notebooks/jule/table-03.ipynb"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError):
        nb.find("jule/table-03").defaults()


def own_result(folder: Path) -> Path:
    """The one result of a run with parameters of its own."""
    (found,) = (folder / "_build/own").glob("*/*/*/*/result.json")
    return found


def test_plain_python_writes_the_same_result_as_jupyter(book):
    write_notebook(book, "jule", "table-03")
    contents = []
    for extra in ([], ["--plain"]):
        done = run_cli(book, "run", "jule/table-03", "--set", "value=0.25", *extra)
        assert done.returncode == 0, done.stderr
        content = json.loads(own_result(book).read_text(encoding="utf-8"))
        content.pop("seconds")
        contents.append(content)
    assert contents[0] == contents[1]
    assert contents[0]["regression"] == {"value": 0.25}


def test_plain_python_needs_no_jupyter(book):
    """The protocol runs where papermill, Jupyter, faiss, pooch, psutil and Snakemake cannot be imported."""
    imports = "from clustlib import jule, records, results\ndisplay('what Jupyter shows', 1)\n"
    write_notebook(book, "jule", "table-03", PARAMETERS, imports, FINISH)
    script = """
import sys
for name in ("papermill", "nbformat", "IPython", "ipykernel", "faiss", "pooch", "snakemake", "psutil", "jupyter_core"):
    sys.modules[name] = None
from clustlib.reproduce.__main__ import main
sys.exit(main(["run", "jule/table-03", "--plain"]))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=book, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr


def test_a_notebook_does_not_wait_for_the_grammar_of_iris():
    script = "from clustlib.reproduce import running as n; n.without_iri_syntax(); import papermill, sys; "
    script += "print([name for name in sys.modules if name.startswith('lark')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, encoding="utf-8")
    assert done.stdout.strip() == "[]"


def test_one_clear_line_and_exit_code_2(book):
    write_notebook(book, "jule", "table-03")
    done = run_cli(book, "run", "jule/table-03", "--set", "sede=1")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "sede" in done.stderr


def test_a_failing_notebook_says_why_and_keeps_its_page(book):
    set_default(write_notebook(book, "jule", "table-03"), "value = 0.5", "value = -1")
    done = run_cli(book, "run", "jule/table-03")
    assert done.returncode == 1
    assert "failed: ValueError: value must not be negative" in done.stdout
    assert "value must not be negative" in (book / "_build/quick/notebooks/jule/table-03.ipynb").read_text(
        encoding="utf-8"
    )
    assert [r.status for r in results.read("quick")] == ["ValueError: value must not be negative"]


@pytest.mark.parametrize(("message", "starts"), [("Kernel died before replying to kernel_info", 3), ("Kernel died", 1)])
def test_a_kernel_that_does_not_come_up_is_started_again(book, monkeypatch, message, starts):
    import papermill

    path = write_notebook(book, "jule", "table-03")
    seen = []

    def execute_notebook(*arguments, **options):
        seen.append(arguments)
        raise RuntimeError(message)

    monkeypatch.setattr(papermill, "execute_notebook", execute_notebook)
    with pytest.raises(running.NotebookFailed, match=message):
        running.execute(nb.find("jule/table-03"), {}, path.with_suffix(".out"))
    assert len(seen) == starts


def test_a_full_disk_is_one_line_that_keeps_its_reason(book, capsys, monkeypatch):
    path = f"/{'long/' * 60}checkpoint.pt"
    said = f"could not write {path}: No space left on device"
    write_notebook(book, "jule", "table-03", f"raise OSError(28, {said!r})")
    monkeypatch.chdir(book)
    with pytest.raises(running.NotebookFailed, match=r"No space left on device$") as error:
        running.execute_plain(nb.find("jule/table-03"), {})
    assert len(error.value.line) <= 200 and error.value.line.startswith("OSError: [Errno 28] could not write /long")
    assert capsys.readouterr().err == ""


def test_other_parameters_have_a_place_of_their_own(book):
    path = write_notebook(book, "jule", "table-03")
    assert run_cli(book, "run", "jule/table-03").returncode == 0
    before = {file: file.read_bytes() for file in (book / "_build/quick").rglob("*") if file.is_file()}
    done = run_cli(book, "run", "jule/table-03", "--set", "value=0.25")
    assert done.returncode == 0
    assert {file: file.read_bytes() for file in (book / "_build/quick").rglob("*") if file.is_file()} == before
    own = own_result(book)
    assert f"result: {own}" in done.stdout
    assert f"page: {own.with_name(path.name)}" in done.stdout
    assert "value: 0.25" in done.stdout
    assert json.loads(own.read_text(encoding="utf-8"))["others"] == {"value": 0.25}
    assert done.stderr == ""  # Jupyter has nothing to warn of


@pytest.mark.parametrize("given", [{"value": 0.5}, {"recompute": "all"}, {}])
def test_the_profiles_own_parameters_make_the_books_result(book, given):
    write_notebook(book, "jule", "table-03")
    place = running.place(nb.find("jule/table-03"), "quick", given)
    assert place.result == results.path("quick", "jule", "table-03")


def test_each_choice_of_parameters_has_its_place(book):
    write_notebook(book, "jule", "table-03")
    given = [{"value": value} for value in (0.1, 0.2, -0.1, [0.1], "a" * 300, "../../up")] + [{"seconds": 1}]
    places = [
        running.place(nb.find("jule/table-03"), profile, each) for profile in ("quick", "paper") for each in given
    ]
    assert len({place.result for place in places}) == len(places)
    for place in places:
        assert place.result.resolve().is_relative_to(book / "_build/own")
        assert max(map(len, place.result.parts)) < 120


@pytest.mark.parametrize("extra", [[], ["--plain"]], ids=["jupyter", "plain"])
@pytest.mark.parametrize("last", ["raise SystemExit", "raise SystemExit(0)", 'raise KeyError("no")'])
def test_a_notebook_that_does_not_reach_its_end_has_failed(book, last, extra):
    write_notebook(book, "jule", "table-03", PARAMETERS, f"from clustlib import results\n{last}\n", FINISH)
    assert run_cli(book, "run", "jule/table-03", *extra).returncode == 1
    (found,) = results.read("quick")
    assert found.status not in (results.OK, results.UNFINISHED)
    assert "\n" not in found.status


def test_opened_by_hand_a_notebook_leaves_the_books_results(book):
    file = hand_on("table-03", metrics={"value": 0.5})
    before = file.read_bytes()
    results.finish("jule", "table-03", profile="quick", metrics={"value": 0.1})
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_a_page_holds_no_bar_and_nothing_of_this_machine(book):
    code = """
import warnings
from pathlib import Path
from tqdm.auto import tqdm, trange
for _ in tqdm(range(3), desc="bar"): pass
for _ in trange(3): pass
print("lies in", Path.cwd() / "here")
"""
    write_notebook(book, "jule", "table-03", PARAMETERS, f"from clustlib import results\n{code}", FINISH)
    assert run_cli(book, "run", "jule/table-03").returncode == 0
    page = (book / "_build/quick/notebooks/jule/table-03.ipynb").read_text(encoding="utf-8")
    for word in ("widget", 'bar": ', "it/s", str(book), "input_path", "output_path"):
        assert word not in page.replace('desc=\\"bar', "")
    assert "lies in notebooks/jule/here" in page


@pytest.mark.parametrize("name", ["with space", "{b}", "100%s", "ünder", "$HOME"])
def test_a_checkout_may_have_any_name(tmp_path, name):
    folder = tmp_path / name
    for part in ("notebooks", "book/records", "book/published"):
        (folder / part).mkdir(parents=True)
    (folder / "_config.yml").write_text("title: test\n", encoding="utf-8")
    lay_out(folder)
    done = run_cli(folder, "book", "--cores", "2", "--", targets("quick")[0])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "table-01                ok" in done.stdout


@pytest.mark.parametrize("locale", [{"PYTHONUTF8": "0", "LC_ALL": "C"}, {"HOME": "/proc/none"}], ids=["ascii", "home"])
def test_neither_an_ascii_locale_nor_a_read_only_home_matters(small_book, locale):
    text = 'print("αβγ ✔")\nfrom clustlib import results\n'
    write_notebook(small_book, "jule", "table-01", PARAMETERS, text, FINISH)
    done = run_cli(small_book, "book", "--cores", "2", "--", targets("quick")[0], **locale)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "αβγ ✔" in (small_book / "_build/quick/notebooks/jule/table-01.ipynb").read_text(encoding="utf-8")
    for extra in ([], ["--plain"]):
        assert run_cli(small_book, "run", "jule/table-01", *extra, **locale).returncode == 0


@pytest.mark.parametrize(
    "arguments", [["run", "jule/table-01"], ["run", "jule/table-01", "--plain"], ["book"], ["html"]]
)
def test_where_nothing_can_be_written_one_line_says_so(small_book, arguments):
    (small_book / "_build").write_text("a file where the folder should be", encoding="utf-8")
    done = run_cli(small_book, *arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "_build" in done.stderr


def test_a_full_disk_is_one_line_and_no_result(book, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    write_notebook(book, "jule", "table-03")
    monkeypatch.setattr("os.fsync", full)
    assert main(["run", "jule/table-03", "--plain"]) == 2
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("OSError: could not write") and "No space left" in said
    assert results.read("quick") == []


def test_the_source_notebook_is_never_written(book):
    path = write_notebook(book, "jule", "table-03")
    before = path.read_bytes()
    run_cli(book, "run", "jule/table-03")
    assert path.read_bytes() == before


def hand_on(key: str, status: str = results.OK, paper: str = "jule", **outcome) -> Path:
    """What a run of the book's own parameters leaves of a paper's notebook ``key``."""
    file = results.path("quick", paper, key)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(results.PLACE, str(results.handed_on(file)))
        results.finish(paper, key, profile="quick", **outcome)
    results.close(file, "quick", paper, key, status, 1.0)
    return file


def test_regression_bands(book, capsys):
    def finish(value: float) -> str:
        hand_on("table-03", metrics={"nmi": value})
        return capsys.readouterr().out

    assert "no band yet" in finish(0.7)
    results.write_bands()
    assert "inside, band 0.680 to 0.720" in finish(0.71)
    assert results.outside() == []
    assert "OUTSIDE at 0.7300" in finish(0.73)
    assert len(results.outside()) == 1
    hand_on("table-03", metrics={"other": 1.0})
    assert len(results.outside()) == 2  # a metric without a band, and a band whose metric is gone


def test_cells_come_back_as_numbers(book):
    cells = pd.DataFrame({"dataset": ["a", "b"], "method": "m", "metric": "nmi", "value": [np.nan, np.nan], "seed": 0})
    hand_on("table-03", measured=cells)
    back = results.read("quick")[0].measured
    assert back["value"].dtype == np.float64
    assert back["value"].isna().all()
    pd.testing.assert_frame_equal(back[list(cells)], cells)


def test_a_line_of_progress_is_written_in_one_piece(book, monkeypatch):
    """Jobs share a pipe: a line written in parts is torn by the other job's."""
    write_notebook(book, "jule", "table-03")
    written = []
    monkeypatch.chdir(book)
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(write=written.append, flush=lambda: None))
    assert main(["run", "jule/table-03", "--set", "value=100"]) == 1
    assert [text[0] for text in written] == [">", "!"]
    assert all(text.count("\n") == 1 and text.endswith("\n") for text in written)


def test_bands_of_some_notebooks_leave_the_others(book):
    hand_on("table-03", metrics={"nmi": 0.7})
    hand_on("table-10", metrics={"nmi": 0.5})
    results.write_bands()
    hand_on("table-03", metrics={"nmi": 0.1})
    hand_on("table-10", metrics={"nmi": 0.2})
    results.write_bands(["jule/table-10"])
    assert results.bands() == {"jule/table-03": {"nmi": [0.68, 0.72]}, "jule/table-10": {"nmi": [0.18, 0.22]}}


def test_nothing_that_a_clock_measures_has_a_band():
    timed = ("second", "slope_", "share_of_epoch", "time")
    banded = [name for found in results.bands().values() for name in found if any(part in name for part in timed)]
    assert results.bands() and not banded


def test_pages_of_the_guide_have_bands_too(book):
    hand_on("your-own-images", paper="guide", metrics={"nmi": 0.7})
    results.write_bands(["guide/your-own-images"])
    assert results.bands() == {"guide/your-own-images": {"nmi": [0.68, 0.72]}}


# The whole workflow, on a book of three small notebooks and no HTML.


def test_workflow_runs_each_once_and_then_what_a_change_touches(small_book):
    done = make(small_book, "quick", "paper")
    assert done.returncode == 0, done.stdout + done.stderr
    everything = sorted(f"{p} {n}" for p in ("quick", "paper") for n in ("table-01", "table-02", "dashboard"))
    assert calls(small_book) == everything
    assert "[  6/6" in done.stdout
    again = make(small_book, "quick", "paper")
    assert again.returncode == 0
    assert calls(small_book) == everything
    (small_book / "calls.txt").unlink()
    time.sleep(1.1)  # file dates have seconds
    write_entry(small_book, "jule", "table-01", "profile: {value: 0.55}")
    set_default(small_book / "notebooks/jule/table-02.ipynb", "value = 0.5", "value = 0.45")
    make(small_book, "quick", "paper")
    assert calls(small_book) == everything  # every notebook of a paper reads what goes with its tables


def test_one_failing_notebook_costs_only_its_page(small_book):
    path = small_book / "notebooks/jule/table-01.ipynb"
    set_default(path, "value = 0.5", "value = -1")
    done = make(small_book)
    assert done.returncode == 1
    assert "jule/table-01" in done.stdout
    assert "ValueError: value must not be negative" in done.stdout
    assert len(calls(small_book)) == 3
    set_default(path, "value = -1", "value = 0.5")
    assert make(small_book).returncode == 0
    assert calls(small_book).count("quick table-01") == 2
    assert calls(small_book).count("quick table-02") == 1


def test_a_number_out_of_its_band_fails_the_book(small_book):
    set_default(small_book / "notebooks/jule/table-01.ipynb", "value = 0.5", "value = 0.9")
    done = make(small_book)
    assert done.returncode == 1
    assert "jule/table-01: value = 0.9000" in done.stdout


@pytest.mark.parametrize("victim", ["driver", "kernel"])
def test_a_kill_loses_only_what_was_running(small_book, victim):
    slow = small_book / "notebooks/jule/table-02.ipynb"
    set_default(slow, "seconds = 0", "seconds = 25")
    command = [sys.executable, "-m", "clustlib.reproduce", "book", "--cores", "2", "--", *targets("quick")]
    driver = subprocess.Popen(command, cwd=small_book, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    finished = small_book / "_build/quick/results/jule/table-01.json"
    deadline = time.monotonic() + 120
    while not (
        finished.is_file()
        and "status" in finished.read_text(encoding="utf-8")
        and "quick table-02" in calls(small_book)
    ):
        assert time.monotonic() < deadline, "the workflow did not get going"
        time.sleep(0.2)
    family = descendants(driver.pid)
    if victim == "driver":
        for pid in (driver.pid, *family):
            kill(pid)
        driver.wait()
    else:
        for pid in family:
            if "ipykernel_launcher" in command_line(pid) and working_notebook(pid, small_book):
                kill(pid)
        assert driver.wait(timeout=120) == 1
        assert "DeadKernelError" in (small_book / "_build/quick/results/jule/table-02.json").read_text(encoding="utf-8")
    set_default(slow, "seconds = 25", "seconds = 0")
    before = calls(small_book).count("quick table-01")
    done = make(small_book)
    assert done.returncode == 0, done.stdout + done.stderr
    assert calls(small_book).count("quick table-01") == before
    assert [result.status for result in results.read("quick")] == ["ok"] * 3


def test_two_makes_at_once_do_not_meet(small_book):
    lock = small_book / "_build/lock"
    lock.parent.mkdir()
    fcntl = pytest.importorskip("fcntl")
    with open(lock, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = make(small_book)
    assert done.returncode == 2
    assert "another make is at work" in done.stderr


def test_outdated_results_are_forgotten(book):
    write_notebook(book, "jule", "table-01")
    file = hand_on("table-01", metrics={"value": 0.5})
    workflow.forget_outdated(computing=False)
    assert file.is_file()
    hand_on("table-01", "ValueError: no")
    workflow.forget_outdated(computing=False)
    assert not file.is_file()


def test_what_has_no_notebook_any_more_is_forgotten(book):
    path = write_notebook(book, "jule", "table-01")
    file, page = hand_on("table-01", metrics={"value": 0.5}), book / workflow.executed("quick", nb.Notebook(path))
    page.parent.mkdir(parents=True)
    page.write_text("{}", encoding="utf-8")
    left = [page.with_name(".table-01.4711.ipynb"), workflow.unfinished(page)]
    for each in left:
        each.write_text("half a page", encoding="utf-8")
    with lock(workflow.page_lock(page)):  # a run is at work on it
        workflow.forget_outdated(computing=False)
        assert [file.is_file(), page.is_file(), *(each.is_file() for each in left)] == [True, True, False, True]
    workflow.forget_outdated(computing=False)
    assert not left[1].is_file()
    path.unlink()
    workflow.forget_outdated(computing=False)
    assert not file.is_file() and not page.is_file()


DAMAGED = ["[]", "", "null", "{", '"ok"', '{"key": "table-01", "comparison": 5}', '{"comparison": [1]}', "[" * 100_000]
WRONG = [
    '"records": 3',
    '"records": [3]',
    '"regression": [1]',
    '"regression": {"a": "b"}',
    '"status": null',
    '"paper": 1',
]
DAMAGED += [f'{{"paper": "jule", "key": "table-01", "status": "ok", {pair}}}' for pair in WRONG]


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_result_is_one_line_and_made_again(book, text):
    write_notebook(book, "jule", "table-01")
    file = hand_on("table-01", metrics={"value": 0.5})
    file.write_text(text, encoding="utf-8")
    with pytest.raises(results.ResultDamaged, match=r"table-01\.json"):
        results.read("quick")
    workflow.forget_outdated(computing=False)
    assert not file.is_file()


@pytest.mark.parametrize(
    "text", ["[]", "a: [", "profile: 5", "title: 5", "claims: 5", "bands: [1]", "5", "kind: tabel"]
)
def test_a_damaged_entry_is_one_line(book, text):
    write_notebook(book, "jule", "table-03")
    path = write_entry(book, "jule", "table-03")
    whole = path.read_text(encoding="utf-8")
    lines = [line for line in whole.splitlines() if line.partition(":")[0] != text.partition(":")[0]]
    path.write_text("\n".join([*lines, text]) if ":" in text and text != "a: [" else text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"table-03\.yml") as raised:
        nb.profile_parameters(nb.find("jule/table-03"), "paper")
    assert "\n" not in str(raised.value)


def test_a_result_that_another_job_takes_away_meanwhile_is_not_there(tmp_path, monkeypatch):
    gone = tmp_path / "table-01.json"
    monkeypatch.setattr(results, "_files", lambda profile, paper: [gone])
    assert results.read("quick") == [] and results.state("quick") == ()
