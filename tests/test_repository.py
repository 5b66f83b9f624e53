"""The house rules: pins, notebooks without outputs, nothing large, nothing that belongs elsewhere."""

import ast
import graphlib
import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from clustlib import published
from clustlib.reproduce import stored
from clustlib.reproduce.notebook import Notebook

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*/*.ipynb"))
MAX_CELLS = 10


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, encoding="utf-8"
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def conda() -> list[str]:
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    return next(entry["pip"] for entry in dependencies if isinstance(entry, dict))


def test_environment_yml_has_the_pins_of_pyproject():
    extras = project()["optional-dependencies"]
    extra = {pin for name in ("gpu", "book", "peers", "test") for pin in extras[name]}
    wanted = {*project()["dependencies"], *extra, "-e ."}
    assert set(conda()) == wanted


@pytest.mark.parametrize(
    "name",
    [
        "jupyter-book",
        "jupyterlab",
        "papermill",
        "torch",
        "torchvision",
        "scikit-learn",
        "faiss-gpu",
        "matplotlib",
        "seaborn",
        "nbval",
    ],
)
def test_environment_yml_names_what_it_must(name):
    assert any(re.match(rf"{name}[><=;]", entry) for entry in conda())


def test_environment_yml_says_how_to_do_without_a_gpu():
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert f"replace faiss-gpu by {project()['optional-dependencies']['cpu'][0]}" in text


def test_a_cpu_install_holds_nothing_of_cuda():
    import torch

    if torch.version.cuda:
        pytest.skip("this environment has CUDA torch")
    names = {distribution.metadata["Name"].lower() for distribution in metadata.distributions()}
    assert not {name for name in names if name.startswith("nvidia-") or name == "faiss-gpu"}


def test_torchvision_imports_after_clustlib():
    script = "import clustlib, torchvision; from torchvision import models, transforms; models.alexnet(weights=None)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr


def test_importing_the_replay_path_loads_no_heavy_library():
    script = """
import sys
from clustlib import datasets, jule, metrics, published, records, report, results
jule.runs.linkage, jule.runs.pixels
print(sorted(set(sys.modules) & {"torch", "sklearn", "numba", "faiss", "IPython"}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, encoding="utf-8")
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
class TestNotebook:
    def test_is_prose_first_and_short(self, path):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert cells[0]["cell_type"] == "markdown"
        assert "".join(cells[0]["source"]).startswith("# ")
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        assert len(code) <= MAX_CELLS
        assert max(len("".join(cell["source"]).splitlines()) for cell in code) <= 40

    def test_parameters_are_plain_and_explained(self, path):
        notebook = Notebook(path)
        assert notebook.defaults()["profile"] == "quick"
        cell = next(c for c in notebook.code_cells() if "parameters" in c["metadata"].get("tags", []))
        assert all("  # " in line for line in "".join(cell["source"]).splitlines())

    def test_holds_no_outputs_but_the_regression_cells(self, path):
        for cell in Notebook(path).code_cells():
            if "regression" not in cell["metadata"].get("tags", []):
                assert cell["outputs"] == []
                assert cell["execution_count"] is None

    def test_is_as_the_commit_hook_leaves_it(self, path, tmp_path):
        copy = tmp_path / path.name
        copy.write_bytes(path.read_bytes())
        stored.strip(copy)
        assert copy.read_bytes() == path.read_bytes(), f"python -m clustlib.reproduce strip {path}"

    def test_ends_with_a_regression_cell_that_nbval_compares(self, path):
        if path.parent.name == "report":
            return
        last = Notebook(path).code_cells()[-1]
        assert {"regression", "nbval-check-output", "keep_output"} <= set(last["metadata"]["tags"])
        assert "inside" in json.dumps(last["outputs"]), "make bands"

    def test_has_no_algorithm_and_no_network(self, path):
        tree = ast.parse(Notebook(path).code())
        assert not [node for node in ast.walk(tree) if isinstance(node, (ast.While, ast.ClassDef, ast.FunctionDef))]
        imported = {
            alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
        }
        assert not imported & {"requests", "urllib", "http", "socket", "pooch", "os", "subprocess"}

    def test_has_no_absolute_path(self, path):
        assert not re.search(r'["\'(](/[a-z]+/|[A-Z]:\\\\|~/)', path.read_text(encoding="utf-8"))


def test_every_notebook_with_a_published_table_is_listed_in_its_papers_contents():
    for path in NOTEBOOKS:
        if path.parent.name not in ("report", "guide"):
            assert path.stem in {entry.notebook for entry in published.contents(path.parent.name)}


def test_nothing_large_and_no_data_is_tracked():
    for path in tracked():
        assert path.stat().st_size <= 1_000_000, path
        assert path.suffix not in {".mat", ".gz", ".h5", ".pt", ".pth", ".pkl", ".zip", ".npy"}, path


def test_nothing_is_unpickled_or_loaded_unsafely():
    for path in (ROOT / "clustlib").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "allow_pickle=True" not in text, path
        assert "weights_only=False" not in text, path
        assert "extractall" not in text, path


def imported(path: Path, modules: set[str]) -> set[str]:
    """Those of ``modules`` that a file imports, at its top, inside a function or for annotations alone."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules else node.module for name in names}
    return found & modules


def circle(package: Path) -> list[str]:
    """Modules of a package that import one another in a ring; none where there is no ring."""
    paths = {path.relative_to(package.parent).with_suffix(""): path for path in package.rglob("*.py")}
    modules = {".".join(name.parts).removesuffix(".__init__"): path for name, path in paths.items()}
    imports = {name: imported(path, set(modules)) - {name} for name, path in modules.items()}
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_no_modules_import_one_another_even_inside_functions():
    assert circle(ROOT / "clustlib") == []


@pytest.mark.parametrize("lazily", [False, True])
def test_a_circle_of_imports_is_found(tmp_path, lazily):
    room = tmp_path / "clustlib" / "room"
    room.mkdir(parents=True)
    for path in (room.parent / "__init__.py", room / "__init__.py"):
        path.touch()
    (room / "one.py").write_text("from clustlib.room import two\n", encoding="utf-8")
    back = "from clustlib.room.one import name\n"
    text = f"def late():\n    {back}" if lazily else back
    (room / "two.py").write_text(text, encoding="utf-8")
    assert set(circle(room.parent)) == {"clustlib.room.one", "clustlib.room.two"}


def docstring_lines(tree: ast.AST) -> int:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    first = [node.body[0] for node in ast.walk(tree) if isinstance(node, documented) and ast.get_docstring(node)]
    return sum(statement.end_lineno - statement.lineno + 1 for statement in first)


def test_modules_are_small():
    for path in (ROOT / "clustlib").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) - docstring_lines(ast.parse(text)) <= 400, path


def test_committed_records_are_whole_small_and_of_the_papers_data(monkeypatch):
    from clustlib import records

    monkeypatch.chdir(ROOT)
    store = records.open_store("paper")
    keys = store.all_keys()
    for key in keys:
        record = records.load(key)
        assert record.provenance["dataset_sha256"], key
        assert set(record.arrays) or record.arrays == {}
        for path in (store.path(key), store.path(key).with_suffix(".npz")):
            assert not path.is_file() or path.stat().st_size <= 300_000
