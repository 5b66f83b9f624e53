"""Set the regression bands, and the outputs of the regression cells that nbval compares."""

import json

from clustlib import _paths, results
from clustlib.reproduce import notebook as nb
from clustlib.reproduce import workflow

TAG = "regression"


def set_all() -> None:
    """Run every notebook in the quick profile, write the bands, and store what the regression cells then print."""
    for notebook in workflow.notebooks():
        nb.run(notebook, "quick", {}, _paths.root() / workflow.executed("quick", notebook))
        print(f"ran {notebook.name}", flush=True)
    print(f"wrote {results.write_bands()}: read the difference before you commit it")
    for notebook in workflow.notebooks():
        output = _paths.root() / workflow.executed("quick", notebook)
        nb.run(notebook, "quick", {}, output)
        store_outputs(notebook, json.loads(output.read_text()))


def store_outputs(notebook: nb.Notebook, executed: dict) -> None:
    """Copy the outputs of the cells tagged regression from the executed copy into the source notebook."""
    source = json.loads(notebook.path.read_text())
    made = {cell["id"]: cell for cell in executed["cells"] if "id" in cell}
    for cell in source["cells"]:
        if TAG in cell["metadata"].get("tags", []):
            cell["outputs"] = made[cell["id"]]["outputs"]
    _paths.write_atomically(notebook.path, (json.dumps(source, indent=1, ensure_ascii=False) + "\n").encode())
