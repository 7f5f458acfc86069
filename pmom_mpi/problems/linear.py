"""Problems whose loss depends on x through a linear prediction: phi(a_j^T x, y_j), on dense or sparse samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from threadpoolctl import threadpool_limits

from pmom_mpi.data.dataset import DataSet
from pmom_mpi.kernels import regression
from pmom_mpi.kernels.layers import add_l2
from pmom_mpi.problems.base import Context
from pmom_mpi.problems.finite_sum import EVALUATION_ROWS, grown
from pmom_mpi.problems.metrics import ACCURACY, LOSS, SUBOPTIMALITY
from pmom_mpi.problems.minimize import largest_eigenvalue, minimize
from pmom_mpi.problems.rows import DenseRows, Finite, Loss, Shard, load
from pmom_mpi.problems.synthetic import Made
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.report import Metric
from pmom_mpi.words.room import check_room
from pmom_mpi.words.streams import Stream, generator

MAX_SPECTRUM = 1024
"""Up to this dimension all eigenvalues are computed; beyond it only the largest."""

VECTORS = 4
"""x, its gradient, the server's momentum and average: the least that a run holds."""

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Labels = Annotated[tuple[int, ...], Field(min_length=1)]
Period = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Constants:
    """What is known of f before the first iteration; None for what is not.

    Attributes
    ----------
    smoothness : float
        L.
    pl_constant : float
        mu: |grad f|^2 >= 2 mu (f - f*).
    minimum : float
        f*.
    minimizer : ndarray of float64, shape (d,)
        An x* with f(x*) = f*.
    """

    smoothness: float | None = None
    pl_constant: float | None = None
    minimum: float | None = None
    minimizer: np.ndarray | None = None


class LinearModel:
    """f_i(x) = (1/m_i) sum_j phi(a_ij^T x, y_ij) + l2/2 |x|^2.

    A subclass is a dataclass with `loss`, maybe with `targets`, and where it is convex with `Convex` before this class.
    Without a data section the samples are those that its key ``synthetic`` describes.

    Parameters
    ----------
    l2 : float
        The weight of 1/2 |x|^2 beside the loss.
    positive : list of int, optional
        With class labels: y = +1 for these, -1 for the others. Without it y is the label itself.
    synthetic : Synthetic, optional
        Samples that are made, in place of a data section.
    constants : bool
        Whether L, mu and f* are computed before the first iteration, on one rank, from all samples.
    """

    accurate: ClassVar[bool] = False
    """Whether the sign of the prediction is a class, so that an accuracy exists."""

    synthetic: Made | None
    positive: Labels | None
    l2: Weight
    constants: bool

    smoothness: float | None = None
    pl_constant: float | None = None
    minimum: float | None = None
    """Known after `adopt`."""

    @property
    def loss(self) -> Loss:
        """phi."""
        raise NotImplementedError

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return self._basic

    @property
    def evaluation(self) -> tuple[Metric, ...]:
        return self._basic if self.chunks else ()

    @property
    def _basic(self) -> tuple[Metric, ...]:
        """What is known of any samples, of training and test."""
        return (LOSS, ACCURACY) if self.accurate else (LOSS,)

    def check_targets(self, data: DataSet) -> None:
        """Raise `UserError` when the data's targets are not such as this model learns."""
        if self.positive is not None:
            data.check_labels()
            self._places = data.places("problem.positive", self.positive)
            if len(set(self.positive)) == data.classes:
                raise UserError(
                    f"problem.positive: {list(self.positive)} are all labels there are; leave out those that are -1"
                )

    def targets(self, loaded: np.ndarray, data: DataSet) -> np.ndarray:
        """y of a data set's targets: the file's numbers, or +-1 where ``positive`` says which labels are +1."""
        return data.numbers(loaded) if self.positive is None else np.where(np.isin(loaded, self._places), 1, -1)

    def synthetic_targets(self, predictions: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """y of made samples."""
        return predictions + noise

    def setup(self, context: Context) -> None:
        """Load the shards hosted here."""
        self.context = context
        if (context.data is None) == (self.synthetic is None):
            raise UserError("problem: needs either a data section or the key synthetic, which makes the samples")
        if context.data is None:
            dimension, test = self.synthetic.dimension, None  # type: ignore[union-attr]
        else:
            dimension, test = context.data.train.features, context.data.test
            self.check_targets(context.data)
        check_room(VECTORS * dimension, context.dtype, f"{VECTORS} vectors of d = {dimension:,} numbers")
        self.layout = Layout.flat(dimension)
        self.chunks = -(-len(test) // EVALUATION_ROWS) if test is not None else 0
        self._shards = {node: self.shard(node) for node in context.hosted}
        self._evaluation: dict[int, Shard] = {}
        self._everything = np.arange(max((len(y) for _, y in self._shards.values()), default=0))
        self._predictions = np.empty(len(self._everything), context.dtype)

    def shard(self, node: int) -> Shard:
        """A node's samples and y, in the run's type."""
        context = self.context
        if self.synthetic is not None:
            inputs, predictions, noise = self.synthetic.node(context, node)
            y = self.synthetic_targets(predictions, noise)
            context.batch.check([len(y)])
            return DenseRows(inputs.astype(context.dtype)), y.astype(context.dtype)
        return self._load(context.data.train, context.shards[node])

    def _load(self, split: object, rows: np.ndarray) -> Shard:
        samples, loaded = load(split, rows, self.context.dtype)
        return samples, self.targets(loaded, self.context.data).astype(self.context.dtype)

    def initial_point(self) -> np.ndarray:
        """The origin."""
        return np.zeros(self.layout.dimension, self.context.dtype)

    def gradient(self, x: np.ndarray, node: int, iteration: int, out: np.ndarray) -> tuple[float, ...]:
        """The gradient over the batch that the node draws at this iteration."""
        samples, y = self._shards[node]
        rows = self.context.batch.rows(len(y), self.context.seed, node, iteration)
        drawn = self._everything[rows] if isinstance(rows, slice) else rows
        predictions = self._predictions[: len(drawn)]
        loss, correct = samples.gradient(self.loss, y, drawn, x, predictions, out)
        values = (loss / len(drawn) + self.add_penalty(x, out), correct / len(drawn))
        everything = isinstance(rows, slice) and len(drawn) == len(y)
        return values[: 1 + self.accurate] + self.further(x, node, iteration, predictions if everything else None)

    def full_gradient(self, x: np.ndarray, node: int, out: np.ndarray) -> float:
        """The gradient over the node's whole shard."""
        samples, y = self._shards[node]
        count = len(y)
        loss, _ = samples.gradient(self.loss, y, self._everything[:count], x, self._predictions[:count], out)
        return float(loss / count + self.add_penalty(x, out))

    def further(self, x: np.ndarray, node: int, iteration: int, predictions: np.ndarray | None) -> tuple[float, ...]:
        """Values of the metrics behind loss and accuracy; ``predictions`` are those of all samples where known."""
        return ()

    def add_penalty(self, x: np.ndarray, out: np.ndarray) -> float:
        """The value of what f_i holds besides the losses; its gradient is added to ``out``."""
        return 0.5 * self.l2 * add_l2(x, x.dtype.type(self.l2), out) if self.l2 else 0.0

    def evaluate(self, x: np.ndarray, chunk: int) -> tuple[float, ...]:
        """Sums over one chunk of the test split: of losses (with f's penalty), maybe of right classes; its samples."""
        if chunk not in self._evaluation:
            test, start = self.context.data.test, chunk * EVALUATION_ROWS
            self._evaluation[chunk] = self._load(test, np.arange(start, min(start + EVALUATION_ROWS, len(test))))
        samples, y = self._evaluation[chunk]
        self._predictions = grown(self._predictions, len(y))
        samples.products(x, self._predictions[: len(y)])
        loss, correct = regression.loss_sum(self.loss.code, self.loss.scale, self._predictions[: len(y)], y)
        loss += len(y) * self.add_penalty(x, np.zeros_like(x))
        return (loss, float(correct), float(len(y))) if self.accurate else (loss, float(len(y)))

    def solve(self) -> Constants:
        """L, and where f is convex mu, f* and x*: called on one rank, which tells the others."""
        if not self.constants:
            return Constants()
        with threadpool_limits(1):  # the order of sums, so the bits, may depend on the number of threads
            shards = [self._shards.get(node) or self.shard(node) for node in range(self.context.nodes)]
            return self.examine(Finite(shards, self.loss, self.l2, self.layout.dimension))

    def examine(self, f: Finite) -> Constants:
        """The constants of f, the losses' curvature being at most 1."""
        return Constants(smoothness=float(self.spectrum(f)[-1]) + self.l2)

    def spectrum(self, f: Finite) -> np.ndarray:
        """Eigenvalues of mean_i (1/m_i) sum_j a_ij a_ij^T, ascending; beyond `MAX_SPECTRUM` the last one only."""
        if f.dimension <= MAX_SPECTRUM:
            return np.linalg.eigvalsh(f.gram_matrix())
        start = generator(self.context.seed, Stream.EVALUATION).standard_normal(f.dimension)
        return np.array([largest_eigenvalue(f.gram(), start)])

    def adopt(self, constants: Constants) -> None:
        """Take over what `solve` found, here or on another rank."""
        self.smoothness, self.pl_constant = constants.smoothness, constants.pl_constant
        self.minimum = constants.minimum


class Convex(LinearModel):
    """A convex linear model: f(x) - f* is logged beside the losses.

    It is not taken as a difference: a node reports the Bregman divergence f_i(x) - f_i(x*) - grad f_i(x*)^T (x - x*),
    a sum of nonnegative terms. Their mean over the nodes is f(x) - f*, because the mean of grad f_i(x*) is zero.

    With full batches it is known in every iteration; with smaller ones every ``measure_every``-th iteration passes over
    all samples for it, and it is NaN in the others.

    Parameters
    ----------
    measure_every : int, in iterations
        In which iterations minibatch runs pass over all samples for f(x) - f*.
    """

    measure_every: Period

    @property
    def measured(self) -> bool:
        """Whether f* will be known."""
        return self.constants and (self.l2 > 0 or self.solvable_without_l2)

    @property
    def solvable_without_l2(self) -> bool:
        return False

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (*super().metrics, SUBOPTIMALITY) if self.measured else super().metrics

    def further(self, x: np.ndarray, node: int, iteration: int, predictions: np.ndarray | None) -> tuple[float, ...]:
        if not self.measured:
            return ()
        samples, y = self._shards[node]
        if predictions is None:
            if iteration % self.measure_every:
                return (float("nan"),)
            predictions = self._predictions[: len(y)]
            samples.products(x, predictions)
        away = regression.divergence(self.loss.code, predictions, self._centres[node], y) / len(y)
        return (away + self.l2 * regression.half_square_distance(x, self.minimizer),)

    def examine(self, f: Finite) -> Constants:
        smoothness = self.curvature * float(self.spectrum(f)[-1]) + self.l2
        if not self.measured:
            return Constants(smoothness=smoothness)
        x = minimize(f, np.zeros(f.dimension), self.l2)
        return Constants(smoothness, self.l2, f.value_and_gradient(x)[0], x)

    curvature: ClassVar[float] = 1.0
    """The largest of phi''."""

    def adopt(self, constants: Constants) -> None:
        super().adopt(constants)
        self.minimizer = constants.minimizer
        self._centres: dict[int, np.ndarray] = {}
        if self.minimizer is not None:
            for node, (samples, y) in self._shards.items():
                self._centres[node] = np.empty(len(y))
                samples.products(self.minimizer, self._centres[node])
