"""Packages whose names come in one by one, so that importing one of them costs only what it needs."""

from collections.abc import Callable, Mapping
from importlib import import_module


def attributes(package: str, home: Mapping[str, str]) -> Callable[[str], object]:
    """The ``__getattr__`` of a package.

    Parameters
    ----------
    package : its ``__name__``. home : each public name's module, relative to the package.
    """

    def find(name: str) -> object:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{home[name]}"), name)

    return find
