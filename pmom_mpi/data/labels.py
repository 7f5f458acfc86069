"""Which targets are class labels, and what these are called."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

MAX_CLASSES = 1 << 16
"""Integers with more different values are no labels but numbers to regress on."""


def labels_of(targets: Iterable[np.ndarray]) -> np.ndarray | None:
    """The different values of integer targets, ascending; None where targets are real or take too many values.

    Examples
    --------
    >>> labels_of([np.array([2, 1, 2]), np.array([5])]), labels_of([np.array([0.5])])
    (array([1, 2, 5]), None)
    """
    parts = list(targets)
    if any(part.dtype.kind not in "iu" for part in parts):
        return None
    labels = np.unique(np.concatenate([_distinct(part) for part in parts]))
    return labels if len(labels) <= MAX_CLASSES else None


def indices(targets: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Every target's place among the labels; the targets themselves, unread, where labels are 0, 1, 2, ...."""
    if np.array_equal(labels, np.arange(len(labels))):
        return targets
    return np.searchsorted(labels, targets)


def _distinct(targets: np.ndarray) -> np.ndarray:
    """As numpy.unique, without sorting what lies close together."""
    low, high = int(targets.min()), int(targets.max())
    if high - low >= MAX_CLASSES:
        return np.unique(targets)
    counts = np.bincount(targets.astype(np.int64) - low) if low else np.bincount(targets)
    return np.flatnonzero(counts) + low
