"""The bounds that follow the shifted point, in the long run: exact moments, bent functions, and biases that do harm."""

from __future__ import annotations

import numpy as np
import pytest

from pmom_mpi.theory import noise, nonconvex, shifted
from pmom_mpi.words.errors import UserError

COUNT = 320
AFTER = (1, 3, 10, 30, 100, 300, 750, 1500)


def methods(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """mu for L = 1, beta, and a step size up to the largest."""
    beta = rng.choice([1.0, 0.9, 0.5, 0.3, 0.1, 0.03], COUNT)
    limits = np.array([nonconvex.largest_step_size(1.0, each) for each in beta.tolist()])
    return rng.uniform(0.02, 1, COUNT), beta, limits * rng.choice([1.0, 0.9, 0.5, 0.1], COUNT)


def promised(place: int, mu: np.ndarray, beta: np.ndarray, step: np.ndarray, **known: float) -> np.ndarray:
    method = {"smoothness": 1.0, "pl": mu[place], "step_size": step[place], "beta": beta[place]}
    try:
        return noise.pl_bound(np.array(AFTER), **method, **known)
    except UserError:  # no room for a rate
        return np.full(len(AFTER), np.nan)


def test_quadratics_whose_moments_are_known_exactly():
    """Curvatures mu, 1 and three between, a bias that stays, noise of any shape: (x, v) has a linear recursion."""
    rng = np.random.default_rng(1)
    mu, beta, step = methods(rng)
    curves = np.concatenate([mu[:, None], np.ones((COUNT, 1)), rng.uniform(mu[:, None], 1, (COUNT, 3))], axis=1)
    sigma2 = rng.choice([0.0, 0.01, 1.0], COUNT)
    noises = sigma2[:, None] * rng.dirichlet(np.full(5, 0.3), COUNT)
    biases = rng.standard_normal((COUNT, 5)) * rng.choice([0.0, 0.1, 1.0], (COUNT, 1))
    x = rng.standard_normal((COUNT, 5)) * rng.choice([0.0, 1.0], (COUNT, 1))
    gap = (curves * x**2).sum(axis=1) / 2
    b, s = np.broadcast_to(beta[:, None], x.shape), np.broadcast_to(step[:, None], x.shape)
    keep = np.stack([np.stack([1 - s * b * curves, -s * (1 - b)], -1), np.stack([b * curves, 1 - b], -1)], -2)
    push = np.stack([-s, np.ones_like(s)], -1)
    mean = np.stack([x, np.zeros_like(x)], -1)
    spread = np.zeros((*x.shape, 2, 2))
    measured = []
    for k in range(max(AFTER)):
        share = np.where(k == 0, 1.0, b)
        moved = keep if k else np.stack([np.stack([1 - s * curves, 0 * s], -1), np.stack([curves, 0 * s], -1)], -2)
        mean = np.einsum("...ij,...j->...i", moved, mean) + (share * biases)[..., None] * push
        fresh = (share**2 * noises)[..., None, None] * push[..., :, None] * push[..., None, :]
        spread = moved @ spread @ moved.swapaxes(-1, -2) + fresh
        if k + 1 in AFTER:
            measured.append((curves * (mean[..., 0] ** 2 + spread[..., 0, 0])).sum(axis=1) / 2)
    squares = (biases**2).sum(axis=1)
    ratios = []
    for place in range(COUNT):
        known = {"gap": gap[place], "first_bias": squares[place], "B": 0.0, "C": squares[place]}
        bounds = promised(place, mu, beta, step, sigma2=sigma2[place], **known)
        ratios.append(np.array(measured)[:, place] / np.maximum(bounds, 1e-300))
    found = np.nanmax(ratios, axis=1)
    print(f"exactly: measured / bound, median {np.nanmedian(found):.3f}, largest {np.nanmax(found):.3f}")
    assert np.isfinite(found).sum() >= 300 and np.nanmax(found) <= 1 + 1e-9


def bent(rng: np.random.Generator, mu: np.ndarray) -> tuple:
    """f, f' and mu of functions of one variable with f(0) = 0 = f* and L = 1; every third is not convex."""
    scale, wavy = rng.choice([0.1, 1.0, 10.0], (COUNT, 1)), (np.arange(COUNT) % 3 == 0)[:, None]
    low = mu[:, None]

    def value(x):
        convex = low * x**2 / 2 + (1 - low) * np.logaddexp(x / scale, -x / scale) * scale**2
        return np.where(wavy, (x**2 + 3 * np.sin(x) ** 2) / 8, convex - (1 - low) * np.log(2) * scale**2)

    def slope(x):
        return np.where(wavy, (2 * x + 3 * np.sin(2 * x)) / 8, low * x + (1 - low) * np.tanh(x / scale) * scale)

    return value, slope, np.where(wavy[:, 0], 1 / 32 / 8, mu)


@pytest.mark.parametrize("rare", [False, True])
def test_bent_functions_under_biases_that_point_away_from_the_minimum(rare):
    """x^2 + 3 sin^2 x is PL and not convex (Karimi, Nutini, Schmidt 2016); noise of two values, or rare and large."""
    rng = np.random.default_rng(2)
    mu, beta, step = methods(rng)
    value, slope, mu = bent(rng, mu)
    B, C = rng.choice([0.0, 0.3, 0.8], COUNT), rng.choice([0.0, 0.01, 1.0], COUNT)
    M = rng.choice([0.0, 0.0, 0.5, 3.0], COUNT)
    sigma2, chance = rng.choice([0.01, 1.0], COUNT), 0.05 if rare else 1.0
    x = np.full((COUNT, 40), 2.0)
    gap, v = value(x)[:, 0], 0.0
    steep = slope(x)[:, 0] ** 2
    first, first_noise = B * steep + C, sigma2 + M * steep
    measured, inside = [], np.zeros_like(x)
    for k in range(max(AFTER)):
        gradient = slope(x)
        size = np.sqrt(B[:, None] * gradient**2 + C[:, None])
        drawn = rng.choice([-1.0, 1.0], x.shape) * (rng.random(x.shape) < chance) / np.sqrt(chance)
        estimate = gradient - np.sign(x) * size + np.sqrt(sigma2[:, None] + M[:, None] * gradient**2) * drawn
        share = beta[:, None] if k else 1.0
        v = (1 - share) * v + share * estimate
        x = x - step[:, None] * v
        if k + 1 in AFTER:
            error = value(x).std(axis=1) / np.sqrt(x.shape[1])
            measured.append(value(x).mean(axis=1) - 5 * error)
        inside += value(x) / (max(AFTER) // 2) * (k >= max(AFTER) // 2)
    ended = inside.mean(axis=1) - 5 * inside.std(axis=1) / np.sqrt(x.shape[1])
    ratios, long = [], []
    for place in range(COUNT):
        known = {"gap": gap[place], "first_bias": first[place], "B": B[place], "C": C[place], "M": M[place]}
        known["first_noise"] = first_noise[place]
        bounds = promised(place, mu, beta, step, sigma2=sigma2[place], **known)
        ratios.append(np.max(np.array(measured)[:, place] / bounds))
        long.append(ended[place] / bounds[-2] if step[place] * mu[place] * 750 > 10 else np.nan)
    for name, found in (("on the way", ratios), ("in the end", long)):
        print(f"bent, {name}: measured / bound, median {np.nanmedian(found):.3f}, largest {np.nanmax(found):.3f}")
    assert np.isfinite(ratios).sum() >= 150 and np.nanmax(ratios) <= 1
    assert np.isfinite(long).sum() > 50 and np.nanmax(long) <= 1


@pytest.mark.parametrize("beta", [0.5, 0.1, 0.01])
def test_small_steps_leave_what_they_leave_with_sgd(beta):
    """gamma L sigma^2 / (2 mu), whatever beta; the argument that follows f(x) alone has beta sigma^2 / (2 mu) or so."""
    step, mu = 0.01 * beta, 0.2
    known = {"B": 0.0, "C": 0.0, "sigma2": 1.0, "smoothness": 1.0, "pl": mu, "step_size": step, "beta": beta}
    found = noise.pl_bound(10**9, gap=1.0, first_bias=0.0, **known)
    assert found == pytest.approx(step / (2 * mu), rel=0.02)
    assert shifted.kappa(step, beta) == pytest.approx(step, rel=0.02)
    direct = noise._direct(gap=1.0, first_bias=0.0, first_noise=1.0, **known).floor.min()
    assert direct > 10 * found


def test_steps_beyond_the_shifted_arguments_limit_have_no_kappa():
    limit = 0.1 / (2 - 0.1)
    assert shifted.kappa(0.99 * limit, 0.1) is not None
    assert shifted.kappa(1.01 * limit, 0.1) is None
