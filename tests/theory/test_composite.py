"""The constants of composite gradients and of MAML against biases that are known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from pmom_mpi.problems.base import Context
from pmom_mpi.problems.composite import CompositeRegression
from pmom_mpi.theory.composite import Composite, maml

POINTS = np.linspace(-3, 3, 61)
SAMPLES = (1, 2, 5, 20, 100, 1000)
THIRD = 3 * 0.5 * 1.25**-2.5  # the largest third derivative of sqrt(1 + y^2), at 1/2


def slope(y):
    """The derivative of sqrt(1 + y^2): at most 1, as its own derivative."""
    return y / np.sqrt(1 + y**2)


def curvature(y):
    return (1 + y**2) ** -1.5


def expectation(of, samples):
    """E of a function of the mean of so many fair signs, exactly; and its variance."""
    heads = np.arange(samples + 1)
    weights = binom.pmf(heads, samples, 0.5)
    found = np.array([of(mean) for mean in 2 * heads / samples - 1])
    mean = weights @ found
    return mean, weights @ (found - mean) ** 2


@pytest.mark.parametrize("samples", SAMPLES)
@pytest.mark.parametrize("deviation", [0.1, 1.0])
def test_a_bent_outer_map(samples, deviation):
    """G(x; xi) = x + s xi with xi = +1 or -1, F(y) = sqrt(1 + y^2)."""
    constants = Composite(1.0, 1.0, deviation, 0.0, THIRD, slope=1.0)
    mean, variance = expectation(lambda sign: slope(POINTS + deviation * sign), samples)
    B, C = constants.bias(samples)
    bias = np.abs(mean - slope(POINTS)).max()
    assert B == 0 and bias <= np.sqrt(C) * (1 + 1e-9)
    assert variance.max() <= constants.noise(samples, nodes=1)
    if deviation < 0.5 or samples > 10:
        assert bias > 0.6 * np.sqrt(C)
    rough = Composite(1.0, 1.0, deviation, 0.0)
    assert rough.bias(samples).C >= C


@pytest.mark.parametrize("samples", SAMPLES)
@pytest.mark.parametrize("together", [1, -1])
def test_maml_whose_inner_gradient_and_hessian_come_from_the_same_samples(samples, together):
    """l(w) = sqrt(1 + w^2); a sample's gradient is off by s1 xi, its Hessian by s2 xi or -s2 xi."""
    a, s1, s2 = 0.4, 0.8, 0.5

    def estimate(sign):
        inner = POINTS - a * (slope(POINTS) + s1 * sign)
        return (1 - a * (curvature(POINTS) + together * s2 * sign)) * slope(inner)

    constants = maml(
        a, smoothness=1.0, gradient_deviation=s1, hessian_deviation=s2, hessian_smoothness=THIRD, slope=1.0
    )
    mean, variance = expectation(estimate, samples)
    bias = np.abs(mean - estimate(0.0)).max()
    assert 0.3 * np.sqrt(constants.bias(samples).C) < bias <= np.sqrt(constants.bias(samples).C)
    assert variance.max() <= constants.noise(samples, nodes=1)


@pytest.mark.parametrize("samples", [1, 10, 100])
def test_composite_regression_whose_bias_has_a_formula(samples):
    """F(y) = |y - b|^2 / (2 m), G(x) = (A + noise N) x: the bias is noise^2 x / S."""
    problem = CompositeRegression(dimension=8, outputs=30, noise=0.7, inner_samples=samples)
    problem.setup(Context(3, range(3), 0, np.dtype(np.float64)))
    d, m = problem.dimension, problem.outputs
    x = np.random.default_rng(0).standard_normal(d)
    length = float(np.linalg.norm(x))
    constants = Composite(
        smoothness=1 / m, inner_slope=np.sqrt(m), inner_deviation=0.7 * np.sqrt(m) * length,
        jacobian_deviation=0.7 * np.sqrt((np.sqrt(m) + np.sqrt(d)) ** 2 + 1),  # a normal matrix' largest singular value
        hessian_smoothness=0.0,
    )  # fmt: skip
    exact = np.linalg.norm(np.mean([problem.bias(x, node) for node in range(3)], axis=0))
    assert 0.5 * np.sqrt(constants.bias(samples).C) < exact <= np.sqrt(constants.bias(samples).C)


def test_how_both_fall_with_the_samples():
    constants = maml(0.1, 2.0, 1.0, 1.0, hessian_smoothness=0.5, slope=3.0)
    assert constants.bias(1000).C / constants.bias(2000).C == pytest.approx(4)
    assert constants.noise(10, nodes=1) / constants.noise(20, nodes=5) == pytest.approx(10)
    rough = maml(0.1, 2.0, 1.0, 0.0)
    assert rough.bias(10).C / rough.bias(20).C == pytest.approx(2)
