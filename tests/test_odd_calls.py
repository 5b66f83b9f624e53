"""One argument of a right call replaced by what nobody meant: one clear line, or a result, as the table says."""

import pytest
from witnesses import odd_calls


@pytest.mark.parametrize("room", odd_calls.ROOMS)
def test_calls_end_as_is_due(room, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = odd_calls.found_in(room)
    assert not {name: letters for name, letters in found.items() if set(letters) - set(".x")}
    assert found == {name: letters for name, letters in odd_calls.due().items() if name.startswith(f"{room}.")}


def test_powers_that_no_number_holds_are_boosted_as_by_logarithms():
    assert all(found for found in odd_calls.powers().values() if found.dtype == bool)
