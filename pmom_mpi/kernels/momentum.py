"""Update rules, each in one pass over its vectors.

In the order of operations of the formulas, without fused multiply-adds: what PyTorch's elementwise operations give.
"""

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
        moved = keep * v[j] + take * g[j]
        v[j] = moved
        x[j] -= step * moved


@numba.njit(cache=True)
def sgd_step(x, g, step_size):
    """x = x - step_size g, in place."""
    step = x.dtype.type(step_size)
    for j in range(x.size):
        x[j] -= step * g[j]


@numba.njit(cache=True)
def heavy_ball_step(x, v, g, beta, step_size):
    """v = beta v + g;  x = x - step_size v, both in place."""
    keep, step = x.dtype.type(beta), x.dtype.type(step_size)
    for j in range(x.size):
        moved = keep * v[j] + g[j]
        v[j] = moved
        x[j] -= step * moved


@numba.njit(cache=True)
def nesterov_step(x, v, g, beta, step_size):
    """v = beta v + g;  x = x - step_size (g + beta v), both in place."""
    keep, step = x.dtype.type(beta), x.dtype.type(step_size)
    for j in range(x.size):
        moved = keep * v[j] + g[j]
        v[j] = moved
        x[j] -= step * (g[j] + keep * moved)


@numba.njit(cache=True)
def local_momentum(v, g, beta):
    """v = (1 - beta) v + beta g, and g becomes v, in g's type."""
    keep, take = g.dtype.type(1.0 - beta), g.dtype.type(beta)
    for j in range(g.size):
        moved = keep * v[j] + take * g[j]
        v[j] = moved
        g[j] = moved
