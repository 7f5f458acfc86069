"""Fewer points of a curve that look the same: drawing takes its time by the point."""

from __future__ import annotations

import numpy as np

BINS = 1000
"""Across a panel, which is about as wide in dots."""


def thinned(places: np.ndarray, *lines: np.ndarray, log: bool = False, bins: int = BINS) -> np.ndarray:
    """Which points of curves to draw: in each bin the lowest and the highest of every curve, so that no peak is lost.

    Parameters
    ----------
    places : ndarray, shape (points,)
        Where they are, rising.
    *lines : ndarray, shape (points,)
    log : bool
        Whether bins are even in the logarithm of what is positive.
    bins : int

    Returns
    -------
    ndarray of int
        Rising, the first and the last among them; all where there are few.

    Examples
    --------
    >>> thinned(np.arange(9), np.array([0, 5, 1, 0, 0, 1, 9, 2, 3]), bins=2)
    array([0, 1, 4, 6, 8])
    """
    count = len(places)
    if count <= 2 * bins:
        return np.arange(count)
    along = np.asarray(places, dtype=float)
    if log and along[-1] > 0:
        along = np.log(np.maximum(along, along[along > 0][0]))
    span = along[-1] - along[0]
    bin_ = np.minimum((along - along[0]) / span * bins, bins - 1).astype(int) if span > 0 else np.zeros(count, int)
    first = np.flatnonzero(np.diff(bin_, prepend=-1))
    last = np.append(first[1:], count) - 1
    kept = [np.array([0, count - 1])]
    for values in lines:
        order = np.lexsort((values, bin_))
        kept += [order[first], order[last]]
    return np.unique(np.concatenate(kept))
