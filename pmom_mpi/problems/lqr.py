"""The linear-quadratic regulator: a policy gradient whose bias, from a cut horizon and discounting, has a formula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from pmom_mpi.kernels.lqr import normals, rollouts
from pmom_mpi.kernels.normal import add_normal
from pmom_mpi.kernels.returns import advantages
from pmom_mpi.problems.base import Context
from pmom_mpi.problems.cartpole import BASELINES, Baseline, Count, Discount, check_baseline
from pmom_mpi.problems.lqr_exact import System, optimum
from pmom_mpi.problems.metrics import LOSS, SUBOPTIMALITY
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.report import Metric
from pmom_mpi.words.streams import Stream, generator, key

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]

# A run that diverges shows in its loss; numpy need not warn on every rank as well.
_DIVERGING = np.errstate(over="ignore", invalid="ignore")


@dataclass
class LQR:
    """f_i(K) = J_i(K) = E sum_t objective_discount^t (s_t^T Q_i s_t + u_t^T R u_t), over all t.

    s_{t+1} = A_i s_t + B_i u_t + noise w_t, u_t = -K s_t + exploration e_t, all of s_0, w_t, e_t standard normal; x is
    K (controls, states), from 0. The estimate is REINFORCE's with steps t < horizon, as in
    `pmom_mpi.problems.cartpole.CartPole`, or its expectation.

    Known after `setup`: every node's ``systems``; after `adopt`: ``minimizer`` K* and ``minimum`` f*.

    Parameters
    ----------
    states, controls : int
        Of s and u.
    spectral_radius : float
        Of every A_i; objective_discount**0.5 times it must be below 1, so that J(0) is finite.
    objective_discount : float
        In J.
    horizon : int or "infinite"
        Steps of an episode; infinite needs episodes "exact".
    discount : float or None
        Of the costs to go in the estimate; None is the objective's.
    episodes : int or "exact"
        Episodes a node plays in an iteration; exact is the limit of infinitely many.
    baseline : {"none", "mean", "time"}
        What is taken off the costs to go: nothing, or their mean over the other episodes, of all steps or of each.
    exploration, noise : float
        Standard deviations.
    heterogeneity : float
        Size of what nodes add to the entries of A, B and the square root of Q that they have in common, relative to
        these.
    """

    metrics: ClassVar[tuple[Metric, ...]] = (
        LOSS,
        Metric("bias_norm", "2-norm of the gradient estimate's exact bias", rises=False),
    )
    evaluation: ClassVar[tuple[Metric, ...]] = (LOSS, SUBOPTIMALITY)

    states: Annotated[int, Field(ge=1, le=16)] = 4
    controls: Annotated[int, Field(ge=1, le=16)] = 2
    spectral_radius: Positive = 0.9
    objective_discount: Share = 0.95
    horizon: Count | Literal["infinite"] = 50
    discount: Discount | None = None
    episodes: Count | Literal["exact"] = 32
    baseline: Baseline = "time"
    exploration: Positive = 0.3
    noise: NonNegative = 0.1
    heterogeneity: NonNegative = 0.1

    def __post_init__(self) -> None:
        if self.objective_discount**0.5 * self.spectral_radius >= 1:
            most = self.objective_discount**-0.5
            raise ValueError(f"spectral_radius must be below {most:.4g}, or the cost at the start is infinite")
        if self.horizon == "infinite" and (self.episodes != "exact" or self.discount is not None):
            raise ValueError("horizon infinite is the gradient itself: it needs episodes exact, and no discount")
        if self.episodes != "exact":
            check_baseline(self.baseline, self.episodes)

    def setup(self, context: Context) -> None:
        self.context = context
        self.layout = Layout(("gain",), ((self.controls, self.states),))
        self.chunks = context.nodes
        self.systems = self._systems(context)
        if self.episodes != "exact" and self.horizon != "infinite":
            played = (self.episodes, self.horizon)
            self._draws = np.empty((self.episodes, normals(self.states, self.controls, self.horizon)))
            self._visited, self._controls = np.empty((*played, self.states)), np.empty((*played, self.controls))
            self._costs, self._advantages = np.empty((2, *played))
            times = self.objective_discount ** np.arange(self.horizon)
            self._weights = times / (-self.exploration * self.episodes)

    def solve(self) -> tuple[np.ndarray, float]:
        """K* and f*: called on one rank, which tells the others."""
        return optimum(self.systems)

    def adopt(self, found: tuple[np.ndarray, float]) -> None:
        """Take over what `solve` found, here or on another rank."""
        self.minimizer, self.minimum = found

    def initial_point(self) -> np.ndarray:
        return np.zeros(self.layout.dimension, self.context.dtype)

    def expected_gradient(self, x: np.ndarray, node: int) -> np.ndarray:
        """The expectation of node's estimate, shape (d,), float64."""
        gain, system = self._gain(x), self.systems[node]
        if self.horizon == "infinite":
            return system.gradient(gain).reshape(-1)
        discount = self.objective_discount if self.discount is None else self.discount
        return system.expected_estimate(gain, self.horizon, discount).reshape(-1)

    def exact_gradient(self, x: np.ndarray, node: int) -> np.ndarray:
        """The gradient of J_i, shape (d,), float64."""
        return self.systems[node].gradient(self._gain(x)).reshape(-1)

    @_DIVERGING
    def full_gradient(self, x: np.ndarray, node: int, out: np.ndarray) -> float:
        """`exact_gradient`, in x's dtype."""
        out[:] = self.exact_gradient(x, node)
        return self.systems[node].cost(self._gain(x))

    @property
    def differentiates(self) -> bool:
        return self.horizon == "infinite"

    @_DIVERGING
    def gradient(self, x: np.ndarray, node: int, iteration: int, out: np.ndarray) -> tuple[float, float]:
        """The estimate; metrics are exact: J_i, and the length of the expected estimate less the gradient."""
        expected = self.expected_gradient(x, node)
        out[:] = expected if self.episodes == "exact" else self._estimate(x, node, iteration)
        bias = float(np.linalg.norm(expected - self.exact_gradient(x, node)))
        return self.systems[node].cost(self._gain(x)), bias

    def evaluate(self, x: np.ndarray, chunk: int) -> tuple[float, float, float]:
        """J_i and J_i - f* of the node whose number the chunk has: their means are f and f - f*."""
        cost = self.systems[chunk].cost(self._gain(x))
        return cost, cost - self.minimum, 1.0

    def _gain(self, x: np.ndarray) -> np.ndarray:
        return x.astype(np.float64).reshape(self.controls, self.states)

    def _estimate(self, x: np.ndarray, node: int, iteration: int) -> np.ndarray:
        """-(1/E) sum of gamma^t A_t e_t s_t^T / exploration, since grad log P(u_t | s_t) = -e_t s_t^T / exploration."""
        system = self.systems[node]
        self._draws[:] = 0.0
        add_normal(key(self.context.seed, Stream.ROLLOUT, node, iteration), 1.0, self._draws.reshape(-1))
        rollouts(
            *(system.a, system.b, system.q, system.r, self._gain(x), system.exploration, system.noise),
            *(self._draws, self._visited, self._controls, self._costs),
        )
        discount = self.objective_discount if self.discount is None else self.discount
        advantages(self._costs, discount, BASELINES[self.baseline], self._advantages)
        self._advantages *= self._weights
        self._controls *= self._advantages[:, :, None]
        return (self._controls.reshape(-1, self.controls).T @ self._visited.reshape(-1, self.states)).reshape(-1)

    def _systems(self, context: Context) -> list[System]:
        """Every node's system, the same on every rank."""
        states, controls = self.states, self.controls
        shapes = ((states, states), (states, controls), (states, states))
        shared = generator(context.seed, Stream.DATA)
        common = [shared.standard_normal(shape) for shape in shapes]
        found = []
        for node in range(context.nodes):
            random = generator(context.seed, Stream.DATA, node + 1)
            a, b, root = (part + self.heterogeneity * random.standard_normal(part.shape) for part in common)
            a *= self.spectral_radius / np.abs(np.linalg.eigvals(a)).max()
            q = root @ root.T / states
            deviations = (self.noise, self.exploration, self.objective_discount)
            found.append(System(a, b / np.sqrt(states), q, np.eye(controls), *deviations))
        return found
