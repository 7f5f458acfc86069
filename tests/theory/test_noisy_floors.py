"""The best Lyapunov function under bias and noise: little above what happens on parabolas, below proofs by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pmom_mpi.theory import lyapunov, noise, noisy, nonconvex


@pytest.fixture(autouse=True, scope="module")
def extra():
    pytest.importorskip("cvxpy")


@pytest.mark.parametrize("beta", [1.0, 0.5, 0.1])
@pytest.mark.parametrize("C, sigma2, B", [(0.0, 1.0, 0.0), (0.1, 1.0, 0.0), (0.1, 0.0, 0.3)])
def test_floors_lie_between_parabolas_and_proofs(beta, C, sigma2, B):
    mu, L = 2 / 3, 2.0
    step = 0.5 * nonconvex.largest_step_size(L, beta, B)
    known = {"B": B, "C": C, "sigma2": sigma2}
    polyak, convex = (noisy.mean_floor(L, mu, step, beta, **known, convex=each) for each in (False, True))
    least = max(noisy.parabola_floor(each, step, beta, C=C, sigma2=sigma2) for each in np.linspace(mu, L, 9).tolist())
    ours = float(noise.pl_bound(10**9, gap=0, first_bias=0, smoothness=L, pl=mu, step_size=step, beta=beta, **known))
    assert least <= convex * (1 + 1e-4) and convex <= polyak * (1 + 1e-4) and polyak <= ours * (1 + 1e-4)
    if B == 0:
        assert convex <= 1.4 * least  # so that no bound for strongly convex functions can be 1.4 times better
    if sigma2 == 0:
        assert polyak <= C * lyapunov.last_floor(L, mu, step, beta, B) * (1 + 1e-4)
        assert polyak >= C / (2 * mu * (1 - B)) * (1 - 1e-4)  # a run that stands still


def test_a_run_of_sgd_on_a_bent_function_stays_below():
    """Curvature 1 near 0 and mu far from it, noise of two values: mean over 4000 iterations of 200 runs."""
    rng = np.random.default_rng(0)
    mu, step, sigma = 0.1, 0.5, 0.5
    x, total = np.zeros(200), 0.0
    for _ in range(4000):
        total += (mu * x**2 / 2 + (1 - mu) * (np.logaddexp(x, -x) - np.log(2))).mean() / 4000
        x -= step * (mu * x + (1 - mu) * np.tanh(x) + sigma * rng.choice([-1.0, 1.0], 200))
    promised = noisy.mean_floor(1.0, mu, step, 1.0, B=0.0, C=0.0, sigma2=sigma**2, convex=True)
    assert 0.7 * promised < total <= promised


def test_no_floor_where_the_bias_undoes_the_gradient():
    assert noisy.mean_floor(1.0, 0.1, 0.1, 0.5, B=1.0, C=0.0, sigma2=1.0) == float("inf")
    assert noisy.parabola_floor(1.0, 7.0, 0.5, C=0.0, sigma2=1.0) == float("inf")
