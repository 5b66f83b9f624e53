"""Where Jupyter, IPython and matplotlib keep files of their own: at home, or in the checkout where home is read-only.

Data sets and artifacts stay where they are: what lies in a read-only cache can still be read.
"""

import os
import tempfile
from pathlib import Path

from clustlib import _paths


def _writable(folder: Path) -> bool:
    """Whether a file can be made in ``folder``, or in the first of its parents that exists."""
    try:
        existing = next(path for path in (folder, *folder.parents) if path.is_dir())
        with tempfile.TemporaryFile(dir=existing):
            return True
    except (OSError, StopIteration):
        return False


def stand_in() -> dict[str, str]:
    """Environment variables that send those files to ``_build/home``; none where home can be written."""
    home = Path(os.path.expanduser("~"))
    wanted = {
        "JUPYTER_RUNTIME_DIR": home / ".local/share/jupyter/runtime",
        "IPYTHONDIR": home / ".ipython",
        "MPLCONFIGDIR": home / ".config/matplotlib",
    }
    missing = {name: path for name, path in wanted.items() if name not in os.environ and not _writable(path)}
    folder = _paths.build("home")
    for name in missing:
        (folder / name).mkdir(parents=True, exist_ok=True)
    return {name: str(folder / name) for name in missing}
