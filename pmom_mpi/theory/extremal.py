"""A function that does the worst: one that passes through the points, gradients and values of a worst case."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pmom_mpi.theory.performance import solve, solver
from pmom_mpi.theory.tight import Case


@dataclass(frozen=True)
class Extremal:
    """The largest function with curvatures between ``curvature`` and ``smoothness`` through a worst case's points.

    With h = f - (curvature / 2) |x|^2, which is convex and M-smooth, M the difference of the two, it is
    h(x) = min over weights w of (M/2) |x - sum w_i (x_i - h_i' / M)|^2 + sum w_i (h_i - |h_i'|^2 / (2 M)):
    a Moreau envelope, so convex and M-smooth, and above every other one (Drori 2017; Taylor, Hendrickx, Glineur 2017).

    Attributes
    ----------
    case : Case
    smoothness : float
        L.
    curvature : float
        -L for L-smooth functions, mu for mu-strongly convex ones. Of the latter the minimum, at the origin of the
        gradients, need not be among the points.
    """

    case: Case
    smoothness: float
    curvature: float

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """f(x) - f* and grad f(x), for x of shape (d,)."""
        cvxpy = solver()
        case, M = self.case, self.smoothness - self.curvature
        slopes = case.gradients - self.curvature * case.x
        heights = case.values - self.curvature / 2 * (case.x**2).sum(axis=1) - (slopes**2).sum(axis=1) / (2 * M)
        anchors = case.x - slopes / M
        weights = cvxpy.Variable(len(heights), nonneg=True)
        envelope = M / 2 * cvxpy.sum_squares(x - anchors.T @ weights) + heights @ weights
        problem = cvxpy.Problem(cvxpy.Minimize(envelope), [cvxpy.sum(weights) == 1])
        solve(problem, cvxpy)
        gradient = M * (x - anchors.T @ weights.value) + self.curvature * x
        return float(problem.value) + self.curvature / 2 * float(x @ x), gradient
