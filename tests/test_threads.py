"""One number of threads for the whole process: numba must not raise torch's."""

import os
import subprocess
import sys

import pytest

from clustlib import _process

SCRIPT = """
import clustlib, torch
from clustlib import kernels
import numpy as np
before = torch.get_num_threads()
kernels.knn(np.random.default_rng(0).normal(size=(300, 4)), 3)
print(before, torch.get_num_threads())
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_search_for_neighbours_leaves_torchs_threads_alone(threads):
    environment = {**os.environ, "OMP_NUM_THREADS": threads}
    environment.pop("NUMBA_NUM_THREADS", None)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment, encoding="utf-8"
    )
    assert done.stdout.split() == [threads, threads], done.stderr


def test_parts_are_equal_and_cover_everything():
    for count, threads in ((0, 2), (1, 4), (7, 3), (100, 8)):
        parts = _process.parts_of(count, threads)
        assert [i for low, high in parts for i in range(low, high)] == list(range(count))
        assert max(high - low for low, high in parts) - min(high - low for low, high in parts) <= 1


def test_work_is_shared_and_errors_come_back():
    done = []
    _process.in_threads(lambda i: done.append(i), [(i,) for i in range(5)])
    assert sorted(done) == list(range(5))
    with pytest.raises(ZeroDivisionError):
        _process.in_threads(lambda i: 1 // i, [(1,), (0,)])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_has_threads_of_its_own():
    script = """
import os
from clustlib import _process
calls = [(i,) for i in range(4)]
_process.in_threads(lambda i: None, calls)
child = os.fork()
if child == 0:
    _process.in_threads(lambda i: None, calls)
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, encoding="utf-8")
    assert done.stdout.strip() == "7", done.stderr
