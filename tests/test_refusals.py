"""Every call of the witnesses of refusals ends as is due, and what is refused is told in one line."""

import inspect

import pytest
from witnesses import diverging, narrow, refusals

from clustlib.errors import OneLine


def strictly(definition, marker, cases):
    assert marker in inspect.getsource(definition)
    for name, (call, due) in cases.items():
        try:
            call()
            found = "ran"
        except OneLine as error:
            found = "refused"
            assert len(str(error)) <= 200 and "\n" not in str(error), name
        assert found == due, name
    return {}


@pytest.mark.parametrize("name", [*refusals.WITNESSES, *diverging.WITNESSES, *narrow.WITNESSES])
def test_calls_end_as_is_due(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for room in (refusals, diverging, narrow):
        monkeypatch.setattr(room, "_asked", strictly)
    found = (refusals.WITNESSES | diverging.WITNESSES | narrow.WITNESSES)[name]()
    if name in narrow.WITNESSES:
        assert set(map(str, found.values())) <= {"as due"}
