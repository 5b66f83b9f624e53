"""Errors that are part of the product: one clear line, in a terminal and in a notebook."""

import sys
from collections.abc import Callable

LONGEST = 200  # letters of a message; clustlib._arrays, which every record ran through, has its own
INTERRUPTED = "interrupted; run the same command again to go on from here"


def shortened(line: str) -> str:
    """``line``; where it has too many letters, its beginning and its end."""
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 65]} ... {line[-60:]}"


class OneLine(Exception):
    """An error that a notebook shows as one line instead of a traceback."""

    def _render_traceback_(self) -> list[str]:  # IPython's hook for custom rendering
        return [f"{type(self).__name__}: {self}"]


class UsageError(OneLine, ValueError):
    """A parameter that cannot be right: unknown name, wrong range, misspelt; said in 200 letters at most.

    What was given may be of any length and on any number of lines: of a longer message the middle is left out.
    """

    def __init__(self, said: object = "") -> None:
        super().__init__(shortened(" ".join(str(said).splitlines())))


class DataMissing(OneLine, FileNotFoundError):
    """A dataset that is not on this machine; the message says what to fetch and from where."""


class PackageMissing(OneLine, ImportError):
    """An optional package that is not installed; the message says how to install it."""


class DeviceMissing(OneLine, RuntimeError):
    """A kind of device that this machine does not have, for a measurement that means that device."""


class DataCorrupt(OneLine, OSError):
    """A file whose content is not what it must be; names the file and both checksums."""


class RecordCorrupt(OneLine, OSError):
    """A record that is half-written or was edited by hand."""


def line_of(error: OneLine | OSError) -> str:
    """The line that says an error of the user's or the system's.

    Raises
    ------
    OSError : the error itself, where the system has no words for it.
    """
    if isinstance(error, OneLine):
        return f"{type(error).__name__}: {error}"
    if error.errno is None:
        raise error
    return f"{type(error).__name__}: {error.strerror}{f': {error.filename}' * bool(error.filename)}"


def speak_in_any_locale() -> None:
    """Print what a terminal's encoding lacks as ``\\u03b1``: a message must not fail for a letter."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")


def ended(command: Callable[[], int]) -> int:
    """The exit code of a command: its own; 2 and one line for an error that has one; 130 and one for an interrupt."""
    try:
        return command()
    except (OneLine, OSError) as error:
        print(line_of(error), file=sys.stderr)
        return 2
    except RuntimeError as error:
        if not str(error).startswith("Symlink loop"):  # of Path.resolve
            raise
        print(UsageError(error), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        return 130
