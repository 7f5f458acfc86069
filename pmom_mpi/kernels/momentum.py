"""The server's update rules, each in one pass over x, v and g."""

from __future__ import annotations

import numba


@numba.njit(cache=True)
def ema_step(x, v, g, beta, step_size):
    """v = (1 - beta) v + beta g;  x = x - step_size v, both in place, in x's type.

    Parameters
    ----------
    x, v, g : ndarray, shape (d,)
    beta, step_size : float
    """
    keep, take, step = x.dtype.type(1.0 - beta), x.dtype.type(beta), x.dtype.type(step_size)
    for j in range(x.size):
        v[j] = keep * v[j] + take * g[j]
        x[j] -= step * v[j]


@numba.njit(cache=True)
def sgd_step(x, g, step_size):
    """x = x - step_size g, in place."""
    step = x.dtype.type(step_size)
    for j in range(x.size):
        x[j] -= step * g[j]
