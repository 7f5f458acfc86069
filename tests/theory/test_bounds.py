"""Bounds against trajectories on random quadratics: never violated, and not vacuous."""

from __future__ import annotations

import numpy as np
import pytest

from pmom_mpi.theory import bias, nonconvex, pl
from pmom_mpi.words.errors import UserError

from . import quadratics
from .quadratics import BETAS, ITERATIONS, Quadratic, Trajectory

PROBLEMS = 200
K = np.arange(1, ITERATIONS + 1)
SOURCES = ("top_k", "clip", "normalize")


def trajectory(seed: int, source: str):
    """A random problem under one source of bias, with a step size up to the largest that has a bound."""
    rng = np.random.default_rng(seed)
    f, beta = Quadratic(rng), BETAS[seed % len(BETAS)]
    k, tau = int(rng.integers(1, f.dimension + 1)), rng.uniform(0.5, 3)
    alpha = k / f.dimension
    biased = {"top_k": quadratics.top_k(k), "clip": quadratics.clip(tau), "normalize": quadratics.normalize}[source]
    limit = nonconvex.largest_step_size(f.smoothness, beta, 1 - alpha if source == "top_k" else 0.0)
    method = {"step_size": limit * rng.choice([1.0, 0.9, 0.3]), "beta": beta}
    run = Trajectory(f, 2 * rng.standard_normal(f.dimension), biased, **method)
    known = {
        "top_k": bias.contractive(alpha, run.zeta2),
        "clip": bias.clipped(tau, run.largest),
        "normalize": bias.normalized(run.largest),
    }[source]
    return f, run, known, method | {"smoothness": f.smoothness}


@pytest.fixture(scope="module", params=SOURCES)
def runs(request):
    return [trajectory(seed, request.param) for seed in range(PROBLEMS)]


def gap(f: Quadratic, run: Trajectory, affine: bias.Affine) -> dict[str, float]:
    return {"gap": run.values[0] - f.minimum, "first_bias": run.biases[0], **affine._asdict()}


def report(name: str, ratios: list[float]) -> None:
    print(f"{name}: measured / bound, median {np.median(ratios):.3f}, largest {max(ratios):.3f}")


def test_affine_bias_holds(runs):
    for _, run, (B, C), _ in runs:
        assert (run.biases <= (B * run.gradients + C) * (1 + 1e-9) + 1e-25).all()


def test_nonconvex_bound_is_never_violated(runs):
    ratios = []
    for f, run, affine, method in runs:
        bounds = nonconvex.bound(K, **gap(f, run, affine), **method)
        ratios.append((run.averages / bounds).max())
    report("non-convex bound", ratios)
    assert max(ratios) <= 1
    assert np.median(ratios) > 1e-3


def test_certificate_is_never_violated(runs):
    ratios = []
    for f, run, affine, method in runs:
        certified = nonconvex.certificate(run.values, run.biases, **method)
        ratios.append((run.averages / certified).max())
        # What A4 turns the certificate into: the same inequality with B and C in the place of the biases.
        worst = nonconvex.bound(K, **gap(f, run, affine._replace(B=0, C=run.biases.max())), **method)
        assert (certified <= worst * (1 + 1e-9)).all()
    report("certificate", ratios)
    assert max(ratios) <= 1
    assert np.median(ratios) > 0.1


def test_pl_bound_is_never_violated(runs):
    ratios, last = [], []
    for f, run, affine, method in runs:
        try:
            bounds = pl.bound(K, **gap(f, run, affine), pl=f.pl, **method)
        except UserError:  # the largest step size leaves no room for a rate
            continue
        gaps = (run.values[1:] - f.minimum) / bounds
        ratios.append(gaps.max())
        last.append(gaps[-1])
    report(f"PL bound on {len(ratios)} of {PROBLEMS}", ratios)
    report("PL bound, last iterate", last)
    assert len(ratios) > PROBLEMS / 4
    assert max(ratios) <= 1


@pytest.mark.parametrize("beta", BETAS)
def test_largest_step_size_is_the_largest(beta):
    limit = nonconvex.largest_step_size(3.0, beta)
    sizes = {"gap": 1.0, "first_bias": 1.0, "C": 1.0, "smoothness": 3.0, "beta": beta}
    assert np.isfinite(nonconvex.bound(10, B=0.0, step_size=limit, **sizes))
    with pytest.raises(UserError, match=f"gamma L = .* beta = {beta:g} at most"):
        nonconvex.bound(10, B=0.0, step_size=1.0001 * limit, **sizes)
    limit = nonconvex.largest_step_size(3.0, beta, B=0.9)
    assert np.isfinite(nonconvex.bound(10, B=0.9, step_size=0.999 * limit, **sizes))
    if beta < 1:
        assert np.isinf(nonconvex.bound(10, B=0.9, step_size=1.001 * limit, **sizes))


@pytest.mark.parametrize("B", [1.0, 2.0, 9.9, -0.1, np.nan])
@pytest.mark.parametrize("beta", BETAS)
def test_no_step_size_where_the_bias_is_as_large_as_the_gradient(beta, B):
    with pytest.raises(UserError, match="B: .* leaves no step size"):
        nonconvex.largest_step_size(3.0, beta, B)


def test_momentum_from_zero():
    """f = x^2/2 without bias: after one iteration the mean is |grad f(x^0)|^2 = 1, whatever the step."""
    method = {"smoothness": 1.0, "step_size": nonconvex.largest_step_size(1.0, 0.1), "beta": 0.1}
    x, v, values, gradients = 1.0, 0.0, [0.5], []
    for _ in range(ITERATIONS):
        gradients.append(x**2)
        v = 0.9 * v + 0.1 * x
        x -= method["step_size"] * v
        values.append(x**2 / 2)
    averages, zeros = np.cumsum(gradients) / K, np.zeros(ITERATIONS)
    assert nonconvex.certificate(np.array(values), zeros, **method)[0] < averages[0]  # of another method
    assert (averages <= nonconvex.certificate(np.array(values), zeros, **method, first_gradient=1.0)).all()
    assert (averages <= nonconvex.bound(K, gap=0.5, first_bias=1.0, B=0, C=0, **method)).all()
    method["step_size"] *= 0.3
    assert (np.array(values[1:]) <= pl.bound(K, gap=0.5, first_bias=1.0, B=0, C=0, pl=1.0, **method)).all()


@pytest.mark.parametrize("beta", BETAS[1:])
def test_the_smallest_eps_is_the_best(beta):
    """By trying many: the bounds grow with eps, and no smaller one is allowed."""
    step = 0.7 * nonconvex.largest_step_size(1.0, beta)
    for decay in (0.0, 0.1 * step):
        tried = np.linspace(1e-5, 1, 200_000, endpoint=False)
        drift = (1 - beta) * (1 + (1 - beta) / (tried * beta))
        left = beta * (1 - tried) - decay
        allowed = tried[(left > 0) & (step + drift * step**2 / np.where(left > 0, left, 1) <= 1)]
        assert nonconvex.smallest_eps(step, beta, decay) == pytest.approx(allowed[0], abs=1e-5)


def test_pl_bound_ends_in_the_ball_that_the_bias_allows():
    """With a small step, C / (2 mu c (1 - eps)); gradient descent without bias contracts by 1 - gamma mu at least."""
    f = {"gap": 1.0, "first_bias": 0.0, "smoothness": 10.0, "pl": 0.5}
    assert pl.bound(10**7, B=0.0, C=0.2, step_size=1e-4, beta=0.5, **f) == pytest.approx(0.2 / (2 * 0.5), rel=0.02)
    assert pl.bound(30, B=0.0, C=0.0, step_size=0.1, beta=1.0, **f) == pytest.approx((1 - 0.05) ** 30)
    with pytest.raises(UserError, match="step_size: 0.2"):
        pl.bound(30, B=0.0, C=0.0, step_size=0.2, beta=1.0, **f)
