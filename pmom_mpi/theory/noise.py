"""Bias and noise apart: bounds that see what momentum does to noise.

The error of an estimate is eta^k = b^k + n^k, with b^k its mean given x^k and all before, the bias, and n^k noise that
is zero on average and of variance E|n^k|^2 <= sigma2 + M |grad f(x^k)|^2. Everything here is about expectations.
Derived in docs/theory.md, whose names these are. Each bound is the least of two: one follows f(x^k), the other
f(z^k) (`pmom_mpi.theory.shifted`), which sees more of what averages out.
"""

from __future__ import annotations

import numpy as np

from pmom_mpi.theory import shifted
from pmom_mpi.theory.nonconvex import admissible_eps, drift, smallest_eps
from pmom_mpi.words.errors import UserError

EPS_CANDIDATES = 60
C_CANDIDATES = 60
"""Values that are tried; the bounds are smooth in both."""


def bound(
    iterations: np.ndarray | int, *, gap: float, first_bias: float, B: float, C: float, sigma2: float,
    smoothness: float, step_size: float, beta: float, M: float = 0.0, first_noise: float | None = None,
) -> np.ndarray:  # fmt: skip
    """An upper bound of (1/K) sum_{k<K} E|grad f(x^k)|^2, the best of both arguments and over eps for every K.

    Infinite where bias and relative noise are too large for this step size.

    Parameters
    ----------
    sigma2, M : float
        E|n^k|^2 <= sigma2 + M |grad f(x^k)|^2.
    first_noise : float, optional
        E|n^0|^2, by default sigma2; 0 where the momentum starts from zero.
    others
        `pmom_mpi.theory`, with what is returned and raised.

    Examples
    --------
    >>> method = {"smoothness": 1.0, "step_size": 0.1, "beta": 1.0}
    >>> float(bound(10**9, gap=1.0, first_bias=0.0, B=0.0, C=0.0, sigma2=2.0, **method).round(6))  # gamma L sigma2
    0.2
    """
    first_noise = sigma2 if first_noise is None else first_noise
    step = smoothness * step_size
    eps = _candidates(step, beta)
    kappa = _kappa(eps, step, beta)
    if beta < 1 and (least := shifted.kappa(step, beta)) is not None:
        eps, kappa = np.append(eps, 0.0), np.append(kappa, least)
    left = 1 - B / (1 - eps) - M * kappa
    fits = left > 0
    K = np.asarray(iterations, float)[..., None]
    if not fits.any():
        return np.full(K.shape[:-1], np.inf)
    eps, left, kappa = eps[fits], left[fits], kappa[fits]
    start = 2 * gap / step_size + (1 - beta) * first_bias / (beta * (1 - eps))
    start = start + (1 - beta**2) / beta**2 * kappa * first_noise
    found: np.ndarray = ((start / K + C / (1 - eps) + kappa * sigma2) / left).min(axis=-1)
    return found


def residual(
    *, B: float, C: float, sigma2: float, smoothness: float, step_size: float, beta: float, M: float = 0.0
) -> float:
    """What `bound` tends to: the floor that bias and noise leave."""
    method = {"smoothness": smoothness, "step_size": step_size, "beta": beta, "M": M}
    return float(bound(np.inf, gap=0.0, first_bias=0.0, B=B, C=C, sigma2=sigma2, **method))  # type: ignore[arg-type]


def certificate(
    values: np.ndarray, biases: np.ndarray, noises: np.ndarray, *, smoothness: float, step_size: float, beta: float,
    first_gradient: float | None = None,
) -> np.ndarray:  # fmt: skip
    """An upper bound of (1/K) sum_{k<K} E|grad f(x^k)|^2 from measured means; assumes only that L is right.

    Parameters
    ----------
    values : ndarray, shape (K + 1,)
        Means over runs.
    biases, noises : ndarray, shape (K,)
        E|b^k|^2 and E|n^k|^2, means over runs. Where both come from R draws at each point, of which the mean is m and
        the unbiased estimate of the variance s2, they are |m - grad f|^2 - s2 / R and s2.
    others
        `pmom_mpi.theory`, with what is returned and raised.
    """
    eps = _candidates(smoothness * step_size, beta)
    kappa = _kappa(eps, smoothness * step_size, beta)
    K = np.arange(1, len(biases) + 1)[:, None]
    weights = np.full(len(noises), beta**2)
    if first_gradient is None:
        weights[0] = 1.0
    first = biases[0] if first_gradient is None else first_gradient
    start = 2 * (values[0] - values[1:, None]) / step_size + (1 - beta) * first / (beta * (1 - eps))
    noise = kappa / beta**2 * np.cumsum(weights * noises)[:, None]
    found: np.ndarray = ((start + np.cumsum(biases)[:, None] / (1 - eps) + noise) / K).min(axis=1)
    return found


def pl_bound(
    iterations: np.ndarray | int, *, gap: float, first_bias: float, B: float, C: float, sigma2: float,
    smoothness: float, pl: float, step_size: float, beta: float, M: float = 0.0, first_noise: float | None = None,
) -> np.ndarray:  # fmt: skip
    """An upper bound of E f(x^K) - f* where |grad f|^2 >= 2 mu (f - f*), the best of both arguments for every K.

    Parameters are those of `bound`; sigma2 may as well be the largest E|n^k|^2 over everything, not given x^k.

    Raises
    ------
    UserError
        When neither argument has a bound: the step size or B is too large.
    """
    known = {
        "gap": gap, "first_bias": first_bias, "B": B, "C": C, "sigma2": sigma2, "smoothness": smoothness, "pl": pl,
        "step_size": step_size, "beta": beta, "first_noise": sigma2 if first_noise is None else first_noise,
    }  # fmt: skip
    found = [_direct(**known)] if M == 0 else []
    if beta < 1 or M > 0:
        found.append(shifted.linear(**known, M=M))
    rho, start, floor = (np.concatenate(parts) for parts in zip(*found, strict=True))
    if not len(rho):
        raise UserError(f"step_size: {step_size:g} has no bound with beta = {beta:g} and B = {B:g}; try a smaller one")
    K = np.asarray(iterations, float)
    each = (rho**k * start + floor for k in K.ravel())  # one by one: candidates times iterations would be large
    return np.array([values.min() for values in each]).reshape(K.shape)


def _direct(
    *, gap: float, first_bias: float, B: float, C: float, sigma2: float, smoothness: float, pl: float,
    step_size: float, beta: float, first_noise: float,
) -> shifted.Linear:  # fmt: skip
    """By f(x^k), for many c and eps; may be empty."""
    step = step_size * smoothness
    c = np.geomspace(1e-3, 1.0, C_CANDIDATES)[:, None]
    decay = step_size * pl * c
    least = smallest_eps(step, beta, decay)
    eps = least + (1 - least) * (_spread() if beta < 1 else np.zeros(1))
    rho, delta = 1 - decay, beta * (1 - eps) - decay
    grown = _drift(beta, eps) * step**2
    with np.errstate(divide="ignore", invalid="ignore"):
        fits = (delta > 0) & (rho * beta * B <= (1 - c) * delta) & (step + grown / delta <= 1 + 1e-12)
    rho, decay = (np.broadcast_to(part, eps.shape)[fits] for part in (rho, decay))
    delta, grown = delta[fits], grown[fits]
    weight = 0.5 * step_size * (rho - delta) / delta  # A
    remembered = weight + 0.5 * step_size * grown / delta  # A + D
    start = gap + weight * first_bias + (1 - beta**2) * first_noise * (0.5 * step_size * step + remembered) / rho
    each = 0.5 * step_size * rho / delta * beta * C + beta**2 * sigma2 * (rho * remembered + 0.5 * step_size * step)
    return shifted.Linear(rho, start - each / decay, each / decay)


def _candidates(step: float, beta: float) -> np.ndarray:
    """Values of eps for which gamma L + q(eps) (gamma L)^2 <= 1, the smallest first; raises where there are none."""
    least = admissible_eps(step, beta)
    if beta == 1:
        return np.array([0.0])
    eps = least + (1 - least) * _spread()
    allowed = step + _drift(beta, eps) * step**2 / (beta * (1 - eps)) <= 1
    allowed[0] = True  # by its making, but for rounding
    return eps[allowed]


def _spread() -> np.ndarray:
    """From 0 to nearly 1, dense at 0, where eps is mostly best."""
    return np.concatenate([[0.0], np.geomspace(1e-4, 0.999, EPS_CANDIDATES - 1)])


def _kappa(eps: np.ndarray, step: float, beta: float) -> np.ndarray:
    """beta / (1 - eps) - beta^2 (1 - gamma L - q(eps) (gamma L)^2): what the bounds make of a unit of noise."""
    q = _drift(beta, eps) / (beta * (1 - eps))
    return beta / (1 - eps) - beta**2 * np.maximum(1 - step - q * step**2, 0)


def _drift(beta: float, eps: np.ndarray) -> np.ndarray:
    return np.zeros_like(eps) if beta == 1 else np.asarray(drift(beta, eps))
