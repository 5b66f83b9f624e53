"""Parameters given as text are read as the type of the notebook's default."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustlib.errors import UsageError
from clustlib.reproduce import notebook as nb
from clustlib.reproduce.settings import check_meaning, split, typed


@pytest.mark.parametrize(
    ("text", "default", "value"),
    [
        ("15e-1", 2.0, 1.5),
        ("2", 2.0, 2.0),
        ("1e3", 5, 1000),
        ("0x10", "hex", "0x10"),
        ("012", 5, 12),
        ("1:30", "time", "1:30"),
        ("yes", "text", "yes"),
        ("2020-01-01", "day", "2020-01-01"),
        ("5000", "800", "5000"),
        ('"published"', "released", "published"),
        ("no", True, False),
        ("null", 5, None),
        ("[0, 1]", [0], [0, 1]),
        ("[1e-3, 10]", [0.001, 0.1, 10], [0.001, 10.0]),
        ("[umist, 012, no]", ["digits"], ["umist", "012", "no"]),
        ("[K-means, 'AC-Link']", "all", ["K-means", "AC-Link"]),
        ("[]", ["digits"], []),
        ("{usps: mnist}", {"digits": "digits"}, {"usps": "mnist"}),
        ("{usps: 100, mnist: 1.5}", {}, {"usps": 100, "mnist": 1.5}),
        ("{DeepCluster: run, DeepCluster VGG-16: 2024}", None, {"DeepCluster": "run", "DeepCluster VGG-16": 2024}),
        ("[0, b]", None, [0, "b"]),
        ("run", None, "run"),
        ("2012", None, 2012),
        ("'2012'", None, "2012"),
        ("'[a] b'", None, "[a] b"),
    ],
)
def test_the_default_says_the_type(text, default, value):
    found = typed("name", text, default)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "default"),
    [
        ("[1", [0]),
        ("umist", ["digits"]),
        ("[a]", [0]),
        ("[1.5]", [0]),
        ("[2020-01-01]", [0]),
        ("[!!python/name:os.system 1]", [0]),
        ("!!python/object/apply:os.system [ls]", ["digits"]),
        ("[!local a]", ["digits"]),
        ("*alias", [0]),
        ("[[0]]", [0]),
        ("1.5", 5),
        ("ten", 5),
        ("", 5),
        ("", [0]),
        ("maybe", True),
        ("inf", 5),
        ("1e400", 0.5),
        ("[-1e999]", [0.5]),
        ("{a: 1}", [0]),
        ("[1]", {"a": 1}),
        ("[1", None),
        ("{a: !local b}", None),
    ],
)
def test_what_is_no_such_value_is_one_line(text, default):
    with pytest.raises(UsageError, match="number takes") as error:
        typed("number", text, default)
    assert len(str(error.value)) <= 200
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "default"), [("[0, 1, 0]", [0]), ("[umist, umist]", ["digits"]), ("[a, b, a]", "all"), ("[7, 7]", None)]
)
def test_what_stands_in_a_list_twice_is_named(text, default):
    with pytest.raises(UsageError, match=r"names has .* twice"):
        typed("names", text, default)


def test_numbers_may_stand_in_a_list_twice():
    assert typed("x", "[0, 0.0, 4]", [0.5]) == [0.0, 0.0, 4.0]


@given(text=st.text(), default=st.sampled_from([True, 5, 2.0, "all", [0], [0.1], ["a"], {}, {"a": 1}, None]))
def test_any_text_is_a_value_or_one_line(text, default):
    try:
        typed("name", text, default)
    except UsageError as error:
        assert len(f"{error}".splitlines()) == 1


@pytest.mark.parametrize(
    ("value", "known", "remark", "refused"),
    [
        (None, [3], "how many", True),
        (None, [3], "how many; None takes all", False),
        (None, [3, None], "", False),
        ([0.5, None], [[0.5]], "", True),
        ([0.5, None], [[0.5], [None]], "", False),
        ([], [["a"]], "names", True),
        ([], [["a"], []], "", False),
        ([], ["all", ["a"]], "names, or empty", False),
        (-1, [3], "", True),
        ([2, -0.5], [[0.5]], "", True),
        ([2, -0.5], [[-0.5]], "", False),
        ({"a": -1}, [{}], "", True),
        ([2**32], [[0]], "", True),
        ([2**32 - 1], [[0]], "", False),
        (False, [True], "", False),
        (0, [3], "", False),
    ],
)
def test_what_no_page_can_mean_names_the_parameter(value, known, remark, refused):
    if not refused:
        return check_meaning("points", value, known, remark)
    with pytest.raises(UsageError, match=r"^points "):
        check_meaning("points", value, known, remark)


@pytest.mark.parametrize("notebook", nb.all_notebooks(), ids=lambda notebook: notebook.name)
def test_every_parameter_has_a_remark_and_means_something(notebook):
    defaults, remarks = notebook.defaults(), notebook.remarks()
    assert set(remarks) == set(defaults) and all(remarks.values())
    for name, default in defaults.items():
        check_meaning(name, default, [default], remarks[name])


def test_a_pair_has_a_name_and_a_value():
    assert split(["seeds=[0]", "text=a=b"]) == {"seeds": "[0]", "text": "a=b"}
    for wrong in ("seeds", "=3", " =3"):
        with pytest.raises(UsageError, match="NAME=VALUE"):
            split([wrong])
