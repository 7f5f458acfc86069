"""Model-agnostic meta-learning: a start from which one gradient step on a few samples solves a new task.

f_i(x) = E_t L_t^query(x_t), where x_t is x after ``inner_steps`` gradient steps of size ``inner_step_size`` on the K =
``shots`` samples of task t (Finn, Abbeel, Levine, 2017): a composite f_i(x) = F_i(E G_i(x)), whose estimates are biased
as soon as the inner expectation is.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from pmom_mpi.networks.initialize import initialize
from pmom_mpi.networks.stacked import ActivationName, Loss, StackedNetwork, Tape, dense_layout
from pmom_mpi.problems.base import Context
from pmom_mpi.problems.metrics import LOSS
from pmom_mpi.words.report import Metric
from pmom_mpi.words.streams import Stream, generator

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Estimate = Literal["exact", "minibatch", "first_order", "reptile"]
Initialization = Literal["pytorch", "glorot", "he"]

ADAPTATION_STEPS = (0, 1, 5, 10)
"""After how many steps on an unseen task its query loss is reported."""

REFERENCE_TASKS = 200
"""The least number of tasks that stand for a node's distribution in a diagnosis, the same ones every time."""

EVALUATION_TASKS = 100
"""Unseen tasks in one evaluation chunk: the unit that ranks share out."""

# A run that diverges shows in its loss; numpy need not warn on every rank as well.
_DIVERGING = np.errstate(over="ignore", invalid="ignore", divide="ignore")


class Samples(NamedTuple):
    """Samples of T tasks: inputs (T, m, features), targets (T, m, ...)."""

    inputs: np.ndarray
    targets: np.ndarray


class Tasks(NamedTuple):
    """T tasks: what is adapted on (the K shots) and what is then judged on."""

    support: Samples
    query: Samples


class MAML:
    """Meta-gradients of any family of tasks.

    A subclass is a dataclass with the fields below; it writes `widths`, `draw` and `unseen`, names its ``metrics`` and
    ``evaluation``, and may override `scores`.

    Parameters
    ----------
    estimate : {"exact", "minibatch", "first_order", "reptile"}
        ``exact``: the derivative through the inner steps, prod_j (I - a H_j) grad L_query, by Hessian-vector products.
        ``minibatch``: each inner gradient, and independently each Hessian, from ``inner_batch`` of the K shots, drawn
        with replacement (Fallah, Mokhtari, Ozdaglar, 2020): biased, like 1/inner_batch. ``first_order``: grad L_query,
        the Hessians dropped. ``reptile``: the sum of the inner gradients (Nichol, Achiam, Schulman, 2018).
    inner_batch : int
        For ``minibatch``.
    tasks : int
        Tasks a node draws in an iteration.
    shots, queries : int
        Samples that a task is adapted on, and judged on (classification: of each class).
    inner_step_size, inner_steps : float, int
        The adaptation in training; evaluation uses the same step size.
    hidden, activation, init
        The network.
    evaluation_tasks : int
        Unseen tasks in the evaluation, the same ones every time.
    """

    metrics: ClassVar[tuple[Metric, ...]] = (LOSS,)
    evaluation: ClassVar[tuple[Metric, ...]]
    loss: ClassVar[Loss]

    estimate: Estimate
    inner_batch: Count | None
    tasks: Count
    shots: Count
    queries: Count
    inner_step_size: Positive
    inner_steps: Count
    hidden: tuple[Count, ...]
    activation: ActivationName
    init: Initialization
    evaluation_tasks: Count

    def __post_init__(self) -> None:
        if (self.estimate == "minibatch") != (self.inner_batch is not None):
            raise ValueError("inner_batch belongs to estimate minibatch: give both or neither")
        if self.estimate == "reptile" and self.inner_steps < 2:
            raise ValueError("estimate reptile needs inner_steps of at least 2: with 1 it does not meta-learn")

    def widths(self, context: Context) -> tuple[int, ...]:
        """Features, hidden widths, outputs; raises `UserError` when the data do not suit."""
        raise NotImplementedError

    def draw(self, random: np.random.Generator, node: int) -> Tasks:
        """``tasks`` tasks of the node's own distribution."""
        raise NotImplementedError

    def unseen(self, random: np.random.Generator, count: int) -> Tasks:
        """So many tasks for evaluation."""
        raise NotImplementedError

    def scores(self, outputs: np.ndarray, query: Samples) -> tuple[float, ...]:
        """Sums over the tasks of what is reported of the queries' outputs (T, m, width); here their mean loss."""
        return (float(self.loss.derivative(outputs, query.targets)[0].sum()),)

    def setup(self, context: Context) -> None:
        self.context = context
        self.layout = dense_layout(self.widths(context))
        self.network = StackedNetwork(self.layout, self.activation, self.loss)
        self.chunks = -(-self.evaluation_tasks // EVALUATION_TASKS)
        self._points = np.empty((self.inner_steps, self.tasks, self.layout.dimension), context.dtype)
        self._gradients = np.empty_like(self._points[0])
        self._products = np.empty_like(self._points[0])

    def initial_point(self) -> np.ndarray:
        return initialize(self.init, self.layout, self.context.seed, self.context.dtype)

    @property
    def differentiates(self) -> bool:
        return self.estimate == "exact"

    @_DIVERGING
    def gradient(self, x: np.ndarray, node: int, iteration: int, out: np.ndarray) -> tuple[float, ...]:
        """The mean over the drawn tasks; metrics are of the queries, after the estimate's adaptation."""
        random = generator(self.context.seed, Stream.BATCH, node, iteration)
        support, query = self.draw(random, node)
        adapted, tapes = self._adapt(x, support, random)
        if self.estimate == "reptile":
            outputs = self.network.outputs(adapted, query.inputs)
            np.subtract(x, adapted.mean(axis=0), out=out)
            out /= self.inner_step_size
        else:
            outputs, vectors = self._meta_gradients(adapted, tapes, query)
            np.mean(vectors, axis=0, out=out)
        return tuple(score / self.tasks for score in self.scores(outputs, query))

    @_DIVERGING
    def full_gradient(self, x: np.ndarray, node: int, out: np.ndarray) -> float:
        """The exact gradient of the mean over fixed tasks of the node's own: a diagnosis takes that mean for f_i.

        The distribution's own mean has no formula. The derivative is that of ``estimate: exact``, whatever the run's
        own is, of queries after an adaptation on all shots.
        """
        total, value = np.zeros(x.size), 0.0
        parts = -(-REFERENCE_TASKS // self.tasks)
        for part in range(parts):
            support, query = self.draw(generator(self.context.seed, Stream.REFERENCE, node, part), node)
            params, tapes = x[None], []
            for point in self._points:
                _, tape = self.network.gradient(params, *support, self._gradients)
                tapes.append(tape)
                self._gradients *= self.inner_step_size
                params = np.subtract(params, self._gradients, out=point)
            vectors = self._gradients
            losses, _ = self.network.gradient(params, *query, vectors)
            value += float(np.mean(losses))
            for tape in reversed(tapes):
                self.network.hessian_vector(tape, vectors, self._products)
                self._products *= self.inner_step_size
                vectors -= self._products
            total += vectors.mean(axis=0)
        out[:] = total / parts
        return value / parts

    @_DIVERGING
    def evaluate(self, x: np.ndarray, chunk: int) -> tuple[float, ...]:
        """Sums over the chunk's tasks after every number of steps in `ADAPTATION_STEPS`, and the number of tasks."""
        count = min(EVALUATION_TASKS, self.evaluation_tasks - chunk * EVALUATION_TASKS)
        support, query = self.unseen(generator(self.context.seed, Stream.EVALUATION, chunk), count)
        found: list[tuple[float, ...]] = []
        params, gradient = np.repeat(x[None], count, axis=0), np.empty((count, x.size), x.dtype)
        for before, steps in pairwise((0, *ADAPTATION_STEPS)):
            for _ in range(steps - before):
                self.network.gradient(params, *support, gradient)
                gradient *= self.inner_step_size
                params -= gradient
            found.append(self.scores(self.network.outputs(params, query.inputs), query))
        return (*(value for scores in zip(*found, strict=True) for value in scores), float(count))

    def _adapt(self, x: np.ndarray, support: Samples, random: np.random.Generator) -> tuple[np.ndarray, list[Tape]]:
        """Every task's parameters after the inner steps, and a tape at each point on the way."""
        params, tapes = x[None], []
        for point in self._points:
            _, tape = self.network.gradient(params, *self._inner(support, random), self._gradients)
            if self.estimate == "minibatch":
                _, tape = self.network.gradient(params, *self._inner(support, random), self._products)
            tapes.append(tape)
            self._gradients *= self.inner_step_size
            params = np.subtract(params, self._gradients, out=point)
        return params, tapes

    def _inner(self, support: Samples, random: np.random.Generator) -> Samples:
        """The shots of one inner derivative: all, or a minibatch of every task's."""
        if self.inner_batch is None:
            return support
        inputs, targets = support
        size = (self.tasks, self.inner_batch)
        places = (np.arange(self.tasks)[:, None], random.integers(inputs.shape[1], size=size))
        return Samples(inputs[places], targets[places])

    def _meta_gradients(self, adapted: np.ndarray, tapes: list[Tape], query: Samples) -> tuple[np.ndarray, np.ndarray]:
        """The outputs for the queries and every task's estimate (T, d): v = grad L_query, then, from the last inner
        step to the first, v - a H_j v."""
        vectors = self._gradients
        _, judged = self.network.gradient(adapted, *query, vectors)
        if self.estimate != "first_order":
            for tape in reversed(tapes):
                self.network.hessian_vector(tape, vectors, self._products)
                self._products *= self.inner_step_size
                vectors -= self._products
        return judged.activations[-1], vectors
