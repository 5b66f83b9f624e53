"""One house style for the book: comparison tables, parity plots, verdict bars, image grids, embeddings, curves.

Nothing rests on colour alone: a verdict has a symbol, a curve a marker, a bar a hatching, a class its name.
Figures are returned, never shown, and are no longer registered with pyplot: a notebook displays the one that
ends its cell, once, and nothing piles up in memory.
"""

from clustlib.plots.described import svg
from clustlib.plots.figures import dots, embedding, embedding_panels, image_grid, line, merge_choice, points, shares
from clustlib.plots.looks import LOOKS, style
from clustlib.plots.tables import comparison_table
from clustlib.plots.verdicts import parity, verdict_bar

__all__ = [
    "LOOKS",
    "comparison_table",
    "dots",
    "embedding",
    "embedding_panels",
    "image_grid",
    "line",
    "merge_choice",
    "parity",
    "points",
    "shares",
    "style",
    "svg",
    "verdict_bar",
]
