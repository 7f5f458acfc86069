"""Linear convergence to a ball: the bound for L-smooth functions with |grad f|^2 >= 2 mu (f - f*).

Derived in docs/theory.md, whose names these are.
"""

from __future__ import annotations

import numpy as np

from pmom_mpi.theory.nonconvex import smallest_eps
from pmom_mpi.words.errors import UserError

CANDIDATES = 2000
"""Values of c that are tried; the bound is smooth in it."""


def bound(
    iterations: np.ndarray | int, *, gap: float, first_bias: float, B: float, C: float,
    smoothness: float, pl: float, step_size: float, beta: float,
) -> np.ndarray:  # fmt: skip
    """An upper bound of f(x^K) - f* where |eta^k|^2 <= B |grad f(x^k)|^2 + C, the best over c and eps for every K.

    Parameters are those of `pmom_mpi.theory`.

    Raises
    ------
    UserError
        When no c has a bound: the step size or B is too large.
    """
    c = np.geomspace(1e-4, 1.0, CANDIDATES)
    decay = step_size * pl * c
    rho = 1 - decay
    delta = beta * (1 - smallest_eps(step_size * smoothness, beta, decay)) - decay
    fits = rho * beta * B <= (1 - c) * delta  # false where there is no eps
    if not fits.any():
        raise UserError(f"step_size: {step_size:g} has no bound with beta = {beta:g} and B = {B:g}; try a smaller one")
    c, rho, delta = c[fits], rho[fits], delta[fits]
    weight = 0.5 * step_size * (rho - delta) / delta  # A: of the momentum's error in Psi
    start = gap + weight * first_bias
    residual = beta * rho * C / (2 * pl * c * delta)
    K = np.asarray(iterations, float)[..., None]
    return (rho**K * start + (1 - rho**K) * residual).min(axis=-1)
