"""What bias and noise leave of f - f* in the long run: at most, by the best Lyapunov function, and on a parabola.

As `pmom_mpi.theory.lyapunov`, but in expectation: noise of variance sigma^2 that is zero on average is orthogonal, in
expectation, to all that was known before it was drawn. The function sought is quadratic in v^{k-1} and in the gradients
at x^k and at the shifted point z^k (docs/theory.md), of convex functions in x^k - x* too, and linear in the two values.
Needs the extra ``pep``, but for the parabola.
"""

from __future__ import annotations

import numpy as np

from pmom_mpi.theory.lyapunov import implied
from pmom_mpi.theory.performance import Point, Programme, product, solve, solver, square
from pmom_mpi.words.errors import UserError


class _Step:
    """An iteration from x^k to x^{k+1}, for L = 1; values are f - f*."""

    def __init__(self, step: float, beta: float, B: float, pl: float, convex: bool) -> None:
        v, at_x, at_z, bias, noise, then_x, then_z, x = np.eye(8)[:, : 8 if convex else 7]
        moved = (1 - beta) * v + beta * (at_x + bias + noise)
        away = step * (1 - beta) / beta
        places = (x, x - away * v, x - step * moved, x - (step + away) * moved)
        slopes = (at_x, at_z, then_x, then_z)
        self.points = [Point(*point) for point in zip(places, slopes, np.eye(4), strict=True)]
        self.now, self.then = np.stack([v, at_x, at_z]), np.stack([moved, then_x, then_z])
        if convex:
            self.now, self.then = np.vstack([self.now, x]), np.vstack([self.then, places[2]])
        self.before_noise = [product(noise, known) for known in (*self.now, bias)]
        self.bias, self.noise = square(bias) - B * square(at_x), square(noise)
        self.pl, self.convex = pl, convex

    def known(self, points: list[Point]) -> Programme:
        """What holds at points of an L-smooth function that is PL, or strongly convex with its minimum at 0."""
        vectors = points[0].x.size
        programme = Programme(vectors, 4)
        if self.convex:
            programme.smooth([*points, Point(np.zeros(vectors), np.zeros(vectors), np.zeros(4))], 1.0, self.pl)
            return programme
        programme.smooth(points, 1.0, -1.0)
        programme.bounded_below(points, 1.0)
        programme.polyak_lojasiewicz(points, self.pl)
        return programme


def mean_floor(
    smoothness: float, pl: float, step_size: float, beta: float, *, B: float, C: float, sigma2: float,
    convex: bool = False,
) -> float:  # fmt: skip
    """The limit of a bound of (1/K) sum_{k<K} E f(x^k) - f* of L-smooth functions; infinite where none is found.

    Parameters
    ----------
    pl : float
        mu: |grad f|^2 >= 2 mu (f - f*), or of mu-strongly convex functions.
    B, C, sigma2 : float
        |b^k|^2 <= B |grad f(x^k)|^2 + C of the mean bias, and E|n^k|^2 <= sigma2 of the noise.
    convex : bool

    Raises
    ------
    UserError
        Where cvxpy is not installed.

    Examples
    --------
    >>> round(mean_floor(1.0, 0.5, 0.1, 1.0, B=0.0, C=0.0, sigma2=1.0), 4)
    0.0526
    """
    cvxpy = solver()
    if B >= 1:
        return float("inf")
    step = _Step(smoothness * step_size, beta, B, pl / smoothness, convex)
    size = len(step.now)
    P, weights, (r, s) = cvxpy.Variable((size, size), symmetric=True), cvxpy.Variable(2), cvxpy.Variable(2, nonneg=True)
    free = cvxpy.Variable(len(step.before_noise))
    now, then = step.now.T @ P @ step.now, step.then.T @ P @ step.then
    values = np.eye(4)
    orthogonal = sum(one * matrix for one, matrix in zip(free, step.before_noise, strict=True))
    conditions = implied(  # f(x^k) - f* + E Psi^{k+1} <= Psi^k + r C + s sigma2
        then - now + orthogonal - r * step.bias - s * step.noise,
        weights @ values[2:] - weights @ values[:2] + values[0],
        step.known(step.points),
        cvxpy,
    )
    conditions += implied(-now, -weights @ values[:2], step.known(step.points[:2]), cvxpy)  # Psi >= 0
    problem = cvxpy.Problem(cvxpy.Minimize((r * C + s * sigma2) / smoothness), conditions)
    try:
        solve(problem, cvxpy, accurate=True)  # else it may be too small
    except UserError:
        return float("inf")
    return float(problem.value)


def parabola_floor(curvature: float, step_size: float, beta: float, *, C: float, sigma2: float) -> float:
    """Where f = curvature x^2 / 2 ends, exactly, under a constant bias of square C and such noise: no bound is below.

    Infinite where it diverges.

    Examples
    --------
    >>> round(parabola_floor(1.0, 0.1, 1.0, C=0.0, sigma2=1.0), 5)  # gamma sigma2 / (2 (2 - gamma L))
    0.02632
    """
    keep = np.array([[1 - step_size * beta * curvature, -step_size * (1 - beta)], [beta * curvature, 1 - beta]])
    if np.abs(np.linalg.eigvals(keep)).max() >= 1:
        return float("inf")
    push = beta * np.array([-step_size, 1.0])
    moments = np.linalg.solve(np.eye(4) - np.kron(keep, keep), np.outer(push, push).ravel())
    return float(C / (2 * curvature) + sigma2 * curvature * moments[0] / 2)
