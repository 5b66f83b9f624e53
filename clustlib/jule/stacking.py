"""How many blocks an image gets, and the size of the map they end in: arithmetic only."""

from collections.abc import Sequence

from clustlib.errors import UsageError

KERNEL = 5
_MAP = 12  # a map this wide still gets another block
_POOLED = 8  # a map wider than this after its convolution is pooled


def _after(side: int, padding: int, pool: bool) -> int:
    side += 2 * padding - KERNEL + 1
    return -(-side // 2) if pool else side


def stack(height: int, width: int, padding: int) -> list[bool]:
    """Which blocks pool. The paper says "about 10 x 10" (section 4.1.2); this rule gives every row of the talk's table:

    add blocks while the longer side of the map is 12 or more (and the shorter fits the kernel), and pool after a block
    unless its convolution leaves 8 or less.
    """
    plan: list[bool] = []
    while not plan or (max(height, width) >= _MAP and min(height, width) >= KERNEL - 2 * padding):
        pool = _after(max(height, width), padding, False) > _POOLED
        plan.append(pool)
        height, width = _after(height, padding, pool), _after(width, padding, pool)
    return plan


def fixed(blocks: int, pools: int | None) -> list[bool]:
    """Which of ``blocks`` blocks pool where the first ``pools`` (or all) do."""
    pools = blocks if pools is None else pools
    if blocks < 1 or not 0 <= pools <= blocks:
        raise UsageError(f"needs at least one block and at most as many pools, got {blocks} and {pools}")
    return [i < pools for i in range(blocks)]


def sides(height: int, width: int, padding: int, plan: Sequence[bool]) -> tuple[int, int]:
    """Height and width of the last map. Raises :class:`UsageError` where an image is too small for the blocks."""
    last = height, width
    for pool in plan:
        last = _after(last[0], padding, pool), _after(last[1], padding, pool)
        if min(last) < 1:
            raise UsageError(f"{len(plan)} blocks do not fit images of {height} x {width}")
    return last
