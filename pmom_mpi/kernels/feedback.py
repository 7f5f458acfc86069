"""What error feedback makes of a gradient before it is compressed, each in one pass over memory.

The caller adds what was really sent to the memories afterwards (`pmom_mpi.bias.feedback`).
"""

from __future__ import annotations

import numba


@numba.njit(cache=True)
def with_memory(gradient, excess):
    """EF14 with e = -excess: gradient becomes gradient + e, what is owed, and excess the negative of it.

    That is the memory of a node which sends nothing of what it owes.

    Parameters
    ----------
    gradient, excess : ndarray of float32 or float64, shape (d,), changed in place
    """
    for j in range(gradient.size):
        owed = gradient[j] - excess[j]
        gradient[j] = owed
        excess[j] = -owed


@numba.njit(cache=True)
def difference_in_place(gradient, h):
    """EF21: gradient becomes gradient - h, the difference to be sent; h stays.

    Parameters
    ----------
    gradient : ndarray of float32 or float64, shape (d,), changed in place
    h : ndarray of the same type and shape
    """
    for j in range(gradient.size):
        gradient[j] -= h[j]


@numba.njit(cache=True)
def momentum_difference(v, gradient, h, beta):
    """EF21-SGDM: v = (1 - beta) v + beta gradient, then gradient becomes v - h; h stays.

    Parameters
    ----------
    v, gradient : ndarray of float32 or float64, shape (d,), changed in place
    h : ndarray of the same type and shape
    beta : float
        It and 1 - beta are rounded to the vectors' type.
    """
    keep, take = gradient.dtype.type(1.0 - beta), gradient.dtype.type(beta)
    for j in range(gradient.size):
        moved = keep * v[j] + take * gradient[j]
        v[j] = moved
        gradient[j] = moved - h[j]
