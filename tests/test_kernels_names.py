"""The lazily imported names of ``clustlib.kernels`` are the same in all three places that list them."""

import ast
from pathlib import Path

import pytest

from clustlib import kernels, sources


def test_the_lists_agree():
    tree = ast.parse(Path(kernels.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {alias.name for node in block.body for alias in node.names}
    assert imported == set(kernels._HOME) == set(kernels.__all__)


@pytest.mark.parametrize("name", kernels.__all__)
def test_every_name_is_there_and_can_be_traced(name):
    assert getattr(kernels, name).__name__ == name
    assert sources.closure([sources.Definition("clustlib.kernels", name)])


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = kernels.nothing
