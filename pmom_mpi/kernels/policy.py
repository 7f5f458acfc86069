"""A policy of two actions: the logit of the second is a network with one hidden layer of tanh."""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True)
def logit(state, policy, activation):
    """weight2 tanh(weight1 state + bias1) + bias2; ``activation`` receives the tanh.

    Parameters
    ----------
    state : ndarray, shape (s,)
    policy : tuple of ndarray
        weight1 (h, s), bias1 (h,), weight2 (1, h), bias2 (1,).
    activation : ndarray, shape (h,)
    """
    weight1, bias1, weight2, bias2 = policy
    total = bias2[0]
    for j in range(bias1.size):
        z = bias1[j]
        for i in range(state.size):
            z += weight1[j, i] * state[i]
        activation[j] = math.tanh(z)
        total += weight2[0, j] * activation[j]
    return total


@njit(cache=True)
def logit_gradients(coefficients, states, policy, gradient):
    """The sum over m states of coefficient times the gradient of `logit`.

    Parameters
    ----------
    coefficients : ndarray, shape (m,)
    states : ndarray, shape (m, s)
    policy, gradient : tuple of ndarray
        As in `logit`; the second receives the sum.
    """
    weight1, bias1, weight2, _ = policy
    gradient1, slope1, gradient2, slope2 = gradient
    hidden, inputs = weight1.shape
    activation = np.empty(hidden, bias1.dtype)
    gradient1[:], slope1[:], gradient2[:], slope2[:] = 0.0, 0.0, 0.0, 0.0
    for row in range(coefficients.size):
        coefficient = coefficients[row]
        if coefficient == 0.0:  # an episode's rows after its end
            continue
        logit(states[row], policy, activation)
        slope2[0] += coefficient
        for j in range(hidden):
            gradient2[0, j] += coefficient * activation[j]
            delta = coefficient * weight2[0, j] * (1.0 - activation[j] * activation[j])
            slope1[j] += delta
            for i in range(inputs):
                gradient1[j, i] += delta * states[row, i]
