"""The process: how many threads it has, how compiled loops share them, and that freed memory stays with it."""

import ctypes
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise


def follow_openmp() -> None:
    """Let ``OMP_NUM_THREADS`` hold for numba too, unless ``NUMBA_NUM_THREADS`` says otherwise; call before its import.

    numba starts its threads through OpenMP and sets the number of the whole process, torch's included, to that of the
    cores. With two runs on two cores each would then use both, which made training ten times slower.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        os.environ.setdefault("NUMBA_NUM_THREADS", asked)


def parts_of(count: int, threads: int) -> list[tuple[int, int]]:
    """``range(count)`` in at most ``threads`` equal parts, as (low, high)."""
    parts = max(1, min(count, threads))
    return list(pairwise(count * part // parts for part in range(parts + 1)))


def in_threads(work: Callable[..., None], calls: list[tuple]) -> None:
    """``work(*call)`` for each of the calls, side by side; the first on the calling thread. It must let go the GIL."""
    first, *others = calls
    if not others:
        work(*first)
        return
    running = [_pool(os.getpid()).submit(work, *call) for call in others]
    work(*first)
    for future in running:
        future.result()


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """One pool for each process: its threads do not come along to a forked one."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="clustlib")


_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # names of glibc's mallopt
_KEPT, _AT_ONCE, _MAPPED = 1 << 30, 64 << 20, 32 << 20


def keep_freed() -> None:
    """Let glibc keep up to 1 GiB of what is freed, unless the environment sets its own thresholds.

    By default it hands the maps of a training step back to the system, which has to clear every page of them when the
    next step asks again: a fifth of the time of DBC's stage II. Arrays of 32 MiB and more are returned as ever.
    """
    if not sys.platform.startswith("linux") or any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is None:
        return
    for name, value in ((_TRIM_THRESHOLD, _KEPT), (_TOP_PAD, _AT_ONCE), (_MMAP_THRESHOLD, _MAPPED)):
        mallopt(name, value)
