"""Curves with fewer points that look the same: every stretch keeps its lowest and its highest value."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Sequence

import numpy as np


def kept(values: np.ndarray, points: int) -> np.ndarray:
    """Which columns to keep so that a picture of so many points shows every peak and every dip.

    Parameters
    ----------
    values : ndarray, shape (curves, length)
        Curves that are drawn together: a mean, and its band.
    points : int
        About how many, at least 4.

    Returns
    -------
    ndarray of int64, shape (at most points + 2,)
        In rising order; all columns where there are no more than ``points``, else the first, the last, and of every
        stretch those in which some curve is lowest or highest.

    Examples
    --------
    >>> kept(np.array([[0.0, 0, 9, 0, 0, 0, -9, 0]]), 4)
    array([0, 2, 4, 6, 7])
    """
    curves, length = values.shape
    if length <= points:
        return np.arange(length)
    stretches = max(1, points // (2 * curves))
    edges = np.linspace(0, length, stretches + 1).astype(np.int64)
    chosen = {0, length - 1}
    for start, stop in itertools.pairwise(edges):
        part = np.where(np.isnan(values[:, start:stop]), 0.0, values[:, start:stop])
        chosen.update((start + part.argmin(axis=1)).tolist())
        chosen.update((start + part.argmax(axis=1)).tolist())
    return np.array(sorted(chosen), np.int64)


def packed(columns: Sequence[np.ndarray]) -> str:
    """Columns of equal length one after the other as little-endian float32 in Base64: 5 bytes a number.

    Examples
    --------
    >>> packed([np.array([1.0])])
    'AACAPw=='
    """
    with np.errstate(over="ignore"):  # what is too large for float32 is infinite, and drawn as nothing
        return base64.b64encode(np.concatenate(columns).astype("<f4").tobytes()).decode()
