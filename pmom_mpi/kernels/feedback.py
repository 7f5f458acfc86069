"""What stands between a gradient and what is sent in its place, each in one pass over memory."""

from __future__ import annotations

import numba


@numba.njit(cache=True)
def with_memory(gradient, excess):
    """gradient = gradient - excess, and excess becomes the negative of that: as if nothing had been sent.

    Parameters
    ----------
    gradient, excess : ndarray, shape (d,)
    """
    for j in range(gradient.size):
        owed = gradient[j] - excess[j]
        gradient[j] = owed
        excess[j] = -owed


@numba.njit(cache=True)
def difference_in_place(gradient, h):
    """gradient = gradient - h."""
    for j in range(gradient.size):
        gradient[j] -= h[j]


@numba.njit(cache=True)
def momentum_difference(v, gradient, h, beta):
    """v = (1 - beta) v + beta gradient;  gradient = v - h."""
    keep, take = gradient.dtype.type(1.0 - beta), gradient.dtype.type(beta)
    for j in range(gradient.size):
        moved = keep * v[j] + take * gradient[j]
        v[j] = moved
        gradient[j] = moved - h[j]
