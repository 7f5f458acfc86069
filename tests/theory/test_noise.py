"""Bounds with bias and noise apart: never violated, better than those that take both as one, exact where it can be."""

from __future__ import annotations

import numpy as np
import pytest

from pmom_mpi.theory import noise, nonconvex
from pmom_mpi.words.errors import UserError

from .noisy import BETAS, ITERATIONS, Quadratics, Trial

TRIALS = 330
K = np.arange(1, ITERATIONS + 1)


@pytest.fixture(scope="module")
def trials():
    return [Trial(seed) for seed in range(TRIALS)]


def averages(gradients: np.ndarray) -> np.ndarray:
    return np.cumsum(gradients, axis=-1) / K


def test_the_classes_of_the_biases_are_right(trials):
    for trial in trials:
        B, C = trial.known
        assert (trial.runs.biases <= (B * trial.runs.gradients + C) * (1 + 1e-9) + 1e-20).all()


def test_the_certificate_of_every_single_run_holds(trials):
    """Nothing of it is an expectation: every run of every problem, with its noise."""
    for trial in trials:
        for values, errors, measured in zip(
            trial.runs.values, trial.runs.errors, averages(trial.runs.gradients), strict=True
        ):
            certified = nonconvex.certificate(values, errors, **trial.method)
            assert (measured <= certified * (1 + 1e-9)).all()


def test_the_bound_with_noise_apart_is_never_violated(trials):
    ratios = []
    for trial in trials:
        bounds = noise.bound(K, **trial.start, **trial.known._asdict(), sigma2=trial.sigma2, **trial.method)
        ratios.append((averages(trial.runs.gradients).mean(axis=0) / bounds).max())
    print(f"bound: median {np.median(ratios):.3f}, largest {max(ratios):.3f}")
    assert max(ratios) <= 1
    assert np.median(ratios) > 0.01


def test_the_certificate_with_noise_apart_holds_on_average(trials):
    """It promises something of the mean over all runs; we have a few, and so an error of it."""
    ratios = []
    for trial in trials:
        runs, noises = trial.runs, np.full(ITERATIONS, trial.sigma2)
        certified = noise.certificate(runs.values.mean(axis=0), runs.biases.mean(axis=0), noises, **trial.method)
        measured = averages(runs.gradients)
        ratios.append((measured.mean(axis=0) / certified).max())
        # What varies between runs: the gradients' mean, the descent, the biases' mean.
        varying = measured - 2 * (runs.values[:, :1] - runs.values[:, 1:]) / (trial.method["step_size"] * K)
        error = (varying - averages(runs.biases)).std(axis=0, ddof=1) / np.sqrt(len(varying))
        assert (measured.mean(axis=0) <= certified + 5 * error + 1e-9).all()
    print(f"certificate: median {np.median(ratios):.3f}, largest {max(ratios):.3f}")
    assert np.mean(np.array(ratios) <= 1) > 0.9
    assert np.median(ratios) > 0.1


def test_the_pl_bound_with_noise_apart_is_never_violated(trials):
    ratios = []
    for trial in (trial for trial in trials if isinstance(trial.f, Quadratics)):
        try:
            bounds = noise.pl_bound(
                K, **trial.start, **trial.known._asdict(), sigma2=trial.sigma2, pl=trial.f.pl, **trial.method
            )
        except UserError:  # no room for a rate
            continue
        ratios.append(((trial.runs.values[:, 1:].mean(axis=0) - trial.f.minimum) / bounds).max())
    print(f"PL bound of {len(ratios)}: median {np.median(ratios):.3f}, largest {max(ratios):.3f}")
    assert len(ratios) > TRIALS / 6
    assert max(ratios) <= 1


def test_noise_apart_is_never_worse_than_noise_as_bias(trials):
    for trial in trials:
        B, C = trial.known
        apart = noise.bound(K, **trial.start, B=B, C=C, sigma2=trial.sigma2, **trial.method)
        start = trial.start | {"first_bias": trial.start["first_bias"] + trial.sigma2}
        together = nonconvex.bound(K, **start, B=B, C=C + trial.sigma2, **trial.method)
        assert (apart <= together * (1 + 1e-9)).all()


@pytest.mark.parametrize("beta", BETAS)
def test_the_floor_is_that_of_sgd_but_for_what_the_step_is_worth(beta):
    """(C + kappa sigma2) / (1 - B), kappa little above gamma L; with noise taken as bias and one eps, far more."""
    step = 0.6 * nonconvex.largest_step_size(1.0, beta)
    method = {"smoothness": 1.0, "step_size": step, "beta": beta}
    B, C, sigma2 = 0.1, 0.3, 2.0
    eps = float(nonconvex.smallest_eps(step, beta))
    simple = (C + beta * sigma2) / (1 - eps) / (1 - B / (1 - eps))
    found = noise.residual(B=B, C=C, sigma2=sigma2, **method)
    assert found <= simple * (1 + 1e-12)
    assert (C + step * sigma2) / (1 - B) <= found * (1 + 1e-12) and found <= (C + 1.4 * step * sigma2) / (1 - B)
    assert noise.residual(B=B, C=C, sigma2=0.0, **method) == pytest.approx(C / (1 - B))


@pytest.mark.parametrize("beta", [1.0, 0.4, 0.1])
@pytest.mark.parametrize("curvature", [1.0, 0.02])
def test_against_exact_expectations(beta, curvature):
    """f = curvature x^2 / 2 with noise alone: second moments of (x, v) obey a linear recursion."""
    step, sigma2, count = 0.5 * nonconvex.largest_step_size(1.0, beta), 1.3, 20_000
    keep = np.array([[1 - step * beta * curvature, -step * (1 - beta)], [beta * curvature, 1 - beta]])
    push = beta * np.array([-step, 1.0])
    x, v = 3 - step * 3 * curvature, 3 * curvature
    moments = np.outer([x, v], [x, v]) + sigma2 * np.outer([-step, 1.0], [-step, 1.0])
    squares = [9.0]
    for _ in range(count):
        squares.append(moments[0, 0])
        moments = keep @ moments @ keep.T + sigma2 * np.outer(push, push)
    squares = np.array(squares)
    after = np.arange(1, count + 1)
    method = {"smoothness": 1.0, "step_size": step, "beta": beta, "B": 0.0, "C": 0.0, "sigma2": sigma2}
    start = {"gap": curvature * 4.5, "first_bias": 0.0}
    means = np.cumsum(curvature**2 * squares[:-1]) / after
    assert (means[:1000] <= noise.bound(after[:1000], **start, **method)).all()
    assert means[-1] <= noise.bound(count, **start, **method)
    values = curvature / 2 * squares[:1001]
    certified = noise.certificate(
        values, np.zeros(1000), np.full(1000, sigma2), smoothness=1.0, step_size=step, beta=beta
    )
    assert (means[:1000] <= certified).all()
    some = np.unique(np.geomspace(1, count, 60).astype(int))
    gaps = noise.pl_bound(some, **start, **method, pl=curvature)
    assert (curvature / 2 * squares[some] <= gaps).all()
    if beta == 1 == curvature:
        assert curvature / 2 * squares[-1] > 0.5 * gaps[-1]  # stationary: gamma sigma2 / (2 (2 - gamma L))


def test_relative_noise_needs_no_bias_below_the_gradient():
    """An unbiased compressor with omega >= n has a bound, with a step size that is small enough."""
    method = {"smoothness": 1.0, "gap": 1.0, "first_bias": 0.0, "B": 0.0, "C": 0.0, "sigma2": 0.5, "beta": 1.0}
    assert np.isinf(noise.bound(10, **method, step_size=0.5, M=4.0))
    assert np.isfinite(noise.bound(10, **method, step_size=0.1, M=4.0))


def test_planted_violations_are_told():
    f = {"gap": 1.0, "first_bias": 0.0, "C": 0.0, "sigma2": 1.0, "smoothness": 2.0, "beta": 0.5}
    with pytest.raises(UserError, match="step_size: gamma L = 2 has no bound"):
        noise.bound(10, **f, B=0.0, step_size=1.0)
    assert np.isinf(noise.bound(10, **f, B=1.0, step_size=0.01))
    with pytest.raises(UserError, match="has no bound with"):
        noise.pl_bound(10, **f, B=1.0, step_size=0.01, pl=0.1)


def test_a_wrong_smoothness_breaks_the_certificate():
    """L too small by a factor of 20 allows steps with which x grows."""
    x, values, gradients = 1.0, [10.0], []
    step = nonconvex.largest_step_size(1.0, 1.0)
    for _ in range(5):
        gradients.append((20 * x) ** 2)
        x -= step * 20 * x
        values.append(10 * x**2)
    certified = nonconvex.certificate(np.array(values), np.zeros(5), smoothness=1.0, step_size=step, beta=1.0)
    assert (np.cumsum(gradients) / np.arange(1, 6) > certified).any()
