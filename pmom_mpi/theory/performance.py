"""Performance estimation: the worst that a method can do on a class of functions, as a semidefinite programme.

A run of K iterations is K points with their gradients and values. All that a quadratic quantity sees of the vectors is
their Gram matrix, and a class of functions is a set of inequalities that are linear in the Gram matrix and the values:
the worst case over all functions of the class, in all dimensions, is one semidefinite programme (Drori and Teboulle
2014; Taylor, Hendrickx, Glineur 2017).

Vectors are written as their coefficients over a basis of free vectors; values likewise, over free values. f* is 0.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pmom_mpi.words.errors import UserError

SOLVERS = ("CLARABEL", "SCS")
"""Tried in turn: an interior-point method, and a splitting method where that one gives up."""


def square(u: np.ndarray) -> np.ndarray:
    """The matrix Q with <Q, Gram> = |u|^2.

    Examples
    --------
    >>> square(np.array([1.0, -1.0])).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    return np.outer(u, u)


def product(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The symmetric matrix Q with <Q, Gram> = <u, v>."""
    return (np.outer(u, v) + np.outer(v, u)) / 2


class Point(NamedTuple):
    """Where a function was seen: coefficients of x, of its gradient there, and of f(x) - f*."""

    x: np.ndarray
    gradient: np.ndarray
    value: np.ndarray


class Worst(NamedTuple):
    """What came of a programme: the largest value, and the Gram matrix and function values that reach it."""

    value: float
    gram: np.ndarray
    values: np.ndarray

    def vectors(self) -> np.ndarray:
        """The basis as real vectors, one a row, in as few dimensions as the Gram matrix has."""
        sizes, directions = np.linalg.eigh(self.gram)
        kept = sizes > 1e-9 * max(sizes[-1], 1e-300)
        return directions[:, kept] * np.sqrt(sizes[kept])


@dataclass
class Programme:
    """Inequalities <Q, Gram> + l . values <= c, collected one by one.

    Attributes
    ----------
    vectors, values : int
        How many free vectors and values there are.
    """

    vectors: int
    values: int
    quadratic: list[np.ndarray] = field(default_factory=list)
    linear: list[np.ndarray] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)

    def at_most(self, limit: float, quadratic: np.ndarray | float = 0.0, linear: np.ndarray | float = 0.0) -> None:
        """Demand <quadratic, Gram> + linear . values <= limit."""
        self.quadratic.append(quadratic + np.zeros((self.vectors, self.vectors)))
        self.linear.append(linear + np.zeros(self.values))
        self.limits.append(limit)

    def smooth(self, points: list[Point], smoothness: float, curvature: float) -> None:
        """Demand that a function with curvatures between ``curvature`` and ``smoothness`` passes through the points.

        Of L-smooth functions ``curvature`` is -L, of convex ones 0, of strongly convex ones mu. Such a function exists
        exactly if the inequalities hold (Taylor, Hendrickx, Glineur 2017, theorem 4; for negative curvatures Rotaru,
        Glineur, Patrinos 2022).
        """
        ratio = curvature / smoothness
        for i, p in enumerate(points):
            for j, q in enumerate(points):
                if i != j:
                    x, g = p.x - q.x, p.gradient - q.gradient
                    bent = square(g) / smoothness + curvature * square(x) - 2 * ratio * product(g, x)
                    self.at_most(0.0, product(q.gradient, x) + bent / (2 * (1 - ratio)), q.value - p.value)

    def bounded_below(self, points: list[Point], smoothness: float) -> None:
        """Demand f* <= f everywhere, which a step of -grad f / L asks for (exactly: Drori and Shamir 2020)."""
        for point in points:
            self.at_most(0.0, square(point.gradient) / (2 * smoothness), -point.value)

    def polyak_lojasiewicz(self, points: list[Point], pl: float) -> None:
        """Demand |grad f|^2 >= 2 mu (f - f*)."""
        for point in points:
            self.at_most(0.0, -square(point.gradient), 2 * pl * point.value)

    def maximize(self, quadratic: np.ndarray | float = 0.0, linear: np.ndarray | float = 0.0) -> Worst:
        """The largest <quadratic, Gram> + linear . values.

        Raises
        ------
        UserError
            Where no solver is installed, or none finds the maximum: mostly because there is none.
        """
        cvxpy = solver()
        gram = cvxpy.Variable((self.vectors, self.vectors), PSD=True)
        values = cvxpy.Variable(self.values)
        rows = np.stack(self.quadratic).reshape(len(self.limits), -1)
        held = rows @ cvxpy.vec(gram, order="C") + np.stack(self.linear) @ values <= np.array(self.limits)
        aim = (quadratic + np.zeros((self.vectors, self.vectors))).ravel() @ cvxpy.vec(gram, order="C")
        problem = cvxpy.Problem(cvxpy.Maximize(aim + (linear + np.zeros(self.values)) @ values), [held])
        solve(problem, cvxpy)
        return Worst(float(problem.value), np.asarray(gram.value), np.asarray(values.value))


def solver():
    """The modelling library cvxpy; raises `UserError` where it is not installed."""
    try:
        import cvxpy
    except ImportError:
        raise UserError("worst cases need cvxpy, not installed here: pip install 'pmom-mpi[pep]'") from None
    return cvxpy


def solve(problem, cvxpy, accurate: bool = False) -> None:
    """Solve a programme with the first solver that can, ``accurate``: to the accuracy asked for.

    Raises
    ------
    UserError
        When none can.
    """
    enough = (cvxpy.OPTIMAL,) if accurate else (cvxpy.OPTIMAL, cvxpy.OPTIMAL_INACCURATE)
    for name in SOLVERS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of a solution that is a little less accurate than asked
                problem.solve(solver=name)
        except cvxpy.SolverError:
            continue
        if problem.status in enough:
            return
        if problem.status in (cvxpy.INFEASIBLE, cvxpy.UNBOUNDED):
            break
    raise UserError(
        f"the worst case was not found ({problem.status}): it has no bound, or the numbers are too far apart"
    )
