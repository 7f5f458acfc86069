"""Composite problems: solutions, gradients, and a bias that falls like 1/S."""

import numpy as np
import pytest

from pmom_mpi.problems.composite import CompositeRegression, Portfolio
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.registry import construct

KINDS = [CompositeRegression, Portfolio]


def ready(problem, context):
    problem.setup(context)
    return problem


def value(problem, x):
    """f(x), the mean over nodes of what they report."""
    return np.mean([problem.gradient(x, node, 0, np.empty_like(x))[0] for node in range(problem.context.nodes)])


@pytest.mark.parametrize("kind", KINDS)
def test_exact_gradient_and_solution(make_context, kind):
    problem = ready(kind(inner_samples="exact"), make_context(None, nodes=3))
    rng = np.random.default_rng(0)
    x = rng.standard_normal(problem.layout.dimension)
    out, spare = np.empty_like(x), np.empty_like(x)
    for node in range(3):
        problem.gradient(x, node, 0, out)
        assert np.array_equal(out, problem.exact_gradient(x, node)) and not problem.bias(x, node).any()
        sides = [
            problem.gradient(x + e, node, 0, spare)[0] - problem.gradient(x - e, node, 0, spare)[0]
            for e in 1e-3 * np.eye(x.size)
        ]
        assert np.linalg.norm(out - np.array(sides) / 2e-3) <= 1e-6 * np.linalg.norm(out)
    assert value(problem, x) - problem.minimum == pytest.approx(problem.suboptimality(x), rel=1e-10)
    assert value(problem, problem.minimizer) == pytest.approx(problem.minimum, rel=1e-12)
    at_minimum = np.mean([problem.exact_gradient(problem.minimizer, node) for node in range(3)], axis=0)
    assert np.abs(at_minimum).max() < 1e-14
    assert problem.suboptimality(problem.minimizer) == 0


def test_regression_is_what_it_says(make_context):
    """The reported value is that of the composite function, and the constants are those asked for."""
    problem = ready(CompositeRegression(condition=50.0, inner_samples="exact"), make_context(None, nodes=2))
    x = np.random.default_rng(1).standard_normal(20)
    for node in range(2):
        residual = problem._designs[node] @ x - problem._targets[node]
        assert problem.gradient(x, node, 0, np.empty(20))[0] == pytest.approx(residual @ residual / 80, rel=1e-12)
    assert problem.smoothness == pytest.approx(1) and problem.pl_constant == pytest.approx(1 / 50)
    assert problem.minimum > 0


def test_portfolio_is_what_it_says(make_context):
    problem = ready(Portfolio(inner_samples="exact"), make_context(None))
    x = 0.3 * np.random.default_rng(1).standard_normal(20)
    rng = np.random.default_rng(2)
    returns = problem._means[0] + 0.5 * rng.standard_normal((100_000, 20))
    returns += rng.standard_normal((100_000, 3)) @ problem._loadings[0].T
    earned = returns @ x
    objective = -earned.mean() + 0.5 * earned.var()
    assert problem.gradient(x, 0, 0, np.empty(20))[0] == pytest.approx(objective, abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_bias_falls_like_one_over_s(make_context, kind):
    """Mean estimates over many iterations, against the exact gradient and against the bias's formula."""
    measured, draws = {}, 6_000
    for inner_samples in (2, 4, 8, 16):
        problem = ready(kind(dimension=5, inner_samples=inner_samples), make_context(None))
        x = 2 * np.random.default_rng(0).standard_normal(5)
        estimates = np.empty((draws, 5))
        for iteration in range(draws):
            problem.gradient(x, 0, iteration, estimates[iteration])
        difference = estimates.mean(axis=0) - problem.exact_gradient(x, 0)
        error = 5 * estimates.std(axis=0) / np.sqrt(draws)
        assert (np.abs(difference - problem.bias(x, 0)) < error).all()
        expected = problem.bias(x, 0)
        measured[inner_samples] = inner_samples * float(difference @ expected) / np.linalg.norm(expected)
    scaled = np.array(list(measured.values()))  # S times the bias's length along its direction: a constant
    assert (np.abs(scaled / scaled.mean() - 1) < 0.2).all(), scaled


@pytest.mark.parametrize("kind", KINDS)
def test_descent_ends_at_the_biased_point(make_context, kind):
    """With much averaging, what remains of f - f* is the bias's share, a formula."""
    problem = ready(kind(dimension=5, inner_samples=4), make_context(None, nodes=10, dtype=np.float32))
    mean = np.mean([local.linear for local in problem._local], axis=0)
    slope = np.mean([problem.bias(e, node) for e in np.eye(5) for node in range(10)], axis=0)
    biased_hessian = problem._hessian + np.stack(
        [np.mean([problem.bias(e, node) for node in range(10)], axis=0) for e in np.eye(5)], axis=1
    )
    assert slope.any()
    floor = problem.suboptimality(np.linalg.solve(biased_hessian, mean))
    x, v, out, tail = problem.initial_point(), np.zeros(5), np.empty(5, np.float32), []
    for k in range(2000):
        g = np.zeros(5)
        for node in range(10):
            problem.gradient(x, node, k, out)
            g += out / 10
        v += 0.05 * (g - v)
        x = (x - 0.1 / problem.smoothness * v).astype(np.float32)
        tail.append(x)
    assert problem.suboptimality(np.mean(tail[1000:], axis=0)) == pytest.approx(floor, rel=0.3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_node_is_the_same_on_every_rank(make_context, kind, dtype):
    alone = ready(kind(), make_context(None, nodes=5, hosted=range(3, 4), dtype=dtype))
    among = ready(kind(), make_context(None, nodes=5, dtype=dtype))
    x = alone.initial_point() + dtype(0.5)
    one, two = np.empty_like(x), np.empty_like(x)
    among.gradient(x, 1, 4, two)
    assert alone.gradient(x, 3, 4, one) == among.gradient(x, 3, 4, two)
    assert one.tobytes() == two.tobytes() and one.dtype == dtype
    assert alone.chunks == 0 and not alone.evaluation


@pytest.mark.parametrize("kind", KINDS)
def test_heterogeneity(make_context, kind):
    same, unlike = (
        ready(kind(heterogeneity=h, inner_samples="exact"), make_context(None, nodes=4)) for h in (0.0, 1.0)
    )
    spreads = [np.linalg.norm([p.exact_gradient(p.minimizer, node) for node in range(4)]) for p in (same, unlike)]
    assert spreads[0] < 1e-12 < 1e-2 < spreads[1]


@pytest.mark.parametrize(
    "kind, keys, words",
    [
        (CompositeRegression, {"outputs": 5}, "outputs must be at least the dimension, 20"),
        (CompositeRegression, {"inner_samples": 0}, "inner_samples"),
        (CompositeRegression, {"condition": 0.5}, "condition"),
        (Portfolio, {"inner_samples": 1}, "inner_samples"),
        (Portfolio, {"inner_samples": "all"}, "inner_samples"),
    ],
)
def test_keys_that_are_wrong(kind, keys, words):
    with pytest.raises(UserError, match=words):
        construct(kind, "problem", keys)
