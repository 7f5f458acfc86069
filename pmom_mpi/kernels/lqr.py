"""Episodes of a linear system under a linear-Gaussian policy."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def normals(states, controls, horizon):
    """How many normal numbers an episode of `rollouts` uses."""
    return states + horizon * (states + controls)


@njit(cache=True)
def rollouts(a, b, q, r, gain, exploration, noise, draws, visited, controls, costs):
    """Episodes of s' = a s + b u + noise w with u = -gain s + exploration e, from s ~ N(0, I).

    Parameters
    ----------
    a, b, q, r : ndarray of float64, shapes (s, s), (s, c), (s, s), (c, c)
    gain : ndarray of float64, shape (c, s)
    exploration, noise : float
        Standard deviations.
    draws : ndarray of float64, shape (episodes, `normals`)
        Standard normal: an episode's first state, then e and w of every step.
    visited : ndarray of float64, shape (episodes, horizon, s)
        Receives the states.
    controls : ndarray of float64, shape (episodes, horizon, c)
        Receives e.
    costs : ndarray of float64, shape (episodes, horizon)
        Receives s^T q s + u^T r u.
    """
    episodes, horizon, size = visited.shape
    width = controls.shape[2]
    control, state, after = np.empty(width), np.empty(size), np.empty(size)
    for e in range(episodes):
        state[:] = draws[e, :size]
        place = size
        for t in range(horizon):
            visited[e, t] = state
            for i in range(width):
                controls[e, t, i] = draws[e, place + i]
                control[i] = exploration * controls[e, t, i]
                for j in range(size):
                    control[i] -= gain[i, j] * state[j]
            place += width
            cost = 0.0
            for i in range(size):
                after[i] = noise * draws[e, place + i]
                for j in range(size):
                    cost += state[i] * q[i, j] * state[j]
                    after[i] += a[i, j] * state[j]
                for j in range(width):
                    after[i] += b[i, j] * control[j]
            for i in range(width):
                for j in range(width):
                    cost += control[i] * r[i, j] * control[j]
            place += size
            costs[e, t] = cost
            state[:] = after
