"""numba's number of threads: that of OpenMP, where one is asked for."""

import os


def follow_openmp() -> None:
    """Let ``OMP_NUM_THREADS`` hold for numba too, unless ``NUMBA_NUM_THREADS`` says otherwise; call before its import.

    numba starts its threads through OpenMP and sets the number of the whole process, torch's included, to that of the
    cores. With two runs on two cores each would then use both, which made training ten times slower.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        os.environ.setdefault("NUMBA_NUM_THREADS", asked)
