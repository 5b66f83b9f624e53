"""The processes of ``torchrun``: joined, and ended with one message where one of them fails, dies or is too slow."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from clustlib.errors import INTERRUPTED, OneLine, line_of

_FAILED = "clustlib says why it ends"


@contextmanager
def joined(device: str, minutes: float = 30.0) -> Iterator[str]:
    """Join the other processes where there are some; gives the device of this one.

    An error ends this process with exit code 1 and one line, an interrupt with 130. Of several processes the first to
    fail speaks, the others end in silence: they only see that it is gone.

    Parameters
    ----------
    device : "auto", "cpu" or "cuda"; each process of a machine takes a GPU of its own.
    minutes : how long one process waits for another.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        with one_line():
            yield device
        return
    gpu = torch.cuda.is_available() and device != "cpu"
    if gpu:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    wait = timedelta(minutes=minutes)
    store, rank, world = next(dist.rendezvous("env://", timeout=wait))
    store.set_timeout(wait)
    with one_line(lambda: store.add(_FAILED, 1) == 1):
        # a store of its own below: the keys of the processes' talk are not ours
        dist.init_process_group(
            "nccl" if gpu else "gloo", store=dist.PrefixStore("fit", store), rank=rank, world_size=world, timeout=wait
        )
        yield device
        dist.destroy_process_group()


@contextmanager
def one_line(is_first: Callable[[], Any] = lambda: True) -> Iterator[None]:
    """End this process with one line on an error that has one, or an interrupt; said only where it ``is_first``."""
    try:
        yield
    except OneLine as error:
        _end(str(error), is_first)
    except OSError as error:
        _end(line_of(error), is_first)
    except KeyboardInterrupt:
        _end(INTERRUPTED, is_first, 130)
    except RuntimeError as error:
        if not _lost_another(error):
            raise
        said = str(error).strip().splitlines()[0]
        resume = "the same command goes on from the last checkpoint"
        _end(f"another process ended, or did not answer in time; {resume} ({said})", is_first)


def _lost_another(error: RuntimeError) -> bool:
    """Whether it is what torch raises where another process is gone or does not answer."""
    shared = dist.is_available() and dist.is_initialized()
    return shared and (isinstance(error, dist.DistError) or "gloo" in str(error))


def _end(said: str, is_first: Callable[[], Any], code: int = 1) -> None:
    try:
        speaks = is_first()
    except RuntimeError:  # the store is gone with the process that kept it
        speaks = True
    if speaks:
        print(said, file=sys.stderr, flush=True)
    if dist.is_available() and dist.is_initialized():
        os._exit(code)  # leaving in the usual way would wait for the others
    raise SystemExit(code)
