"""L at a point: the largest |eigenvalue| of the Hessian, estimated by Lanczos' method on differences of gradients."""

from __future__ import annotations

import numpy as np

from pmom_mpi.problems.base import Doubtful, Exact, Known
from pmom_mpi.problems.minimize import largest_eigenvalue
from pmom_mpi.runtime.setting import Setting
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.streams import Stream, generator

TOLERANCE = 0.05
"""Relative; a step size does not need more."""


def full(setting: Setting, x: np.ndarray) -> tuple[float, np.ndarray]:
    """f(x) and grad f(x), in float64; raises `UserError` where there is no exact gradient."""
    nodes = setting.config.nodes
    value, total, one = 0.0, np.zeros(x.size), np.empty_like(x)
    for node in range(nodes):
        value += exact(setting, x, node, one)
        total += one
    return value / nodes, total / nodes


def exact(setting: Setting, x: np.ndarray, node: int, out: np.ndarray) -> float:
    """f_i(x), with grad f_i(x) in ``out``; raises `UserError` where there is no exact gradient."""
    problem = setting.problem
    if not isinstance(problem, Exact) or (isinstance(problem, Doubtful) and problem.ambiguous):
        raise UserError(f"problem: {type(problem).__name__} has no exact gradient, which constants are measured with")
    return problem.full_gradient(x, node, out)


def smoothness(setting: Setting, *points: np.ndarray) -> tuple[float, bool]:
    """L, and whether that is an estimate: the problem's own, or the largest curvature of f at these points."""
    problem = setting.problem
    if isinstance(problem, Known) and problem.smoothness is not None:
        return problem.smoothness, False
    return max(curvature(setting, x) for x in points), True


def along(setting: Setting, end: np.ndarray) -> float | None:
    """The largest curvature at x^0, at ``end`` and between; None where the problem knows its L itself."""
    start = setting.problem.initial_point()
    end = end.astype(start.dtype) if np.isfinite(end).all() else start  # a run that goes on has no end yet
    found, estimated = smoothness(setting, start, ((start + end) / 2).astype(start.dtype), end)
    return found if estimated else None


def curvature(setting: Setting, x: np.ndarray) -> float:
    """The largest absolute eigenvalue of the Hessian of f at x, by one-sided differences of gradients."""
    at_x = full(setting, x)[1]
    step = float(np.sqrt(np.finfo(x.dtype).eps)) * (1 + float(np.linalg.norm(x)))

    def product(direction: np.ndarray) -> np.ndarray:
        moved = (x + step * direction / np.linalg.norm(direction)).astype(x.dtype)
        return (full(setting, moved)[1] - at_x) * (float(np.linalg.norm(direction)) / step)

    start = generator(setting.config.seed, Stream.REFERENCE).standard_normal(x.size)
    return largest_eigenvalue(product, start, TOLERANCE)
