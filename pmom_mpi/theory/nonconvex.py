"""How small gradients become: the bound for L-smooth functions, and its certificate from what a run has measured.

The method is x^{k+1} = x^k - gamma v^k, v^k = (1 - beta) v^{k-1} + beta g^k, v^0 = g^0, with the bias
eta^k = g^k - grad f(x^k). Derived in docs/theory.md, whose names these are.
"""

from __future__ import annotations

import numpy as np

from pmom_mpi.words.errors import UserError

ROUNDED_DOWN = 1 - 1e-12
"""Keeps the largest step size on the safe side of rounding errors."""


def drift(beta: float, eps: float | np.ndarray) -> float | np.ndarray:
    """a(eps) = (1 - beta) (1 + (1 - beta) / (eps beta)): how much a step adds to the momentum's error; 0 for beta 1."""
    return 0.0 if beta == 1 else (1 - beta) * (1 + (1 - beta) / (eps * beta))


def largest_step_size(smoothness: float, beta: float, B: float = 0.0) -> float:
    """The supremum of the step sizes for which `bound` is finite.

    Raises
    ------
    UserError
        When B is not in [0, 1): no step size has a bound then.

    Examples
    --------
    >>> largest_step_size(smoothness=2.0, beta=1.0)
    0.5
    """
    if not 0 <= B < 1:
        raise UserError(f"B: {B:g} leaves no step size with a bound; it must be at least 0 and below 1")
    if beta == 1:
        return 1 / smoothness
    root = np.sqrt(1 - beta)
    eps = min(root / (1 + root), 1 - B)
    q = float(drift(beta, eps)) / (beta * (1 - eps))
    return float(2 / (1 + np.sqrt(1 + 4 * q)) / smoothness * ROUNDED_DOWN)


def smallest_eps(step: float, beta: float, decay: np.ndarray | float = 0.0) -> np.ndarray:
    """The smallest eps with step + a(eps) step^2 / (beta (1 - eps) - decay) <= 1: every bound grows with eps.

    Parameters
    ----------
    step : float
        gamma L.
    beta : float
    decay : float or ndarray
        gamma mu c in the bound for PL functions.

    Returns
    -------
    ndarray
        Of the shape of ``decay``; NaN where no eps is small enough. 0 for beta 1, where nothing drifts.
    """
    decay = np.asarray(decay, float)
    if beta == 1:
        return np.where((step <= 1) & (decay < 1), 0.0, np.nan)
    room = (1 - step) / step**2
    # room beta^2 eps^2 - p eps + (1 - beta)^2 <= 0, by the root that does not cancel
    p = room * beta * (beta - decay) - beta * (1 - beta)
    discriminant = p**2 - 4 * room * (beta * (1 - beta)) ** 2
    fits = (p > 0) & (discriminant >= 0)
    return np.where(fits, 2 * (1 - beta) ** 2 / (p + np.sqrt(np.where(fits, discriminant, 0))), np.nan)


def bound(
    iterations: np.ndarray | int, *, gap: float, first_bias: float, B: float, C: float,
    smoothness: float, step_size: float, beta: float,
) -> np.ndarray:  # fmt: skip
    """An upper bound of (1/K) sum_{k<K} |grad f(x^k)|^2 where |eta^k|^2 <= B |grad f(x^k)|^2 + C.

    Infinite where the bias is too large for this step size. Parameters and errors: `pmom_mpi.theory`.
    """
    eps = admissible_eps(smoothness * step_size, beta)
    K = np.asarray(iterations, float)
    if eps >= 1 - B:
        return np.full(K.shape, np.inf)
    start = 2 * gap / step_size + (1 - beta) * first_bias / (beta * (1 - eps))
    return (start / K + C / (1 - eps)) / (1 - B / (1 - eps))


def certificate(
    values: np.ndarray, biases: np.ndarray, *, smoothness: float, step_size: float, beta: float,
    first_gradient: float | None = None,
) -> np.ndarray:  # fmt: skip
    """An upper bound of (1/K) sum_{k<K} |grad f(x^k)|^2 from one run's own numbers; assumes only that L is right.

    Parameters
    ----------
    biases : ndarray, shape (K,)
        |eta^k|^2.
    others
        `pmom_mpi.theory`, with what is returned and raised.
    """
    eps = admissible_eps(smoothness * step_size, beta)
    K = np.arange(1, len(biases) + 1)
    first = biases[0] if first_gradient is None else first_gradient
    start = 2 * (values[0] - values[1:]) / step_size + (1 - beta) * first / (beta * (1 - eps))
    return (start + np.cumsum(biases) / (1 - eps)) / K


def admissible_eps(step: float, beta: float) -> float:
    """`smallest_eps` without a decay, of gamma L; raises `UserError` where the step size is too large for any."""
    eps = float(smallest_eps(step, beta))
    if np.isnan(eps):
        limit = largest_step_size(1.0, beta)
        raise UserError(f"step_size: gamma L = {step:g} has no bound; with beta = {beta:g} at most {limit:g}")
    return eps
