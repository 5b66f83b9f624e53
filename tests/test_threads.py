"""One number of threads for the whole process: numba must not raise torch's."""

import os
import subprocess
import sys

import pytest

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
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment)
    assert done.stdout.split() == [threads, threads], done.stderr
