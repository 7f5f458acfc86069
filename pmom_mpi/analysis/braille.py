"""Curves out of characters, for terminals: a braille sign holds 2 x 4 dots."""

from __future__ import annotations

import numpy as np

DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""The bit of each dot of a sign, by row and column."""

BLANK = 0x2800

ASCII = {BLANK + dots: " '.:"[bool(dots & 0x1B) + 2 * bool(dots & 0xE4)] for dots in range(256)}
"""What stands for a sign where there are ASCII characters only: ``'`` for dots above, ``.`` below, ``:`` both."""


def chart(values: np.ndarray, width: int, height: int) -> list[str]:
    """A curve from its first value to its last in ``height`` lines of ``width`` signs, lowest to highest.

    Every column shows all that its values span, so that no peak is lost; what is not finite is left out.

    Examples
    --------
    >>> chart(np.array([0.0, 1.0, 2.0, 3.0]), 2, 1)
    ['⡠⠊']
    """
    columns, rows = 2 * width, 4 * height
    grid = np.zeros((rows, columns), bool)
    known = np.flatnonzero(np.isfinite(values))
    if len(known):
        low, high = values[known].min(), values[known].max()
        levels = (values[known] - low) / (high - low) if high > low else np.full(len(known), 0.5)
        places = known * (columns - 1) / max(len(values) - 1, 1)
        heights = levels * (rows - 1)
        for column in range(columns):
            here = heights[np.round(places) == column]
            if not len(here) and places[0] <= column <= places[-1]:
                here = np.interp([column], places, heights)
            if len(here):
                grid[rows - 1 - round(here.max()) : rows - round(here.min()), column] = True
    signs = BLANK + np.einsum("iajb,ab->ij", grid.reshape(height, 4, width, 2), DOTS)
    return ["".join(map(chr, line)) for line in signs.tolist()]
