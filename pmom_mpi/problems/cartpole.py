"""Balancing a pole on a cart: policy gradients whose bias comes from cutting episodes short and from discounting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from pmom_mpi.kernels.cartpole import BODY, STATE, rollouts
from pmom_mpi.kernels.policy import logit_gradients
from pmom_mpi.kernels.returns import MEAN_BASELINE, NO_BASELINE, TIME_BASELINE, advantages
from pmom_mpi.networks.initialize import initialize
from pmom_mpi.problems.base import Context
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.report import Metric
from pmom_mpi.words.streams import Stream, generator, key

Count = Annotated[int, Field(ge=1)]
Discount = Annotated[float, Field(gt=0, le=1)]
Baseline = Literal["none", "mean", "time"]

BASELINES: dict[str, int] = {"none": NO_BASELINE, "mean": MEAN_BASELINE, "time": TIME_BASELINE}

EPISODE = 500
"""Steps after which CartPole-v1 ends an episode."""

EVALUATION_EPISODES = 50
"""Episodes in one evaluation chunk: the unit that ranks share out."""


def check_baseline(baseline: Baseline, episodes: int) -> None:
    """A dataclass's check; raises ValueError."""
    if baseline != "none" and episodes < 2:
        raise ValueError(f"baseline {baseline} is made of the other episodes: it needs episodes of at least 2")


@dataclass
class CartPole:
    """f_i(x) = -E(return), the number of steps, at most 500, that policy x keeps the pole of node i up.

    REINFORCE (Williams, 1992): the mean over episodes of -sum_t A_t grad log P(a_t | s_t), A_t the rewards to go less a
    baseline. It is unbiased for horizon 500 and discount 1. A shorter horizon ignores what comes after it, a smaller
    discount what is far away; both cost bias and save variance, and the horizon saves time as well.

    Parameters
    ----------
    hidden : int
        Width of the policy's layer of tanh; d = 6 hidden + 1.
    init : {"pytorch", "glorot", "he"}
        How x^0 is drawn.
    episodes : int
        Episodes a node plays in an iteration.
    horizon : int
        Steps after which training cuts an episode off.
    discount : float
        Of the rewards to go.
    baseline : {"none", "mean", "time"}
        Nothing; the mean return of the other episodes; the mean of their rewards to go at the same time.
    heterogeneity : float
        Node i's pole length, masses and force are those of CartPole-v1, each times (1 + heterogeneity)**u with u
        uniform on [-1, 1].
    evaluation_episodes : int
        The same ones every time, with all 500 steps: as many of CartPole-v1 as of the nodes' own cart-poles in turn.
    """

    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("loss", "minus the mean number of steps of the node's episodes", "step", rises=False),
        Metric("cut", "fraction of episodes that the horizon cut off"),
    )
    evaluation: ClassVar[tuple[Metric, ...]] = (
        Metric("return", "mean steps of CartPole-v1 episodes", "step", rises=True, headline=True),
        Metric("return_nodes", "mean steps of episodes of the nodes' own cart-poles", "step", rises=True),
    )
    differentiates: ClassVar[bool] = False

    hidden: Count = 32
    init: Literal["pytorch", "glorot", "he"] = "pytorch"
    episodes: Count = 8
    horizon: Annotated[int, Field(ge=1, le=EPISODE)] = 200
    discount: Discount = 0.99
    baseline: Baseline = "time"
    heterogeneity: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.2
    evaluation_episodes: Count = 100

    def __post_init__(self) -> None:
        check_baseline(self.baseline, self.episodes)

    def setup(self, context: Context) -> None:
        self.context = context
        shapes = ((self.hidden, STATE), (self.hidden,), (1, self.hidden), (1,))
        self.layout = Layout(("weight1", "bias1", "weight2", "bias2"), shapes)
        self.chunks = -(-self.evaluation_episodes // EVALUATION_EPISODES)
        self.bodies = [self._body(node) for node in range(context.nodes)]
        self._inputs = np.empty((self.episodes, self.horizon, STATE))
        self._surprises, self._rewards, self._advantages = np.empty((3, self.episodes, self.horizon))
        self._gradient = np.empty(self.layout.dimension)

    def initial_point(self) -> np.ndarray:
        return initialize(self.init, self.layout, self.context.seed, self.context.dtype)

    def gradient(self, x: np.ndarray, node: int, iteration: int, out: np.ndarray) -> tuple[float, float]:
        """The estimate; metrics are minus the mean number of steps, and the share of episodes that were cut off."""
        policy = tuple(self.layout.views(x.astype(np.float64)))
        draws = key(self.context.seed, Stream.ROLLOUT, node, iteration)
        cut = rollouts(draws, self.bodies[node], policy, self._inputs, self._surprises, self._rewards)
        advantages(self._rewards, self.discount, BASELINES[self.baseline], self._advantages)
        coefficients = self._advantages
        coefficients *= self._surprises
        coefficients /= -self.episodes
        sums = tuple(self.layout.views(self._gradient))
        logit_gradients(coefficients.reshape(-1), self._inputs.reshape(-1, STATE), policy, sums)
        out[:] = self._gradient
        return -float(self._rewards.sum()) / self.episodes, cut / self.episodes

    def evaluate(self, x: np.ndarray, chunk: int) -> tuple[float, float, float]:
        """Sums over the chunk's episodes of the return, in CartPole-v1 and at the nodes, and their number."""
        policy = tuple(self.layout.views(x.astype(np.float64)))
        first = chunk * EVALUATION_EPISODES
        last = min(first + EVALUATION_EPISODES, self.evaluation_episodes)
        inputs, (surprises, rewards) = np.empty((1, EPISODE, STATE)), np.empty((2, 1, EPISODE))
        found = [0.0, 0.0]
        for episode in range(first, last):
            draws = key(self.context.seed, Stream.EVALUATION, episode)
            for place, body in enumerate((np.array(BODY), self.bodies[episode % self.context.nodes])):
                rollouts(draws, body, policy, inputs, surprises, rewards)
                found[place] += float(rewards.sum())
        return found[0], found[1], float(last - first)

    def _body(self, node: int) -> np.ndarray:
        powers = generator(self.context.seed, Stream.DATA, node).uniform(-1, 1, len(BODY))
        return np.array(BODY) * (1 + self.heterogeneity) ** powers
