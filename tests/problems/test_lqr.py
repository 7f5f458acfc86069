"""LQR: cost, gradient, optimum and bias have formulas; the estimate agrees with them."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from pmom_mpi.problems.lqr import LQR
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.registry import construct


def ready(context, **keys):
    problem = LQR(**keys)
    problem.setup(context)
    problem.adopt(problem.solve())
    return problem


def stabilising(problem, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(problem.layout.dimension)


def differences(value, x, step=1e-5):
    return np.array([value(x + h) - value(x - h) for h in step * np.eye(x.size)]) / (2 * step)


def truncated_cost(problem, x, node, horizon):
    """sum_{t < horizon} gamma^t E cost_t, by the covariance of the state."""
    system, gain = problem.systems[node], x.reshape(problem.controls, problem.states)
    second, total = np.eye(problem.states), 0.0
    for t in range(horizon):
        cost = np.trace((system.q + gain.T @ system.r @ gain) @ second) + system.exploration**2 * np.trace(system.r)
        total += system.discount**t * cost
        second = system.closed(gain) @ second @ system.closed(gain).T + system.spread
    return total


def test_cost_and_gradient(make_context):
    problem = ready(make_context(None, nodes=3), horizon="infinite", episodes="exact", heterogeneity=0.3)
    x = stabilising(problem)
    out, spare = np.empty_like(x), np.empty_like(x)
    for node in range(3):
        cost, bias = problem.gradient(x, node, 0, out)
        assert bias == 0 and cost == pytest.approx(truncated_cost(problem, x, node, 2000), rel=1e-12)
        found = differences(lambda x, node=node: problem.gradient(x, node, 0, spare)[0], x)
        assert np.linalg.norm(found - out) <= 1e-6 * np.linalg.norm(out)


def test_expected_estimate_is_the_gradient_of_the_truncated_cost(make_context):
    problem = ready(make_context(None, nodes=2), horizon=7, episodes="exact")
    x = stabilising(problem)
    out = np.empty_like(x)
    problem.gradient(x, 1, 0, out)
    found = differences(lambda x: truncated_cost(problem, x, 1, 7), x)
    assert np.linalg.norm(found - out) <= 1e-6 * np.linalg.norm(out)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_bias_falls_with_the_horizon(make_context, noise):
    """Like gamma^H up to a factor that hardly changes, since exploration never lets the state come to rest."""
    problem = ready(make_context(None), noise=noise, episodes="exact")
    x = stabilising(problem)
    exact, gamma, horizons = problem.exact_gradient(x, 0), 0.95, (10, 20, 40, 80, 160)
    bias = [np.linalg.norm(replace_horizon(problem, h).expected_gradient(x, 0) - exact) for h in horizons]
    assert all(later < earlier for earlier, later in pairwise(bias))
    for i in (2, 3):
        ratio, step = bias[i + 1] / bias[i], horizons[i + 1] - horizons[i]
        assert 0.5 * gamma**step < ratio < 3 * gamma**step
    assert bias[-1] < 1e-2 * bias[0]


def replace_horizon(problem, horizon):
    other = replace(problem, horizon=horizon)
    other.setup(problem.context)
    return other


def test_discounting_more_than_the_objective_is_a_bias(make_context):
    biases = []
    for discount in (0.5, 0.8, 0.9, 0.95):
        problem = ready(make_context(None), discount=discount, horizon=400, episodes="exact")
        x = stabilising(problem)
        biases.append(np.linalg.norm(problem.expected_gradient(x, 0) - problem.exact_gradient(x, 0)))
    assert biases[0] > biases[1] > biases[2] > 1e3 * biases[3]


@pytest.mark.parametrize("baseline", ["none", "mean", "time"])
@pytest.mark.parametrize("discount", [None, 0.7])
def test_the_estimate_has_its_expectation(make_context, baseline, discount):
    problem = ready(
        make_context(None, nodes=2), states=2, controls=1, horizon=6, episodes=50, baseline=baseline, discount=discount
    )
    x = stabilising(problem)
    estimates = np.empty((2000, x.size))
    for iteration, out in enumerate(estimates):
        problem.gradient(x, 1, iteration, out)
    error = estimates.std(axis=0) / np.sqrt(len(estimates))
    expected = problem.expected_gradient(x, 1)
    assert (np.abs(estimates.mean(axis=0) - expected) < 4 * error).all()
    assert (error < 0.1 * np.abs(expected).max()).all()


def test_baselines_save_variance(make_context):
    spread = {}
    for baseline in ("none", "time"):
        problem = ready(make_context(None), baseline=baseline)
        x, out = stabilising(problem), np.empty(problem.layout.dimension)
        estimates = [problem.gradient(x, 0, k, out) and out.copy() for k in range(200)]
        spread[baseline] = np.var(estimates, axis=0).sum()
    assert spread["time"] < 0.7 * spread["none"]


@pytest.mark.parametrize("heterogeneity", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_optimum(make_context, seed, heterogeneity):
    """The gradient vanishes there; one system's is the fixed point of Riccati's equation."""
    problem = ready(make_context(None, nodes=4, seed=seed), heterogeneity=heterogeneity)
    x, zero = problem.minimizer.reshape(-1), problem.initial_point()

    def slope(x):
        return np.linalg.norm(np.mean([problem.exact_gradient(x, node) for node in range(4)], axis=0))

    assert slope(x) < 1e-7 * slope(zero)
    assert np.mean([problem.evaluate(x, node)[1] for node in range(4)]) == pytest.approx(0, abs=1e-12 * problem.minimum)
    assert np.mean([problem.evaluate(zero, node)[1] for node in range(4)]) > 0.01 * problem.minimum
    if heterogeneity == 0:
        linalg = pytest.importorskip("scipy.linalg")
        s = problem.systems[0]
        root = s.discount**0.5
        p = linalg.solve_discrete_are(root * s.a, root * s.b, s.q, s.r)
        best = np.linalg.solve(s.r + s.discount * s.b.T @ p @ s.b, s.discount * s.b.T @ p @ s.a)
        assert np.allclose(problem.minimizer, best, atol=1e-7)


def test_an_unstable_gain_has_infinite_cost(make_context):
    problem = ready(make_context(None))
    x = 100 * np.ones(problem.layout.dimension)
    assert problem.gradient(x, 0, 0, np.empty_like(x))[0] == np.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_node_is_the_same_on_every_rank(make_context, dtype):
    alone = ready(make_context(None, nodes=5, hosted=range(3, 4), dtype=dtype))
    among = ready(make_context(None, nodes=5, dtype=dtype))
    x = alone.initial_point()
    one, two = np.empty_like(x), np.empty_like(x)
    among.gradient(x, 1, 4, two)
    assert alone.gradient(x, 3, 4, one) == among.gradient(x, 3, 4, two)
    assert one.tobytes() == two.tobytes() and one.dtype == dtype
    assert alone.chunks == 5 and alone.evaluate(x, 2) == among.evaluate(x, 2)


@pytest.mark.parametrize(
    "keys, words",
    [
        ({"spectral_radius": 1.1}, "spectral_radius must be below 1.026"),
        ({"horizon": "infinite"}, "it needs episodes exact"),
        ({"horizon": "infinite", "episodes": "exact", "discount": 0.9}, "no discount"),
        ({"episodes": 1}, "needs episodes of at least 2"),
        ({"objective_discount": 1}, "objective_discount"),
    ],
)
def test_keys_that_are_wrong(keys, words):
    with pytest.raises(UserError, match=words):
        construct(LQR, "problem", keys)
