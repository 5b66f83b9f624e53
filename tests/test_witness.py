"""Witnesses: runs of another tree's code, faults that are noticed, and verdicts on changes."""

import ast
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clustlib.records import judgement, witness
from clustlib.records.changes import changed_lines, fault_made, is_as_before, never_executed
from clustlib.records.faults import faults, targets
from clustlib.records.judgement import Name, covering, judge
from clustlib.records.witness import Job, Outcome, Runner, compare, outputs

ROOT = Path(__file__).resolve().parent.parent
SUMS = '''"""Sums."""

LIMIT = 3


def total(values, limit=LIMIT):
    """Those up to a limit."""
    kept = 0
    for value in values:
        if value <= limit:
            kept += value
    return kept


def twice(values):
    return 2 * total(values, 10)


def unused(values):
    return len(values) - 1
'''
WITNESS = """import numpy as np


def sums():
    from made_up.sums import total, twice

    return {"total": np.array([total([1, 2, 3, 4, 5]), total([-1, 9])]), "twice": np.array(twice([1.5, 10, 11]))}


def stops():
    from made_up.sums import total

    return {"error": np.array(total(None))}


WITNESSES = {"sums": sums}
"""


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    with Runner(tmp_path_factory.mktemp("baselines")) as opened:
        yield opened


@pytest.fixture
def tree(tmp_path):
    """A checkout of a package of one module, with a witness that reaches two of its three functions."""
    return _tree(tmp_path / "old", SUMS)


def _tree(root: Path, sums: str, witnesses: str = WITNESS) -> Path:
    for path, text in (
        ("made_up/__init__.py", ""),
        ("made_up/sums.py", sums),
        ("tests/witnesses/__init__.py", witnesses),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


def _judged(runner, old, new, *changed):
    definitions = {Name("made_up.sums", name): Name("made_up.sums", name) for name in changed}
    return judge(old, new, definitions, runner=runner)


def _job(tree, name="sums", **how):
    return Job(tree, tree / "tests" / "witnesses", name, package="made_up", **how)


def test_a_witness_runs_the_code_of_the_tree_that_is_asked(runner, tree, tmp_path):
    other = _tree(tmp_path / "other", SUMS.replace("kept = 0", "kept = 100"))
    assert runner.run(_job(tree)).arrays["total"].tolist() == [6, -1]
    assert runner.run(_job(other)).arrays["total"].tolist() == [106, 99]


def test_the_lines_that_a_witness_executes_are_told_by_module(runner, tree):
    lines = runner.run(_job(tree, trace=True)).lines["made_up.sums"]
    text = SUMS.splitlines()
    assert {text[line - 1].strip() for line in lines} >= {"kept += value", "return 2 * total(values, 10)"}
    assert "return len(values) - 1" not in {text[line - 1].strip() for line in lines}


def test_a_witness_that_fails_or_never_ends_says_so(runner, tree, tmp_path):
    broken = WITNESS.replace('{"sums": sums}', '{"stops": stops}')
    failing = _tree(tmp_path / "failing", SUMS, broken)
    assert runner.run(_job(failing, "stops")).error.startswith("TypeError: ")
    endless = SUMS.replace("    kept = 0\n", "    kept = 0\n    while True:\n        pass\n")
    assert runner.run(_job(tree, mutant=("made_up.sums", endless), timeout=1.0)).error == "ran too long"


def test_a_baseline_is_made_once_and_anew_where_the_code_has_changed(runner, tree, monkeypatch):
    runner.run(_job(tree))
    with monkeypatch.context() as patch:
        patch.setattr(Runner, "_run", lambda self, job: pytest.fail("was made before"))
        assert runner.run(_job(tree)).arrays["total"].tolist() == [6, -1]
    source = tree / "made_up" / "sums.py"
    source.write_text(SUMS.replace("kept = 0", "kept = 7"), encoding="utf-8")  # as long as it was
    assert runner.run(_job(tree)).arrays["total"].tolist() == [13, 6]


def test_a_fault_leaves_nothing_behind(runner, tree):
    before = sorted(tree.rglob("*"))
    wrong = SUMS.replace("kept += value", "kept -= value")
    assert runner.run(_job(tree, mutant=("made_up.sums", wrong))).arrays["total"].tolist() == [-6, 1]
    assert runner.run(_job(tree)).arrays["total"].tolist() == [6, -1]
    assert sorted(tree.rglob("*")) == before


def test_harmless_edits_are_carried(runner, tree, tmp_path):
    edited = SUMS.replace("kept", "found").replace("Those up to a limit", "Add up what is small enough")
    verdict = _judged(runner, tree, _tree(tmp_path / "new", edited), "total")
    assert verdict.carried == [Name("made_up.sums", "total")] and verdict.agreeing == ["sums"]
    assert verdict.trials[0].noticed


@pytest.mark.parametrize(
    "before, after",
    [
        ("value <= limit", "value < limit"),
        ("kept += value", "kept -= value"),
        ("LIMIT = 3", "LIMIT = 4"),
        ("10)", "11)"),
    ],
)
def test_a_fault_is_refused_and_the_first_difference_named(runner, tree, tmp_path, before, after):
    name = {"LIMIT = 3": "LIMIT", "10)": "twice"}.get(before, "total")
    verdict = _judged(runner, tree, _tree(tmp_path / "new", SUMS.replace(before, after)), name)
    assert verdict.carried == []
    assert "->" in verdict.refused[Name("made_up.sums", name)] and "sums" in verdict.differences


def test_what_no_witness_reaches_is_not_carried(runner, tree, tmp_path):
    new = _tree(tmp_path / "new", SUMS.replace("len(values) - 1", "len(values) - 2"))
    verdict = _judged(runner, tree, new, "unused")
    assert "no witness" in verdict.refused[Name("made_up.sums", "unused")]


def test_a_definition_whose_faults_go_unnoticed_is_not_carried(runner, tmp_path):
    blind = "import numpy as np\n\n\ndef sums():\n    from made_up.sums import total\n\n    total([])\n"
    blind += '    return {"nothing": np.zeros(1)}\n\n\nWITNESSES = {"sums": sums}\n'
    old, renamed = _tree(tmp_path / "old", SUMS, blind), SUMS.replace("kept", "found")
    verdict = _judged(runner, old, _tree(tmp_path / "new", renamed, blind), "total")
    assert verdict.agreeing == ["sums"] and verdict.trials[0].missed and not verdict.trials[0].noticed
    unseen = "line 11 changed and no witness executes it"
    assert unseen in verdict.refused[Name("made_up.sums", "total")]
    told = replace(verdict.trials[0], unseen=()).refusal
    assert told and "no witness notices line 8: 0 -> 1; it needs data" in told


def test_more_faults_are_tried_before_a_definition_is_refused(runner, tree, monkeypatch):
    monkeypatch.setattr(judgement, "FAULTS", {10**9: 1})
    asked, tried = judgement.Judge(runner, tree, tree, tree / "tests" / "witnesses", "made_up"), []

    def notices(self, fault, *_):
        tried.append(fault)
        return "sums" if len(tried) == 3 else None

    monkeypatch.setattr(judgement.Judge, "notices", notices)
    total = Name("made_up.sums", "total")
    trial = asked.trial(total, total, asked.outcomes(tree, ["sums"]), most=1)
    assert len(trial.noticed) == 1 and len(trial.missed) == 2 and trial.refusal is None


def test_no_fault_is_tried_where_the_bits_differ(runner, tree, tmp_path, monkeypatch):
    monkeypatch.setattr(judgement.Judge, "notices", lambda *_: pytest.fail("it is refused in any case"))
    verdict = _judged(runner, tree, _tree(tmp_path / "new", SUMS.replace("kept = 0", "kept = 1")), "total")
    assert Name("made_up.sums", "total") in verdict.refused


def test_a_moved_definition_is_compared_with_what_it_was(runner, tree, tmp_path):
    moved = SUMS.replace("def total(", "def summed(").replace("total(values, 10)", "summed(values, 10)")
    asked = WITNESS.replace(
        "    from made_up.sums import total, twice\n",
        "    from made_up import sums as home\n    twice = home.twice\n"
        "    total = home.summed if hasattr(home, 'summed') else home.total\n",
    )
    new = _tree(tmp_path / "new", moved, asked)
    changed = {Name("made_up.sums", "summed"): Name("made_up.sums", "total")}
    assert judge(tree, new, changed, runner=runner).carried == list(changed)


def test_compiled_code_is_that_of_the_tree_that_is_asked(runner, tmp_path):
    inner = "from clustlib.compiled import njit\n\n\n@njit()\ndef total(values):\n    return values[0] + values[1]\n"
    outer = "from clustlib.compiled import njit\nfrom clustlib.inner import total\n\n\n"
    outer += "@njit()\ndef twice(values):\n    return 2 * total(values)\n"
    asked = "import numpy as np\n\n\ndef sums():\n    from clustlib.outer import twice\n\n"
    asked += '    return {"twice": np.array(twice(np.array([1, 5])))}\n\n\nWITNESSES = {"sums": sums}\n'

    def tree(name: str, inner: str) -> Path:
        package = tmp_path / name / "clustlib"
        package.mkdir(parents=True)
        for module in ("compiled.py", "sources.py"):
            shutil.copy(ROOT / "clustlib" / module, package)
        for module, text in (("__init__", ""), ("inner", inner), ("outer", outer)):
            (package / f"{module}.py").write_text(text, encoding="utf-8")
        (tmp_path / name / "tests/witnesses").mkdir(parents=True)
        (tmp_path / name / "tests/witnesses/__init__.py").write_text(asked, encoding="utf-8")
        return tmp_path / name

    trees = tree("one", inner), tree("two", inner.replace("+", "*"))
    found = [outputs(one, ["sums"], jit=True, runner=runner)["sums"].arrays["twice"].item() for one in trees]
    assert found == [12, 10]
    assert list((runner.folder / "numba").rglob("*.nbi")) and not list(tmp_path.rglob("*.nbi"))


def test_differences_are_told_where_they_begin():
    a = {"labels": np.array([0, 3, 3]), "centres": np.array([[1.0, np.nan]])}
    assert compare(Outcome(a), Outcome({name: value.copy() for name, value in a.items()})) is None
    assert compare(Outcome(a), Outcome({**a, "labels": np.array([0, 3, 5])})) == "labels[2] 3 -> 5"
    assert compare(Outcome(a), Outcome({**a, "centres": np.array([[1.0, 2.0]])})) == "centres[0, 1] nan -> 2.0"
    assert "int64" in compare(Outcome(a), Outcome({**a, "labels": np.array([0, 3, 3], np.int32)}))
    assert compare(Outcome(a), Outcome({"labels": a["labels"]})) == "centres is gone"
    assert compare(Outcome({"zero": np.array(0.0)}), Outcome({"zero": np.array(-0.0)})) is not None
    assert compare(Outcome(a), Outcome(error="KeyError: 1")) == "ran -> KeyError: 1"


def test_faults_are_the_same_each_time_and_each_is_one_change():
    made = faults(SUMS, "total", most=50)
    assert [str(fault) for fault in made] == [str(fault) for fault in faults(SUMS, "total", most=50)]
    plain = ast.unparse(ast.parse(SUMS))
    for fault in made:
        changed = [(a, b) for a, b in zip(plain.splitlines(), fault.source.splitlines()) if a != b]
        assert 1 <= len(changed) <= 2 and ast.parse(fault.source)
    kinds = {fault.kind for fault in made}
    assert kinds >= {"bound", "turned", "operator", "constant", "left out"}


@pytest.mark.parametrize(
    "before, after, kind",
    [
        ("value <= limit", "value < limit", "bound"),
        ("value < limit", "value <= limit", "bound"),
        ("kept += value", "kept -= value", "operator"),
        ("kept = 0", "kept = 1", "constant"),
        ("kept = 1", "kept = 0", "constant"),
        ("kept = 0", "kept = 1e-7", "constant"),
        ("            kept += value", "            pass", "left out"),
        ("value <= limit", "not value > limit", None),
        ("kept = 0", "kept = 0 + 0", None),
        ("kept", "found", None),
    ],
)
def test_a_change_that_is_a_fault_is_known_as_one(before, after, kind):
    old = SUMS.replace(after, before) if before not in SUMS else SUMS
    new = old.replace(before, after)
    assert old != new and fault_made(old, new, "total") == kind


def test_a_fault_that_no_witness_notices_is_not_carried(runner, tree, tmp_path):
    """The two sides of the bound are never equal in what the witness asks for."""
    away = WITNESS.replace("[1, 2, 3, 4, 5]", "[1, 2, 4, 5]").replace("[1.5, 10, 11]", "[1.5, 9, 11]")
    old = _tree(tmp_path / "blind", SUMS, away)
    new = _tree(tmp_path / "new", SUMS.replace("value <= limit", "value < limit"), away)
    verdict = _judged(runner, old, new, "total")
    assert verdict.trials[0].noticed and not verdict.carried
    assert "the kind of a fault" in verdict.refused[Name("made_up.sums", "total")]


def test_a_new_line_that_nobody_executes_is_told():
    code = """def f(x):
    \"\"\"Words.\"\"\"
    if on_gpu(x):
        return gpu(x)
    if x is None:
        raise ValueError
    elif x:
        y = x
        return y
    try:
        return 2
    finally:
        z()
"""
    assert never_executed(code, "f", set(range(1, 14)), {3, 5, 11}) == [7, 8, 9, 13]
    assert never_executed(code, "f", {9}, {3, 5, 11}) == [9] and never_executed(code, "f", {2, 4, 6}, set()) == []


def test_a_noticed_fault_is_remembered(tree, tmp_path, monkeypatch):
    with Runner(tmp_path / "kept") as runner:
        judge_of = judgement.Judge(runner, tree, tree, tree / "tests" / "witnesses", "made_up")
        usual = judge_of.outcomes(tree, ["sums"])
        fault = faults(SUMS, "total", most=1)[0]
        assert judge_of.notices(fault, "made_up.sums", ["sums"], usual) == "sums"
        monkeypatch.setattr(Runner, "_run", lambda self, job: pytest.fail("it is known"))
        assert judge_of.notices(fault, "made_up.sums", ["sums"], usual) == "sums"
        other = {"sums": replace(usual["sums"], arrays={"total": np.array([1])})}
        with pytest.raises(pytest.fail.Exception):
            judge_of.notices(fault, "made_up.sums", ["sums"], other)


def test_faults_stand_first_where_the_text_has_changed():
    edited = SUMS.replace("kept += value", "kept = kept + value")
    lines = changed_lines(SUMS, edited, "total")
    assert [edited.splitlines()[line - 1].strip() for line in lines] == ["kept = kept + value"]
    assert faults(edited, "total", first=lines, most=1)[0].line in lines


def test_words_clocks_and_errors_are_not_tried():
    code = '''def timed(x: "a" = None):
    """3 is a number."""
    started = time.perf_counter()
    bar.update(5)
    if x is None:
        raise ValueError(f"needs {3 + 4}")
    y = np.log(helped(x, bar))
    return x
'''
    assert {fault.what for fault in faults(code, "timed", most=50)} == {
        "x is None -> x is not None", "log -> log1p", "helped(x, bar) with its first arguments swapped",
        'left out: raise ValueError(f\'needs {3 + 4}\')',
    }  # fmt: skip


def test_the_definition_of_a_constant_is_covered_by_what_reads_it(runner, tree):
    lines = {"sums": runner.run(_job(tree, trace=True)).lines}
    assert covering(lines, tree, Name("made_up.sums", "LIMIT")) == ["sums"]
    assert covering(lines, tree, Name("made_up.sums", "unused")) == []


@pytest.mark.parametrize(
    "statement, names",
    [
        ("A = {name: n for n, name in enumerate('ab')}", {"A"}),
        ("A, (B, *C) = [i for i in range(4) if i], (1, 2)", {"A", "B", "C"}),
        ("for i in (1, 2): A = [j for j in (i,)]", {"i", "A"}),
        ("A = [B := x for x in (1,)]", {"A", "B"}),
    ],
)
def test_a_loop_s_variable_inside_brackets_is_no_constant(statement, names):
    assert targets(ast.parse(statement).body[0]) == names


def test_the_witnesses_of_this_checkout_are_those_that_are_listed():
    listed = witness.names(ROOT / "tests" / "witnesses")
    assert len(listed) >= 25 and listed == sorted(set(listed))


@pytest.mark.slow
def test_the_cheap_witnesses_of_this_checkout_run_twice_to_the_same_bits(tmp_path):
    cheap = ("scores", "checks", "boosting", "triplets", "fused-layers", "neighbours", "jule", "group-sparse-nmf")
    with Runner(tmp_path / "one") as first:
        one = outputs(ROOT, cheap, runner=first)
        shutil.rmtree(tmp_path / "one")
        two = outputs(ROOT, cheap, runner=first)
    assert {name: compare(one[name], two[name]) for name in cheap} == dict.fromkeys(cheap)
    assert all(outcome.error is None and outcome.arrays for outcome in one.values())


def test_a_fault_that_undoes_a_change_gives_the_old_text_again():
    new = SUMS.replace("    kept = 0\n", "    kept = 0\n    print(limit)\n")
    line = new.splitlines().index("    print(limit)") + 1
    undone = [fault for fault in faults(new, "total", first={line}, most=1) if fault.line == line]
    assert fault_made(SUMS, new, "total") == "left out"
    assert any(is_as_before(SUMS, fault.source, "total") for fault in undone)
    other = next(iter(faults(new, "twice", most=1)))
    assert not is_as_before(SUMS, other.source, "total")
