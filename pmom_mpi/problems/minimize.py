"""Minima and largest eigenvalues in float64, to the last digits to be had: what errors are measured against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from pmom_mpi.words.errors import UserError

GAP = 1e-12
"""f(x) - f* is brought below this times f(x) for certain; in practice far below."""
NEWTON_STEPS = 100
CG_STEPS = 5000
LANCZOS_STEPS = 300
ARMIJO = 1e-4
EPSILON = float(np.finfo(np.float64).eps)

Operator = Callable[[np.ndarray], np.ndarray]


class Smooth(Protocol):
    """A convex function that is twice differentiable."""

    def value_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]: ...

    def hessian(self, x: np.ndarray) -> Operator: ...


def minimize(f: Smooth, x: np.ndarray, strong: float) -> np.ndarray:
    """Newton's method, its systems solved by conjugate gradients (Nocedal and Wright, Algorithm 7.1).

    Parameters
    ----------
    f : Smooth
    x : ndarray of float64, shape (d,)
        Where to begin.
    strong : float > 0
        A constant of strong convexity: f(x) - f* <= |grad f(x)|^2 / (2 strong).

    Raises
    ------
    UserError
        When rounding errors end the descent before f(x) - f* is certainly below `GAP` f(x).
    """
    value, gradient = f.value_and_gradient(x)
    first = length = float(np.linalg.norm(gradient))
    for _ in range(NEWTON_STEPS):
        if length <= EPSILON * first:
            break
        accuracy = min(0.1, np.sqrt(length / first))
        step = -conjugate_gradients(f.hessian(x), gradient, accuracy * length)
        rate, slope = 1.0, float(gradient @ step)
        while True:
            candidate = f.value_and_gradient(x + rate * step)
            if candidate[0] <= value + ARMIJO * rate * slope + 4 * EPSILON * abs(value) or rate < EPSILON:
                break
            rate /= 2
        shorter = float(np.linalg.norm(candidate[1]))
        near = length**2 <= 2 * strong * GAP * abs(value)
        if near and shorter > 0.5 * length:  # only rounding errors are left
            break
        x, (value, gradient), length = x + rate * step, candidate, shorter
    if not length**2 <= 2 * strong * GAP * abs(value) and length > 0:
        raise UserError(
            f"problem: f* is known to {length**2 / (2 * strong):.1e} only, the problem is too ill-conditioned; use a "
            "larger l2, scale the features, or set constants: false"
        )
    return x


def conjugate_gradients(matrix: Operator, b: np.ndarray, tolerance: float) -> np.ndarray:
    """x with |matrix x - b| <= tolerance, for a positive definite matrix; the best there is after `CG_STEPS`."""
    x, residual, direction = np.zeros_like(b), b.copy(), b.copy()
    square = float(residual @ residual)
    for _ in range(CG_STEPS):
        if square <= tolerance**2:
            break
        image = matrix(direction)
        rate = square / float(direction @ image)
        x += rate * direction
        residual -= rate * image
        previous, square = square, float(residual @ residual)
        direction = residual + square / previous * direction
    return x


def largest_eigenvalue(matrix: Operator, start: np.ndarray, tolerance: float = 1e-8) -> float:
    """Of a symmetric positive semidefinite matrix, by Lanczos' method with full reorthogonalisation.

    The Ritz value plus the length of its residual: some eigenvalue lies that near, relatively within ``tolerance``.
    """
    basis = [start / np.linalg.norm(start)]
    diagonal: list[float] = []
    beside: list[float] = []
    while True:
        image = matrix(basis[-1])
        diagonal.append(float(basis[-1] @ image))
        for _ in range(2):  # once is not enough
            for vector in basis:
                image -= (vector @ image) * vector
        rest = float(np.linalg.norm(image))
        values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
        residual = rest * abs(vectors[-1, -1])
        if residual <= tolerance * values[-1] or len(basis) == min(start.size, LANCZOS_STEPS):
            return float(values[-1] + residual)
        beside.append(rest)
        basis.append(image / rest)
