"""What a source notebook stores: nothing that was run, but the regression cell's output, for nbval to compare."""

import json
from collections.abc import Sequence
from pathlib import Path

from clustlib import _paths, results
from clustlib.errors import UsageError
from clustlib.reproduce import notebook as nb
from clustlib.reproduce import running, workflow

TAG = "regression"
COUNT = 1  # nbval compares only cells that look as if they had been run


def set_bands(names: Sequence[str] = ()) -> None:
    """Run notebooks in the quick profile, write their bands, and store what the regression cells then print.

    ``names`` as on the command line ("jule/table-03-..."); none means every notebook.
    """
    chosen = [nb.find(name) for name in names] or workflow.notebooks()
    for notebook in chosen:
        running.run(notebook, "quick", {})
        print(f"ran {notebook.name}", flush=True)
    written = results.write_bands([f"{notebook.paper}/{notebook.key}" for notebook in chosen] if names else None)
    print(f"wrote {written}: read the difference before you commit it")
    for notebook in chosen:
        page = running.run(notebook, "quick", {}).page
        _store_outputs(notebook.path, json.loads(page.read_text(encoding="utf-8")))


def _is_regression(cell: dict) -> bool:
    return TAG in cell["metadata"].get("tags", [])


def _store_outputs(path: Path, executed: dict) -> None:
    """Copy the outputs of the cells tagged regression from the executed copy into the source notebook."""
    executed_by_id = {cell["id"]: cell for cell in executed["cells"] if "id" in cell}
    source = json.loads(path.read_text(encoding="utf-8"))
    for cell in filter(_is_regression, source["cells"]):
        cell.update(outputs=executed_by_id[cell["id"]]["outputs"], execution_count=COUNT)
    _write(path, source)


def strip(path: Path) -> None:
    """Remove outputs, counts and run-time metadata with nbstripout; regression cells keep their output.

    Raises
    ------
    UsageError : the file is no notebook.
    """
    import nbformat
    from nbstripout import strip_output

    keys = ["metadata.papermill", "metadata.language_info", "cell.metadata.papermill", "cell.metadata.execution"]
    try:
        read = nbformat.read(path, as_version=4)
    except Exception:  # no UTF-8, no JSON, no notebook: nbformat raises half a dozen types
        raise UsageError(f"{path} is no notebook") from None
    stripped = strip_output(read, None, keep_count=False, keep_id=True, extra_keys=keys)
    for cell in filter(_is_regression, stripped["cells"]):
        cell["execution_count"] = COUNT if cell["outputs"] else None
    _write(path, stripped)


def _write(path: Path, content: dict) -> None:
    text = (json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()
    if path.read_bytes() != text:
        _paths.write_atomically(path, text)
