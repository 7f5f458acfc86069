"""Adding sparse vectors to dense ones."""

from __future__ import annotations

from numba import njit


@njit(cache=True)
def scatter_add(indices, values, total):
    """``total[indices] += values``, each value rounded to the total's type first; indices must be inside ``total``."""
    kind = total.dtype.type
    for j in range(indices.size):
        total[indices[j]] += kind(values[j])


@njit(cache=True)
def ascending_below(indices, bound):
    """Whether the indices are strictly ascending and below ``bound``: the one check that makes a scatter safe."""
    if indices.size == 0:
        return True
    good = True
    for j in range(1, indices.size):
        good &= indices[j - 1] < indices[j]
    return good and indices[indices.size - 1] < bound
