"""What momentum makes of noise, seen from z^k = x^k - gamma (1 - beta) / beta v^{k-1}, which moves like SGD.

z^{k+1} = z^k - gamma g^k, so noise enters f(z) as it enters f(x) with SGD, like gamma L sigma^2, and f(x^k) is not far
above an average of earlier f(z). Derived in docs/theory.md ("The shifted point"), whose names these are; used by
`pmom_mpi.theory.noise`. With beta 1, z is x, and all of this is known of SGD.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SHARES = (1.0, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02)
"""Times beta / (1 - beta): values of t in |(1 - beta) v + beta h|^2 <= p |v|^2 + q |h|^2."""


def splits(beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Values of p = (1 - beta)^2 (1 + t) and of q = beta^2 (1 + 1/t); of the first p = 1 - beta and q = beta."""
    if beta == 1:
        return np.zeros(1), np.ones(1)
    t = np.array(SHARES) * beta / (1 - beta)
    return (1 - beta) ** 2 * (1 + t), beta**2 * (1 + 1 / t)


def kappa(step: float, beta: float) -> float | None:
    """The least kappa with a bound of the mean of |grad f|^2 in which nothing else is lost; None where there is none.

    Parameters
    ----------
    step : float
        gamma L; there is one up to beta / (2 - beta).

    Examples
    --------
    >>> round(kappa(0.01, 0.1) / 0.01, 2)  # gamma L sigma^2, as of SGD, and a little more
    1.05
    """
    away = step * (1 - beta) / beta
    p, q = splits(beta)
    s = (1 - step) * np.linspace(0.01, 0.99, 99)[:, None]  # with 1/2 among them, which allows the largest steps
    weight = away**2 / (s * (1 - p))
    fits = (weight * q <= 1 - step - s) & (weight * beta <= 1 - step / beta)
    return float(step + beta**2 * weight[fits].min()) if fits.any() else None


class Linear(NamedTuple):
    """Bounds E f(x^K) - f* <= rho^K start + floor, one an element."""

    rho: np.ndarray
    start: np.ndarray
    floor: np.ndarray


def linear(
    *, gap: float, first_bias: float, first_noise: float, B: float, C: float, sigma2: float, M: float,
    smoothness: float, pl: float, step_size: float, beta: float,
) -> Linear:  # fmt: skip
    """For some c between 0 and 1 - B, each with the other parameters that have the least floor; may be empty.

    Parameters are those of `pmom_mpi.theory.noise.pl_bound`.
    """
    if B >= 1:
        return Linear(*np.empty((3, 0)))
    L, step, away = smoothness, step_size * smoothness, step_size * smoothness * (1 - beta) / beta
    c, bent, E, p, q = _grid(step, beta, B)
    weight = (bent - step) / q  # 2 W / gamma
    rho = 1 - step_size * pl * c
    entering = step + beta**2 * weight  # what a unit of noise adds to 2 V / gamma
    fits = _fits(c, bent, E, E * B + entering * M, (rho - p) * weight, away)
    fits &= (weight * beta <= 1 - step / beta) & (rho > 1 - beta)
    floor_z = (E * C + entering * sigma2) / (2 * pl * c)
    # f(x) is an average of f(z), but for (Lambda - W)_+ |v|^2 = left |v|^2
    left = np.maximum(step_size * away / (2 * beta) - step_size * weight / 2, 0)
    kept = beta / (2 - beta)  # of the variance of noise, in v
    a = np.sqrt(2 * L * left) * (1 + np.sqrt(B) + np.sqrt(kept * M))
    push = np.sqrt(left) * (np.sqrt(C) + np.sqrt(kept * sigma2))
    fits &= a < 1
    a = np.minimum(a, 0.999)
    root = (a * push + np.sqrt(a**2 * push**2 + (1 - a**2) * (floor_z + push**2))) / (1 - a**2)  # sqrt(E f(x) - f*)
    by_value = a**2 + np.where(push > 0, a * push / np.maximum(root, 1e-300), 0)
    by_noise = np.sqrt(left) * (a * root + push) / np.sqrt(kept * sigma2) if sigma2 > 0 else 0.0
    begun = gap + step_size * (first_bias + (step / beta + beta * weight) * first_noise) / (2 * beta * rho)
    slower = beta / (rho - 1 + beta)
    lasting = 1 - rho * slower**2 * by_value
    start = rho * slower * (begun + by_noise * first_noise / rho) / lasting
    return _least(rho, start, np.where(fits & (lasting > 0), root**2, np.inf))


def _least(rho: np.ndarray, start: np.ndarray, floor: np.ndarray) -> Linear:
    """For each c, along the last axis, what has the least floor."""
    flat = floor.reshape(-1, floor.shape[-1])
    best = flat.argmin(axis=0), np.arange(flat.shape[1])
    found = [np.broadcast_to(part, floor.shape).reshape(flat.shape)[best] for part in (rho, start, floor)]
    finite = np.isfinite(found[2])
    return Linear(*(part[finite] for part in found))


def _grid(step: float, beta: float, B: float) -> tuple[np.ndarray, ...]:
    """c, gamma L + 2 W q / gamma, E, p and q, each along an axis of its own but p and q, which belong together."""
    bent = step + (1 - step) * np.concatenate([[0.0], np.geomspace(1e-5, 0.999, 30)])
    c = (1 - B) * np.concatenate([[0.1, 0.3, 0.5], 1 - np.geomspace(0.4, 1e-3, 13)])
    E = np.concatenate([[1.0], 1 + np.geomspace(1e-3, 30, 19)])
    p, q = splits(beta)
    return c, bent[:, None, None, None], E[:, None, None], p[:, None], q[:, None]


def _fits(
    c: np.ndarray, bent: np.ndarray, E: np.ndarray, lost: np.ndarray, gained: np.ndarray, away: float
) -> np.ndarray:
    """Whether the smallest A, a Schur complement, satisfies A (L tau)^2 <= (rho - p) 2 W / gamma.

    ``lost`` is what B and M take of the gradient's square.
    """
    gradient, bias, both = 2 - bent - c - lost, E - bent, 1 - bent
    determinant = gradient * bias - both**2
    with np.errstate(divide="ignore", invalid="ignore"):
        A = c + ((1 - c) ** 2 * bias - 2 * (1 - c) * both + gradient) / determinant
        fits: np.ndarray = (determinant > 0) & (gradient > 0) & (A * away**2 <= gained)
    return fits
