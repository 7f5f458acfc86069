"""The linear-quadratic regulator's cost, policy gradient and optimum, by Lyapunov equations, in float64.

s' = A s + B u + noise w and u = -K s + exploration e with standard normal s_0, w, e;
J(K) = E sum_t gamma^t (s_t^T Q s_t + u_t^T R u_t). The formulas are those of Fazel, Ge, Kakade, Mesbahi (2018), "Global
convergence of policy gradient methods for the linear quadratic regulator", here with discount and noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESOLUTION = 1e-9
"""Of K*: shorter steps change the cost by less than its rounding."""

MAX_STEPS = 500


@dataclass(frozen=True)
class System:
    """A node's regulator: A (s, s), B (s, c), Q (s, s), R (c, c), standard deviations, and the discount gamma of J."""

    a: np.ndarray
    b: np.ndarray
    q: np.ndarray
    r: np.ndarray
    noise: float
    exploration: float
    discount: float

    def closed(self, gain: np.ndarray) -> np.ndarray:
        """A - B K."""
        return self.a - self.b @ gain

    @property
    def spread(self) -> np.ndarray:
        """The covariance that a step adds to the state."""
        return self.noise**2 * np.eye(len(self.a)) + self.exploration**2 * self.b @ self.b.T

    def value(self, gain: np.ndarray) -> np.ndarray | None:
        """P with E(sum_t gamma^t cost_t | s_0) = s_0^T P s_0 + a constant; None where J is infinite."""
        return _lyapunov(self.discount**0.5 * self.closed(gain).T, self.q + gain.T @ self.r @ gain)

    def cost(self, gain: np.ndarray) -> float:
        """J(K); infinity where gamma^(1/2) (A - B K) is not stable."""
        value = self.value(gain)
        if value is None:
            return np.inf
        later = self.discount * np.trace(value @ self.spread) + self.exploration**2 * np.trace(self.r)
        return float(np.trace(value) + later / (1 - self.discount))

    def occupancy(self, gain: np.ndarray) -> np.ndarray | None:
        """sum_t gamma^t E s_t s_t^T; None where it is infinite."""
        start = np.eye(len(self.a)) + self.discount / (1 - self.discount) * self.spread
        return _lyapunov(self.discount**0.5 * self.closed(gain), start)

    def slope(self, gain: np.ndarray, value: np.ndarray, discount: float) -> np.ndarray:
        """2 ((R + gamma B^T P B) K - gamma B^T P A): the gradient is this times the occupancy."""
        return 2 * (self.r @ gain - discount * self.b.T @ value @ self.closed(gain))

    def gradient(self, gain: np.ndarray) -> np.ndarray:
        """The gradient of J, shape (c, s); infinite where J is."""
        value, occupancy = self.value(gain), self.occupancy(gain)
        if value is None or occupancy is None:
            return np.full_like(gain, np.inf)
        return self.slope(gain, value, self.discount) @ occupancy

    def expected_estimate(self, gain: np.ndarray, horizon: int, discount: float) -> np.ndarray:
        """The expectation of REINFORCE's estimate from ``horizon`` steps, costs to go discounted by ``discount``.

        Step t < horizon counts gamma^t times the slope of what P becomes in the horizon - 1 - t steps after it. With
        gamma's own discount this is the gradient of the truncated cost.
        """
        closed, stage = self.closed(gain), self.q + gain.T @ self.r @ gain
        slopes, value = [], np.zeros_like(self.q)
        for _ in range(horizon):
            slopes.append(self.slope(gain, value, discount))
            value = stage + discount * closed.T @ value @ closed
        total, second = np.zeros_like(gain), np.eye(len(self.a))
        for t, slope in enumerate(reversed(slopes)):
            total += self.discount**t * slope @ second
            second = closed @ second @ closed.T + self.spread
        return total


def optimum(systems: Sequence[System]) -> tuple[np.ndarray, float]:
    """K* and J* of the mean of the systems' costs, until rounding hides that the cost still falls.

    Gauss-Newton steps, halved where the cost would rise, with the Hessian that holds P and the occupancy fixed: for a
    single system they are Hewer's policy iteration (1971), which converges quadratically.
    """

    def mean_cost(gain: np.ndarray) -> float:
        return float(np.mean([system.cost(gain) for system in systems]))

    gain = np.zeros(systems[0].b.T.shape)
    cost = mean_cost(gain)
    for _ in range(MAX_STEPS):
        gradient, hessian = _gauss_newton(systems, gain)
        step = np.linalg.solve(hessian, gradient.reshape(-1)).reshape(gain.shape)
        while (trial := mean_cost(gain - step)) >= cost and np.abs(step).max() > RESOLUTION:
            step /= 2
        if trial >= cost:
            break
        gain, cost = gain - step, trial
    return gain, cost


def _gauss_newton(systems: Sequence[System], gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean gradient (c, s), and mean of 2 (R + gamma B^T P B) x occupancy, shape (c s, c s)."""
    gradient, hessian = np.zeros_like(gain), np.zeros((gain.size, gain.size))
    for system in systems:
        value, occupancy = system.value(gain), system.occupancy(gain)
        assert value is not None and occupancy is not None  # the cost is finite at every accepted step
        gradient += system.slope(gain, value, system.discount) @ occupancy / len(systems)
        curvature = system.r + system.discount * system.b.T @ value @ system.b
        hessian += 2 * np.kron(curvature, occupancy) / len(systems)
    return gradient, hessian


def _lyapunov(transition: np.ndarray, term: np.ndarray) -> np.ndarray | None:
    """X = transition X transition^T + term; None where the sum that it stands for diverges."""
    if not np.isfinite(transition).all() or np.abs(np.linalg.eigvals(transition)).max() >= 1:
        return None
    system = np.eye(term.size) - np.kron(transition, transition)
    return np.linalg.solve(system, term.reshape(-1)).reshape(term.shape)
