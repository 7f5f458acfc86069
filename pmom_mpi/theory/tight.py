"""The worst case itself of momentum under an affine bias, which the bounds of the other modules are upper bounds of.

Performance estimation: nothing is lost between the assumptions and the numbers here. Names are those of docs/theory.md;
docs/tight.md says what is seen. Needs the extra ``pep``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pmom_mpi.theory.performance import Point, Programme, Worst, square

BETAS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3, 0.1)
"""Momentum parameters that are tried first."""

STEPS = (0.02, 4.0)
"""Times 1/L: between these the step size is sought. Beyond 4 no beta was seen to have a bound."""


@dataclass(frozen=True)
class Setting:
    """A method and a class of functions and biases.

    Attributes
    ----------
    smoothness : float
        L.
    step_size, beta : float
    B, C : float
        |eta^k|^2 <= B |grad f(x^k)|^2 + C; here B may be 1 and more.
    iterations : int
        K.
    gap : float
        f(x^0) - f* is at most this.
    first_bias : float or None
        |eta^0|^2 is at most this, beside the affine bound.
    from_zero : bool
        Whether the momentum starts from zero, not from the first gradient.

    Examples
    --------
    >>> Setting(smoothness=2.0, step_size=0.1, beta=1.0, B=0.5, C=0.1, iterations=5).largest_first_bias()
    2.1
    """

    smoothness: float
    step_size: float
    beta: float
    B: float
    C: float
    iterations: int
    gap: float = 1.0
    first_bias: float | None = None
    from_zero: bool = False

    def largest_first_bias(self) -> float:
        """What the bounds call ``first_bias``: |eta^0|^2 where it is given, else the most that it can be."""
        if self.first_bias is not None:
            return self.first_bias
        largest_gradient = 2 * self.smoothness * self.gap  # |grad f|^2 <= 2 L (f - f*)
        return largest_gradient if self.from_zero else self.B * largest_gradient + self.C

    def scaled(self) -> Setting:
        """The same in units in which L and the gap are 1; squared gradients are in units of L times the gap."""
        unit = self.smoothness * self.gap
        first = None if self.first_bias is None else self.first_bias / unit
        return replace(
            self, smoothness=1.0, step_size=self.step_size * self.smoothness, C=self.C / unit, gap=1.0, first_bias=first
        )


@dataclass(frozen=True)
class Case:
    """A worst case.

    Attributes
    ----------
    value : float
        The largest mean of |grad f(x^k)|^2 over k < K, or the largest f(x^K) - f*.
    x, gradients, biases : ndarray, shapes (m, d), (m, d), (K, d)
        The run that does it: x^0, x^1, ..., the gradients there, eta^0, eta^1, ...
    values : ndarray, shape (m,)
        f - f* at these points.
    """

    value: float
    x: np.ndarray
    gradients: np.ndarray
    biases: np.ndarray
    values: np.ndarray


def average(setting: Setting) -> Case:
    """The largest (1/K) sum_{k<K} |grad f(x^k)|^2 of L-smooth functions, exactly: `nonconvex.bound` is above it.

    Raises
    ------
    UserError
        Where cvxpy is not installed, or finds nothing.

    Examples
    --------
    >>> gradient_descent = Setting(smoothness=1.0, step_size=1.0, beta=1.0, B=0.0, C=0.0, iterations=1, gap=3.0)
    >>> round(average(gradient_descent).value, 4)  # |grad f(x^0)|^2 <= 2 L (f(x^0) - f*)
    6.0
    """
    scaled = setting.scaled()
    K = scaled.iterations
    programme = Programme(2 * K, K)
    points, biases = _run(programme, scaled, K)
    programme.smooth(points, 1.0, -1.0)
    programme.bounded_below(points, 1.0)
    found = programme.maximize(sum((square(point.gradient) for point in points), np.zeros(1)) / K)
    return _case(setting, found, points, biases, setting.smoothness * setting.gap)


def last(setting: Setting, pl: float, convex: bool = False) -> Case:
    """The largest f(x^K) - f* of L-smooth functions: `pl.bound` is above it.

    Parameters
    ----------
    pl : float
        mu.
    convex : bool
        Of mu-strongly convex functions, exactly. Without it, of those with |grad f|^2 >= 2 mu (f - f*): what the
        inequality says at the iterates, for which no exact conditions are known, so an upper bound of the worst case.

    Raises
    ------
    UserError
        Where cvxpy is not installed, or finds nothing.
    """
    scaled, K = setting.scaled(), setting.iterations
    mu = pl / setting.smoothness
    programme = Programme(2 * K + 2, K + 1)
    points, biases = _run(programme, scaled, K + 1)
    if convex:
        at_minimum = Point(np.eye(2 * K + 2)[-1], np.zeros(2 * K + 2), np.zeros(K + 1))
        programme.smooth([*points, at_minimum], 1.0, mu)
    else:
        programme.smooth(points, 1.0, -1.0)
        programme.bounded_below(points, 1.0)
        programme.polyak_lojasiewicz(points, mu)
    found = programme.maximize(linear=points[-1].value)
    return _case(setting, found, points, biases, setting.gap)


def _run(programme: Programme, setting: Setting, count: int) -> tuple[list[Point], np.ndarray]:
    """x^0 = 0, x^1, ... over the basis of gradients and biases, and the conditions on the biases and on x^0."""
    K, basis, values = setting.iterations, np.eye(programme.vectors), np.eye(programme.values)
    gradients, biases = basis[:count], basis[count : count + K]
    x, v = np.zeros(programme.vectors), np.zeros(programme.vectors)
    points = []
    for k in range(count):
        points.append(Point(x, gradients[k], values[k]))
        if k < K:
            share = 1.0 if k == 0 and not setting.from_zero else setting.beta
            v = (1 - share) * v + share * (gradients[k] + biases[k])
            x = x - setting.step_size * v
            programme.at_most(setting.C, square(biases[k]) - setting.B * square(gradients[k]))
    if setting.first_bias is not None and not setting.from_zero:
        programme.at_most(setting.first_bias, square(biases[0]))
    programme.at_most(setting.gap, linear=values[0])
    return points, biases


def _case(setting: Setting, found: Worst, points: list[Point], biases: np.ndarray, unit: float) -> Case:
    """The run that does it, in the units of the setting."""
    basis = found.vectors()
    length = np.sqrt(setting.gap / setting.smoothness)
    slope = np.sqrt(setting.gap * setting.smoothness)
    return Case(
        found.value * unit,
        length * np.stack([point.x for point in points]) @ basis,
        slope * np.stack([point.gradient for point in points]) @ basis,
        slope * biases @ basis,
        setting.gap * np.stack([point.value for point in points]) @ found.values,
    )


def best_step_size(worst: Callable[[Setting], float], setting: Setting, tries: int = 12) -> tuple[float, Setting]:
    """The step size with the least worst case, everything else as in ``setting``: golden section in log gamma.

    Parameters
    ----------
    worst : callable
        The worst case of a setting, infinite where there is none: of `average` or of `last`.
    tries : int
        How many step sizes are tried; of 12 the last two lie 5 % apart.

    Returns
    -------
    float, Setting
        The worst case, and the setting that has it.
    """

    def at(log: float) -> tuple[float, Setting]:
        tried = replace(setting, step_size=float(np.exp(log)) / setting.smoothness)
        return worst(tried), tried

    golden = (np.sqrt(5) - 1) / 2
    low, high = np.log(STEPS)
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = at(left), at(right)
    for _ in range(tries - 2):
        if at_left[0] <= at_right[0]:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = at(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = at(right)
    return min(at_left, at_right, key=lambda one: one[0])


def best(worst: Callable[[Setting], float], setting: Setting) -> tuple[float, Setting]:
    """The (beta, gamma) with the least worst case: of `BETAS`, and of two more on either side of the best of them."""
    found = [best_step_size(worst, replace(setting, beta=beta)) for beta in BETAS]
    place = min(range(len(BETAS)), key=lambda i: found[i][0])
    for other in {max(place - 1, 0), min(place + 1, len(BETAS) - 1)} - {place}:
        between = BETAS[place] + (BETAS[other] - BETAS[place]) * np.array([1, 2]) / 3
        found += [best_step_size(worst, replace(setting, beta=float(beta))) for beta in between]
    return min(found, key=lambda one: one[0])
