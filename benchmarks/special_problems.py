"""Problems whose bias has one cause, for benchmarks/special_cases.py: MAML on tasks that stay, a bandit cut short."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pmom_mpi.problems.base import Context
from pmom_mpi.problems.maml import Tasks
from pmom_mpi.problems.maml_sines import MAMLSines
from pmom_mpi.problems.metrics import LOSS
from pmom_mpi.theory.composite import Composite
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.streams import Stream, generator


@dataclass
class FixedSines(MAMLSines):
    """`maml_sines` with the same few tasks for ever, so that the only bias is that of the inner minibatches."""

    def draw(self, random: np.random.Generator, node: int) -> Tasks:
        return super().draw(generator(self.context.seed, Stream.DATA, node), node)

    def promised(self, x: np.ndarray, node: int, draws: int = 100) -> float:
        """The root of C of node's tasks, with the constants at x.

        Of a network no L and H hold everywhere: s_1 and |I - a H| are those at x, exactly, and L_F and H_F the largest
        that ``draws`` inner minibatches of each task ask for.
        """
        assert self.inner_batch is not None
        own = replace(self, tasks=1)
        own.setup(self.context)
        support, query = self.draw(generator(0, Stream.DATA, 0), node)
        random, roots = np.random.default_rng(0), []
        for t in range(self.tasks):
            shots = [(support.inputs[t : t + 1, [k]], support.targets[t : t + 1, [k]]) for k in range(self.shots)]
            each = np.concatenate([own.slope(x, *shot) for shot in shots])
            spread = np.sqrt(((each - each.mean(axis=0)) ** 2).sum(axis=1).mean())
            whole = support.inputs[t : t + 1], support.targets[t : t + 1]
            hessian = own.hessian(x, *whole)
            steepest = np.linalg.norm(np.eye(x.size) - self.inner_step_size * hessian, 2)
            asked = query.inputs[t : t + 1], query.targets[t : t + 1]
            inner = x - self.inner_step_size * each.mean(axis=0)
            there, bent, most, steep = own.slope(inner, *asked)[0], own.hessian(inner, *asked), 0.0, 0.0
            for _ in range(draws):
                drawn = each[random.integers(self.shots, size=self.inner_batch)].mean(axis=0)
                away = -self.inner_step_size * (drawn - each.mean(axis=0))
                turned = own.slope(inner + away, *asked)[0] - there
                steep = max(steep, float(np.linalg.norm(turned) / np.linalg.norm(away)))
                most = max(most, float(2 * np.linalg.norm(turned - bent @ away) / (away @ away)))
            # gradient and Hessian come from different draws, so that their product adds nothing
            constants = Composite(steep, steepest, self.inner_step_size * spread, 0.0, most)
            roots.append(np.sqrt(constants.bias(self.inner_batch).C))
        return float(np.mean(roots))

    def slope(self, x: np.ndarray, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """The gradient of one task's loss, shape (1, d)."""
        found = np.empty((1, x.size))
        self.network.gradient(x[None], inputs, targets, found)
        return found

    def hessian(self, x: np.ndarray, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        rows, gradient = np.empty((x.size, x.size)), np.empty((1, x.size))
        _, tape = self.network.gradient(x[None], inputs, targets, gradient)
        for row, direction in zip(rows, np.eye(x.size), strict=True):
            self.network.hessian_vector(tape, direction[None], gradient)
            row[:] = gradient[0]
        return rows


@dataclass
class Bandit:
    """Two actions for ever, rewards +1 and -1 (node i: times a share), P(+1) = 1 / (1 + e^-x); minus the return is f.

    The estimate is the expectation of REINFORCE's from the first ``horizon`` steps.
    """

    horizon: int = 20
    discount: float = 0.9
    metrics = (LOSS,)
    evaluation = ()

    def setup(self, context: Context) -> None:
        self.layout, self.chunks, self.context = Layout(("preference",), ((1,),)), 0, context
        self.shares = np.linspace(0.5, 1, context.nodes)

    def initial_point(self) -> np.ndarray:
        return np.zeros(1, self.context.dtype)

    def _steps(self, x: np.ndarray, node: int, steps: float, out: np.ndarray) -> float:
        p, worth = 1 / (1 + np.exp(-x[0])), (1 - self.discount**steps) / (1 - self.discount) * self.shares[node]
        out[:] = -2 * p * (1 - p) * worth
        return float((1 - 2 * p) * worth)

    def gradient(self, x: np.ndarray, node: int, iteration: int, out: np.ndarray) -> tuple[float]:
        return (self._steps(x, node, self.horizon, out),)

    def full_gradient(self, x: np.ndarray, node: int, out: np.ndarray) -> float:
        return self._steps(x, node, np.inf, out)

    def evaluate(self, x: np.ndarray, chunk: int) -> tuple[float, ...]:
        raise NotImplementedError  # no chunks
