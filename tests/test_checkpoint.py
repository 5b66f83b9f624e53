"""The state of a long fit on disk, and which device it runs on."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator

from clustlib import _device
from clustlib.checkpoints import Checkpoint, content_hash, identity
from clustlib.errors import DataCorrupt, UsageError

IDENTITY = {"eta": 0.9, "seed": 0, "data": "abc"}


def test_a_state_comes_back_as_it_was(tmp_path):
    kept = Checkpoint(tmp_path / "new" / "fit.pt", IDENTITY)
    assert kept.load() is None
    state = {"epoch": 3, "weights": {"a": torch.arange(6.0).reshape(2, 3)}, "history": [{"loss": 0.5}]}
    kept.save(state)
    found = Checkpoint(tmp_path / "new" / "fit.pt", IDENTITY).load()
    assert found["epoch"] == 3 and found["history"] == state["history"]
    assert torch.equal(found["weights"]["a"], state["weights"]["a"])
    kept.remove()
    assert kept.load() is None


def test_without_a_file_nothing_is_kept():
    kept = Checkpoint(None, IDENTITY)
    kept.save({"epoch": 1})
    assert kept.load() is None
    kept.remove()


def test_another_fits_checkpoint_is_refused_and_the_difference_named(tmp_path):
    Checkpoint(tmp_path / "fit.pt", IDENTITY).save({"epoch": 1})
    with pytest.raises(UsageError, match=r"eta: 0\.9 there, 0\.2 here"):
        Checkpoint(tmp_path / "fit.pt", {**IDENTITY, "eta": 0.2}).load()


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "foreign"])
def test_a_damaged_checkpoint_is_refused(tmp_path, damage):
    path = tmp_path / "fit.pt"
    kept = Checkpoint(path, IDENTITY)
    kept.save({"weights": torch.zeros(1000)})
    if damage == "foreign":
        torch.save({"weights": torch.zeros(3)}, path)
    else:
        path.write_bytes({"cut": path.read_bytes()[:700], "empty": b"", "text": b"not a checkpoint"}[damage])
    with pytest.raises(DataCorrupt, match="delete it to start again"):
        kept.load()


class Evil:
    def __reduce__(self):
        return os.system, ("touch evil",)


def test_a_checkpoint_runs_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"format": 1, "identity": "{}", "state": Evil()}, tmp_path / "fit.pt")
    with pytest.raises(DataCorrupt):
        Checkpoint(tmp_path / "fit.pt", {}).load()
    assert not (tmp_path / "evil").exists()


def test_a_killed_writer_leaves_the_old_state(tmp_path):
    path = tmp_path / "fit.pt"
    program = f"""
import torch
from sklearn.base import BaseEstimator
from clustlib.checkpoints import Checkpoint
kept = Checkpoint({str(path)!r}, {{}})
for epoch in range(10**6):
    kept.save({{"epoch": epoch, "weights": torch.full((100_000,), float(epoch))}})
    print(epoch, flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as running:
        for _ in range(5):
            last = int(running.stdout.readline())
        running.send_signal(signal.SIGKILL)
    state = Checkpoint(path, {}).load()
    assert state["epoch"] >= last
    assert torch.equal(state["weights"], torch.full((100_000,), float(state["epoch"])))


def test_a_full_disk_keeps_the_old_state(tmp_path, monkeypatch):
    kept = Checkpoint(tmp_path / "fit.pt", IDENTITY)
    kept.save({"epoch": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"could not write .*fit\.pt: No space left"):
        kept.save({"epoch": 2})
    assert kept.load()["epoch"] == 1 and [p.name for p in tmp_path.iterdir()] == ["fit.pt"]


def test_the_content_hash_sees_values_shapes_and_dtypes():
    a = np.arange(12, dtype=np.uint8)
    others = [a[::-1], a.reshape(3, 4), a.astype(np.int8), np.asfortranarray(a.reshape(3, 4)).T]
    hashes = [content_hash(x) for x in (a, *others)]
    assert len(set(hashes)) == len(hashes)
    assert content_hash(a) == content_hash(a.copy())
    assert content_hash(a.reshape(3, 4)) == content_hash(np.asfortranarray(a.reshape(3, 4)))


def test_devices():
    assert _device.resolve("cpu") == torch.device("cpu")
    assert _device.resolve().type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(UsageError, match="device must be"):
        _device.resolve("abacus")
    with pytest.raises(UsageError, match="not on this machine"):
        _device.resolve("cuda:99")


def test_one_flipped_bit_anywhere_is_refused(tmp_path):
    path = tmp_path / "fit.pt"
    kept = Checkpoint(path, IDENTITY)
    kept.save({"weights": torch.arange(40.0), "history": [{"loss": 0.5}]})
    whole = path.read_bytes()
    for place in [*range(0, len(whole), 37), *range(len(whole) - 100, len(whole))]:
        changed = bytearray(whole)
        changed[place] ^= 1 << (place % 8)
        path.write_bytes(changed)
        with pytest.raises(DataCorrupt, match="delete it to start again") as caught:
            kept.load()
        assert "\n" not in str(caught.value)
    path.write_bytes(whole)
    assert torch.equal(kept.load()["weights"], torch.arange(40.0))


def test_a_checkpoint_without_a_seal_is_refused(tmp_path):
    torch.save({"format": 1, "identity": "{}", "state": {}}, tmp_path / "fit.pt")
    with pytest.raises(DataCorrupt, match="no seal"):
        Checkpoint(tmp_path / "fit.pt", {}).load()


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(UsageError, match="must be a file"):
        Checkpoint(tmp_path, {})


class Model(BaseEstimator):
    def __init__(self, rate=0.1, steps=3, seed=None, shape=(2, 3), device="cpu", checkpoint=None, epochs=4):
        self.rate, self.steps, self.seed, self.shape = rate, steps, seed, shape
        self.device, self.checkpoint, self.epochs = device, checkpoint, epochs


def test_an_identity_is_what_shapes_a_fit_in_plain_values():
    same = Model(np.float64(0.1), np.int64(3), device="cuda", checkpoint="file", epochs=9)
    found = [identity(model, ("epochs",), data="abc") for model in (Model(), same)]
    assert found[0] == found[1] == {"rate": 0.1, "steps": 3, "seed": None, "shape": [2, 3], "data": "abc"}
    assert json.dumps(found[0]) == json.dumps(found[1])
    seeds = [identity(Model(seed=np.random.RandomState(seed)))["seed"] for seed in (0, 0, 1)]
    assert seeds[0] == seeds[1] != seeds[2]
