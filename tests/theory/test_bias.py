"""B and C of sources of bias, and the envelope of measured points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from pmom_mpi.theory import bias

SQUARES = st.floats(0, 100, allow_subnormal=False).map(lambda value: round(value, 3))


@given(st.lists(st.tuples(SQUARES, SQUARES), min_size=1, max_size=30))
def test_envelope_is_the_solution_of_its_linear_program(points):
    gradients, biases = np.array(points).T
    B, C = bias.envelope(gradients, biases)
    assert 0 <= B <= 0.99 and C >= 0
    assert (biases <= B * gradients + C + 1e-9).all()
    best = linprog([gradients.mean(), 1], -np.stack([gradients, np.ones_like(gradients)], 1), -biases,
                   bounds=[(0, 0.99), (0, None)])  # fmt: skip
    assert B * gradients.mean() + C == pytest.approx(best.fun, abs=1e-6)


def test_envelope_finds_the_constants_of_exact_points():
    gradients = np.geomspace(1e-3, 10, 50)
    assert bias.envelope(gradients, 0.3 * gradients + 0.02) == pytest.approx((0.3, 0.02))


@pytest.mark.parametrize("sigma", [0.0, 1.5])
def test_top_k_of_minibatches(sigma):
    """E|eta|^2 over the draws, against the constants with a variance."""
    rng = np.random.default_rng(0)
    nodes, dimension, k, draws = 4, 10, 3, 4000
    gradients = rng.standard_normal((nodes, dimension))
    full = gradients.mean(axis=0)
    noisy = gradients + sigma / np.sqrt(dimension) * rng.standard_normal((draws, nodes, dimension))
    threshold = np.sort(np.abs(noisy), axis=2)[:, :, -k, None]
    sent = np.where(np.abs(noisy) >= threshold, noisy, 0)
    measured = ((sent.mean(axis=1) - full) ** 2).sum(axis=1).mean()
    zeta2 = ((gradients - full) ** 2).sum() / nodes
    B, C = bias.contractive(k / dimension, zeta2, sigma**2, nodes)
    assert 0.05 * (B * full @ full + C) < measured <= B * full @ full + C


def test_unbiased_compressors_average_out():
    """Rand-K with scaling: omega = d/K - 1, reached exactly."""
    rng = np.random.default_rng(0)
    nodes, dimension, k, draws = 5, 8, 2, 40_000
    gradients = rng.standard_normal((nodes, dimension))
    full = gradients.mean(axis=0)
    kept = rng.random((draws, nodes, dimension)).argsort(axis=2) < k
    measured = ((np.where(kept, gradients * dimension / k, 0).mean(axis=1) - full) ** 2).sum(axis=1).mean()
    B, C = bias.unbiased(dimension / k - 1, ((gradients - full) ** 2).sum() / nodes, nodes)
    assert measured == pytest.approx(B * full @ full + C, rel=0.02)


def test_clipping_and_normalizing():
    assert bias.clipped(2.0, largest=3.5) == (0, 2.25)
    assert bias.clipped(2.0, largest=1.0) == (0, 0)
    assert bias.normalized(4.0) == (0, 9)
    assert bias.normalized(1.5) == (0, 1)  # a gradient near 0 is moved by almost 1
