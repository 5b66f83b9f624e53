"""Errors that are part of the product: one clear line, in a terminal and in a notebook."""


class OneLine(Exception):
    """An error that a notebook shows as one line instead of a traceback."""

    def _render_traceback_(self) -> list[str]:  # IPython's hook for custom rendering
        return [f"{type(self).__name__}: {self}"]


class UsageError(OneLine, ValueError):
    """A parameter that cannot be right: unknown name, wrong range, misspelt; said in 200 letters at most.

    What was given may be of any length and on any number of lines: of a longer message the middle is left out.
    """

    def __init__(self, said: object = "") -> None:
        from clustlib._arrays import LONGEST  # which imports this module

        line = " ".join(str(said).splitlines())
        super().__init__(line if len(line) <= LONGEST else f"{line[:140]} ... {line[-50:]}")


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
