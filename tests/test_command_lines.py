"""Every command ends an error of the system and an interrupt with one line, whichever command it is."""

from importlib import import_module

import pytest

from clustlib import _paths, errors

COMMANDS = {
    "clustlib.records": [["status"], ["show", "A/digits/gone"], ["audit"], ["carry", "--from", "HEAD"]],
    "clustlib.reproduce": [["run", "jule/table-01-datasets"], ["book"], ["html"], ["bands"], ["colab", "there"]],
}


@pytest.mark.parametrize(("module", "asked"), [(name, asked) for name, all_ in COMMANDS.items() for asked in all_])
def test_outside_a_checkout(module, asked, monkeypatch, capsys):
    monkeypatch.setattr(_paths, "_root_from", lambda start: None)
    assert import_module(f"{module}.__main__").main(asked) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("DataMissing: not inside a checkout of the book")


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (KeyboardInterrupt(), 130, errors.INTERRUPTED),
        (OSError(28, "No space left on device", "there"), 2, "OSError: No space left on device: there"),
        (errors.UsageError("seed is wrong"), 2, "UsageError: seed is wrong"),
    ],
)
def test_a_command_that_is_ended(raised, code, said, monkeypatch, capsys):
    from clustlib.records import __main__ as records
    from clustlib.records import status

    def ends() -> None:
        raise raised

    monkeypatch.setattr(status, "by_function", ends)
    assert records.main(["status"]) == code
    assert capsys.readouterr().err.splitlines() == [said]


def test_a_list_of_sets_that_cannot_be_read(monkeypatch, capsys):
    from clustlib.datasets import __main__ as datasets

    def refused() -> None:
        raise PermissionError(13, "Permission denied", "data")

    monkeypatch.setattr(datasets, "available", refused)
    assert datasets.main(["list"]) == 2
    assert capsys.readouterr().err.splitlines() == ["PermissionError: Permission denied: data"]


def test_what_a_page_cannot_show_is_named():
    from clustlib import fcn, jule, records

    how = {"profile": "quick", "recompute": "never"}
    with pytest.raises(errors.UsageError, match="datasets is empty"):
        jule.runs.features.sensitivity([], [0.5], [10], [0], **how)
    with pytest.raises(errors.UsageError, match="values of eta and K_s are empty"):
        jule.runs.features.sensitivity(["digits"], [], [], [0], **how)
    narrow = {"epochs": 1, "precision": "float32", "autoencoder_epochs": 1, "autoencoder_width": 4, "nca_images": 9}
    with pytest.raises(errors.UsageError, match="methods is empty"):
        jule.runs.embeddings.embeddings(["digits"], [], [2], [0], **narrow, **how)
    for sizes in ("nonsense", "", "200", "200 -4", "7 7"):
        with pytest.raises(errors.UsageError, match="sizes_N takes two whole numbers or more"):
            records.grid(fcn.runs.cost.time_updates, dataset="digits", sizes_N=sizes, **how)
    with pytest.raises(errors.UsageError, match="y takes 2 finite numbers, one for each of a, b"):
        jule.views.figures.placed("ab", [0.0, 1.0], [0.0])


@pytest.mark.parametrize(
    ("module", "asked", "said"),
    [
        ("clustlib.records", ["audit", "--seconds", "nan"], "--seconds must be positive and finite"),
        ("clustlib.records", ["audit", "--seconds", "-1"], "--seconds must be positive and finite"),
        ("clustlib.records", ["audit", "--seconds", "1e300"], "--seconds must be positive and finite"),
        ("clustlib.reproduce", ["book", "--cores", "0"], "--cores must be an integer from 1 on, got 0"),
        ("clustlib.reproduce", ["strip", "FILE"], "is no notebook"),
        (
            "clustlib.reproduce",
            ["run", "jule/table-02-hyperparameters", "--plain", "--output", "x.ipynb"],
            "--plain executes none",
        ),
    ],
)
@pytest.mark.parametrize("content", [b"no notebook", b"[]", b"{}", b"\xff\xfe"])
def test_what_a_command_is_given_is_looked_at(module, asked, said, content, tmp_path, capsys):
    (tmp_path / "file.ipynb").write_bytes(content)
    asked = [str(tmp_path / "file.ipynb") if word == "FILE" else word for word in asked]
    assert import_module(f"{module}.__main__").main(asked) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and said in lines[0]
