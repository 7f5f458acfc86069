"""What bias leaves in the end, as tightly as a quadratic Lyapunov function can say it: a small semidefinite programme.

The bounds of docs/theory.md come from one Lyapunov function, found by hand, in f(x^k), e^{k-1} and v^{k-1}. Here the
best one is sought among all that are quadratic in v^{k-1} and the last two gradients and linear in the last two values;
so what is found is never above those bounds. Needs the extra ``pep``.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from pmom_mpi.theory.performance import Point, Programme, solve, solver, square
from pmom_mpi.words.errors import UserError

RATES = 6
"""Values of 1 - rho that are tried, and as many again around the best of them."""


class _Step:
    """An iteration from x^{k-1} over x^k to x^{k+1}, for L = 1; values are f - f*."""

    def __init__(self, step: float, beta: float, B: float, pl: float | None) -> None:
        v, before, now, bias, after = np.eye(5)
        moved = (1 - beta) * v + beta * (now + bias)
        places = (np.zeros(5), -step * v, -step * (v + moved))
        self.points = [Point(*point) for point in zip(places, (before, now, after), np.eye(3), strict=True)]
        self.state, self.next_state = np.stack([v, before, now]), np.stack([moved, now, after])
        self.bias = square(bias) - B * square(now)
        self.pl = pl

    def known(self, points: list[Point]) -> Programme:
        """What holds at points of an L-smooth function that is bounded from below, and PL where mu is given."""
        programme = Programme(5, 3)
        programme.smooth(points, 1.0, -1.0)
        programme.bounded_below(points, 1.0)
        if self.pl is not None:
            programme.polyak_lojasiewicz(points, self.pl)
        return programme


def average_floor(smoothness: float, step_size: float, beta: float, B: float) -> float:
    """The limit of a bound of (1/K) sum_{k<K} |grad f(x^k)|^2, for C = 1: it is proportional to C.

    Never above 1 / (1 - eps - B), the residual of `nonconvex.bound`, and never below 1 / (1 - B), where a bias of
    -grad f keeps x for ever. Infinite where no Lyapunov function of this kind is found.

    Raises
    ------
    UserError
        Where cvxpy is not installed.

    Examples
    --------
    >>> round(average_floor(smoothness=1.0, step_size=0.5, beta=1.0, B=0.5), 3)
    2.0
    """
    step = _Step(smoothness * step_size, beta, B, None)
    return _least(step, rho=1.0, unit=1.0, needed=0.0, gained=square(step.points[1].gradient))


def last_floor(smoothness: float, pl: float, step_size: float, beta: float, B: float) -> float:
    """The limit of a bound of f(x^K) - f* where |grad f|^2 >= 2 mu (f - f*), for C = 1: it is proportional to C.

    Never above the limit of `pl.bound`, and never below 1 / (2 mu (1 - B)), where a bias of -grad f keeps x for ever.
    Infinite where no Lyapunov function of this kind is found.

    Parameters
    ----------
    pl : float
        mu.

    Raises
    ------
    UserError
        Where cvxpy is not installed.
    """
    solver()
    step = _Step(smoothness * step_size, beta, B, pl / smoothness)
    if B >= 1:
        return float("inf")
    slowest = step_size * pl * (1 - B)  # 1 - rho of gradient descent, as long as gamma L <= 1

    def floors(losses: np.ndarray) -> list[float]:
        return [_least(step, 1 - loss, unit=loss, needed=1.0) for loss in losses.tolist()]

    losses = np.append(np.geomspace(0.4, 1, RATES), 2) * slowest
    losses = losses[losses < 1]
    found = floors(losses)
    best = int(np.argmin(found))
    around = np.linspace(losses[max(best - 1, 0)], losses[min(best + 1, len(losses) - 1)], RATES)
    return min(*found, *floors(around)) / smoothness


def _least(step: _Step, rho: float, unit: float, needed: float, gained: np.ndarray | float = 0.0) -> float:
    """The least r with Psi^{k+1} + gained <= rho Psi^k + r unit C and Psi^k >= needed (f(x^k) - f*), for any Psi."""
    cvxpy = solver()
    P, weights, r = cvxpy.Variable((3, 3), symmetric=True), cvxpy.Variable(2), cvxpy.Variable(nonneg=True)
    now = step.state.T @ P @ step.state
    then = step.next_state.T @ P @ step.next_state
    first, second, third = np.eye(3)
    value_now, value_then = weights[0] * first + weights[1] * second, weights[0] * second + weights[1] * third
    conditions = implied(
        (then - rho * now + gained) / unit - r * step.bias,
        (value_then - rho * value_now) / unit,
        step.known(step.points),
        cvxpy,
    )
    conditions += implied(-now, needed * second - value_now, step.known(step.points[:2]), cvxpy)
    problem = cvxpy.Problem(cvxpy.Minimize(r), conditions)
    with suppress(UserError):
        solve(problem, cvxpy)
    return float(r.value) if problem.status == cvxpy.OPTIMAL else float("inf")  # what is inaccurate may be too small


def implied(quadratic, linear, known: Programme, cvxpy) -> list:
    """Conditions under which <quadratic, Gram> + linear . values <= 0 follows from what is known."""
    weights = cvxpy.Variable(len(known.limits), nonneg=True)
    flat = np.stack(known.quadratic).reshape(len(known.limits), -1).T @ weights
    stacked = cvxpy.reshape(flat, (known.vectors, known.vectors), order="C")
    slack = stacked - quadratic
    return [(slack + slack.T) / 2 >> 0, linear == np.stack(known.linear).T @ weights]
