"""The cart-pole of Barto, Sutton, Anderson (1983), "Neuronlike adaptive elements that can solve difficult learning
control problems", with the constants, limits and Euler integrator of Gymnasium's CartPole-v1.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pmom_mpi.kernels.policy import logit
from pmom_mpi.kernels.random import uniform

GRAVITY = 9.8  # m/s^2
TIME_STEP = 0.02  # s
POSITION_LIMIT = 2.4  # m
ANGLE_LIMIT = 12 * 2 * math.pi / 360  # rad
START = 0.05  # every coordinate of a first state is uniform on +-START

STATE = 4  # position, its speed, angle, its speed
BODY = (0.5, 0.1, 1.0, 10.0)
"""Half the pole's length [m], mass of the pole, of the cart [kg], force of a push [N]: those of CartPole-v1."""

_SCALES = (POSITION_LIMIT, 1.0, ANGLE_LIMIT, 1.0)  # what the policy sees is of order 1


@njit(cache=True)
def advance(state, push_right, body):
    """One time step of ``state`` in place; returns whether the cart and the pole are still within their limits.

    Parameters
    ----------
    state : ndarray of float64, shape (4,)
    push_right : bool
    body : ndarray of float64, shape (4,)
        As `BODY`.
    """
    half_length, pole_mass, cart_mass, force = body
    position, speed, angle, turn = state
    sine, cosine = math.sin(angle), math.cos(angle)
    mass, moment = pole_mass + cart_mass, pole_mass * half_length
    push = force if push_right else -force
    pull = (push + moment * turn * turn * sine) / mass
    turn_rate = (GRAVITY * sine - cosine * pull) / (half_length * (4.0 / 3.0 - pole_mass * cosine * cosine / mass))
    acceleration = pull - moment * turn_rate * cosine / mass
    state[0] = position + TIME_STEP * speed
    state[1] = speed + TIME_STEP * acceleration
    state[2] = angle + TIME_STEP * turn
    state[3] = turn + TIME_STEP * turn_rate
    return abs(state[0]) <= POSITION_LIMIT and abs(state[2]) <= ANGLE_LIMIT


@njit(cache=True)
def rollouts(key, body, policy, inputs, surprises, rewards):
    """Episodes of the policy from random first states, each until its end or the horizon.

    Parameters
    ----------
    key : uint64
    body : ndarray of float64, shape (4,)
    policy : tuple of ndarray of float64
        As in `pmom_mpi.kernels.policy.logit`.
    inputs : ndarray of float64, shape (episodes, horizon, 4)
        Receives what the policy saw: scaled states; undefined after an episode's end.
    surprises : ndarray of float64, shape (episodes, horizon)
        Receives action - P(action = 1), the derivative of log P(action) with respect to the logit; 0 after the end.
    rewards : ndarray of float64, shape (episodes, horizon)
        Receives 1 a step, as CartPole-v1 also for the last; 0 after the end.

    Returns
    -------
    int
        Episodes that the horizon cut off.
    """
    episodes, horizon = rewards.shape
    state, activation = np.empty(STATE), np.empty(policy[1].size)
    surprises[:], rewards[:] = 0.0, 0.0
    cut = 0
    for e in range(episodes):
        counter = e * (STATE + horizon)
        for i in range(STATE):
            state[i] = START * (2.0 * uniform(key, counter + i) - 1.0)
        inside, t = True, 0
        while inside and t < horizon:
            for i in range(STATE):
                inputs[e, t, i] = state[i] / _SCALES[i]
            right = 1.0 / (1.0 + math.exp(-logit(inputs[e, t], policy, activation)))
            action = uniform(key, counter + STATE + t) < right
            surprises[e, t] = action - right
            rewards[e, t] = 1.0
            inside = advance(state, action, body)
            t += 1
        cut += inside
    return cut
