"""The names of the packages that import them one by one: each is there, and can be traced to its source."""

import importlib

import pytest

from clustlib import kernels, sources

NAMES = [
    (package, name)
    for package in ("clustlib", "clustlib.cluster", "clustlib.kernels", "clustlib.transfer")
    for name in importlib.import_module(package).__all__
]


@pytest.mark.parametrize(("package", "name"), NAMES)
def test_every_name_is_there_and_can_be_traced(package, name):
    assert getattr(importlib.import_module(package), name).__name__ == name
    assert sources.running().resolve(sources.Definition(package, name))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        _ = kernels.nothing
