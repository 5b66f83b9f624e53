"""Where in a window of 2 x 2 a switch points, counted 0 1 / 2 3: for the compiled loops of pooling and un-pooling."""

from clustlib.compiled import njit


@njit(nogil=True, inline="always")
def place(i, j, switch):
    """Row and column, in the whole map, of the value that the window (i, j) kept."""
    return 2 * i + (switch >> 1), 2 * j + (switch & 1)
