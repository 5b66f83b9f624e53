"""What the fuzz tests share: how many examples they try, values that nobody meant, and what an answer must be."""

import os
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# `FUZZ=25 pytest tests/test_fuzz*.py --hypothesis-seed=3` tries 25 times as many, drawn anew
TIMES = int(os.environ.get("FUZZ", "1"))
JUNK = st.sampled_from(
    [None, True, 0, -1, 2.5, float("nan"), float("inf"), "", "auto", "nonsense", [], [1], {}, -(10**30), np.int64(2)]
)


def examples(number: int) -> Any:
    """``number`` examples in `make test`, the same each time; ``FUZZ`` times as many by hand."""
    return settings(
        max_examples=number * TIMES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=TIMES == 1,
        database=None,
    )


def is_one_line_naming(error: Exception, names: Any) -> bool:
    text = str(error)
    return len(text) <= 200 and "\n" not in text and any(name in text for name in names)
