"""The server's rules against their formulas in numpy, in the published order of operations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmom_mpi.method.momentum import EMA, SGD, HeavyBall, Nesterov
from pmom_mpi.words import registry
from pmom_mpi.words.errors import UserError

DTYPES = st.sampled_from([np.float32, np.float64])
GAMMA = 0.3


def estimates(seed, dtype, iterations=6, dimension=37):
    return np.random.default_rng(seed).standard_normal((iterations, dimension)).astype(dtype)


def run(rule, gradients, gamma=GAMMA):
    """x after all steps from x^0 = 1."""
    x = np.ones(gradients.shape[1], gradients.dtype)
    state = rule.init(x.size, x.dtype)
    for k, gradient in enumerate(gradients):
        kept = gradient.copy()
        rule.step(x, gradient, state, gamma, k)
        np.testing.assert_array_equal(gradient, kept)
    assert x.dtype == gradients.dtype
    return x


@given(st.integers(0, 2**32 - 1), DTYPES, st.floats(0.01, 1), st.sampled_from(["gradient", "zero"]))
def test_ema_has_the_bits_of_the_published_loop(seed, dtype, beta, start):
    gradients = estimates(seed, dtype)
    x, v = np.ones_like(gradients[0]), np.zeros_like(gradients[0])
    for k, g in enumerate(gradients):
        v = g.copy() if k == 0 and start == "gradient" else dtype(1 - beta) * v + dtype(beta) * g
        x = x - dtype(GAMMA) * v
    np.testing.assert_array_equal(run(EMA(beta, start), gradients), x)


@given(st.integers(0, 2**32 - 1), DTYPES)
def test_beta_one_is_sgd(seed, dtype):
    gradients = estimates(seed, dtype)
    expected = run(SGD(), gradients)
    for rule in (EMA(1.0), EMA(1.0, "zero"), HeavyBall(0.0), Nesterov(0.0)):
        np.testing.assert_array_equal(run(rule, gradients), expected)


@given(st.integers(0, 2**32 - 1), DTYPES, st.floats(0, 0.99))
def test_heavy_ball_and_nesterov_are_their_formulas(seed, dtype, beta):
    gradients = estimates(seed, dtype)
    ball, nesterov, v = np.ones_like(gradients[0]), np.ones_like(gradients[0]), np.zeros_like(gradients[0])
    for g in gradients:
        v = dtype(beta) * v + g
        ball = ball - dtype(GAMMA) * v
        nesterov = nesterov - dtype(GAMMA) * (g + dtype(beta) * v)
    np.testing.assert_array_equal(run(HeavyBall(beta), gradients), ball)
    np.testing.assert_array_equal(run(Nesterov(beta), gradients), nesterov)


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 1))
def test_heavy_ball_is_ema_with_another_step_size(seed, beta):
    gradients = estimates(seed, np.float64)
    np.testing.assert_allclose(run(HeavyBall(1 - beta), gradients, GAMMA * beta), run(EMA(beta, "zero"), gradients))


@pytest.mark.parametrize("rule", [EMA(0.1), SGD(), HeavyBall(0.9), Nesterov(0.9)])
def test_divergence_reaches_x(rule):
    gradients = estimates(0, np.float32)
    gradients[2, 5] = np.nan
    assert np.isnan(run(rule, gradients)[5])


@pytest.mark.parametrize(
    "kind, parameters", [(EMA, {"beta": 0}), (EMA, {"beta": 1.1}), (HeavyBall, {"beta": 1}), (Nesterov, {"beta": -0.1})]
)
def test_a_beta_outside_is_refused_in_one_line(kind, parameters):
    with pytest.raises(UserError, match=r"^momentum\.beta[^\n]*$"):
        registry.construct(kind, "momentum", parameters)
