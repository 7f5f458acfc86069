"""Problems whose f_i is the mean loss over node i's shard of a data set."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from pmom_mpi.networks.dense import grown
from pmom_mpi.problems.base import Context
from pmom_mpi.problems.metrics import ACCURACY, LOSS
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.report import Metric

Learns = Literal["classes", "numbers", "either"]

EVALUATION_ROWS = 1000
"""Test samples in one evaluation chunk: the unit that ranks share out, so sums do not depend on their number."""


class FiniteSum:
    """f_i(x) = (1/m_i) sum_j loss(x; sample j of shard i): shards, batches and evaluation; subclasses write the loss.

    A subclass is a dataclass (fields = config keys) with `shape`, `batch_gradient` and `batch_evaluate`; when its
    losses have other names than loss and accuracy it also sets `metrics` and `evaluation`.
    """

    metrics: tuple[Metric, ...] = (LOSS, ACCURACY)
    evaluation: ClassVar[tuple[Metric, ...]] = (LOSS, ACCURACY)
    learns: Learns = "either"
    """What targets are: indices of ``classes``, at least 2; the file's own ``numbers``, in the run's type; or indices
    where the data has integer labels, else numbers."""

    context: Context
    layout: Layout
    chunks: int
    _batch_inputs: np.ndarray
    _batch_targets: np.ndarray

    def shape(self, features: int, classes: int | None) -> Layout:
        """The model's tensors for samples of so many features; raises `UserError` when the data do not suit it."""
        raise NotImplementedError

    def batch_gradient(
        self, x: np.ndarray, inputs: np.ndarray, targets: np.ndarray, out: np.ndarray
    ) -> tuple[float, ...]:
        """Write the gradient of the batch's mean loss into ``out``; return the values named in `metrics`.

        ``inputs`` has shape (m, features) and the context's dtype, or is what `arrange` made of such; ``targets`` has
        shape (m,). Neither may be changed.
        """
        raise NotImplementedError

    def arrange(self, inputs: np.ndarray) -> Any:
        """Samples that are always used together, as `batch_gradient` and `batch_evaluate` like them best.

        Called once for each hosted shard, when batches are full, and each chunk of the evaluation. What is returned
        has a length and slices of rows; it may use the memory of ``inputs``.
        """
        return inputs

    def batch_evaluate(self, x: np.ndarray, inputs: np.ndarray, targets: np.ndarray) -> tuple[float, ...]:
        """Sums over the given samples of what `evaluation` names."""
        raise NotImplementedError

    def setup(self, context: Context) -> None:
        """Load the shards hosted here as one block that is held once; nodes see views of it."""
        data = context.data
        if data is None:
            raise UserError("problem: this kind learns from samples; add a data section")
        empty = [node for node, rows in enumerate(context.shards) if len(rows) == 0]
        if empty:
            raise UserError(f"data: the partition leaves node {empty[0]} without samples; use fewer nodes")
        if self.learns == "classes" and (data.classes is None or data.classes < 2):
            raise UserError(
                f"problem: classification needs data with at least 2 classes, but {data.what_targets_are()}"
            )
        if self.learns != "numbers":
            data.check_labels()
        self.context = context
        self.layout = self.shape(data.train.features, data.classes)
        self.chunks = -(-len(data.test) // EVALUATION_ROWS) if data.test is not None else 0
        self._shards = self._load_shards()
        self._evaluation: dict[int, tuple[Any, np.ndarray]] = {}

    def initial_point(self) -> np.ndarray:
        """The origin."""
        return np.zeros(self.layout.dimension, self.context.dtype)

    def gradient(self, x: np.ndarray, node: int, iteration: int, out: np.ndarray) -> tuple[float, ...]:
        """The gradient of the mean loss over the batch that the node draws at this iteration."""
        inputs, targets = self.batch(node, iteration)
        return self.batch_gradient(x, inputs, targets, out)

    def full_gradient(self, x: np.ndarray, node: int, out: np.ndarray) -> float:
        """The gradient of the mean loss over the node's whole shard."""
        return self.batch_gradient(x, *self._shards[node], out)[0]

    def evaluate(self, x: np.ndarray, chunk: int) -> tuple[float, ...]:
        """Sums over one chunk of the test split, and the number of its samples."""
        inputs, targets = self._evaluation_chunk(chunk)
        return (*self.batch_evaluate(x, inputs, targets), float(len(targets)))

    def batch(self, node: int, iteration: int) -> tuple[Any, np.ndarray]:
        """Inputs and targets of the node's batch: views of its shard, or rows gathered into a reused buffer."""
        inputs, targets = self._shards[node]
        rows = self.context.batch.rows(len(targets), self.context.seed, node, iteration)
        if isinstance(rows, slice):
            return inputs[rows], targets[rows]
        self._batch_inputs = grown(self._batch_inputs, len(rows))
        self._batch_targets = grown(self._batch_targets, len(rows))
        # With its default mode, take would first fill a temporary array: mode "clip" writes straight into out.
        return (
            np.take(inputs, rows, axis=0, out=self._batch_inputs[: len(rows)], mode="clip"),
            np.take(targets, rows, out=self._batch_targets[: len(rows)], mode="clip"),
        )

    def _load_shards(self) -> dict[int, tuple[Any, np.ndarray]]:
        hosted, shards = self.context.hosted, self.context.shards
        rows = np.concatenate([np.empty(0, np.int64), *(shards[node] for node in hosted)])
        inputs, targets = self._load(self.context.data.train, rows)
        self._batch_inputs, self._batch_targets = np.empty_like(inputs[:0]), np.empty_like(targets[:0])
        stops = np.cumsum([len(shards[node]) for node in hosted], dtype=np.int64)
        parts = {node: slice(stop - len(shards[node]), stop) for node, stop in zip(hosted, stops, strict=True)}
        keep = self.arrange if self.context.batch.size == "full" else lambda part: part
        return {node: (keep(inputs[rows]), targets[rows]) for node, rows in parts.items()}

    def _evaluation_chunk(self, chunk: int) -> tuple[Any, np.ndarray]:
        """Loaded at its first use and kept, so that a rank holds only the chunks it is asked for."""
        if chunk not in self._evaluation:
            test = self.context.data.test
            start = chunk * EVALUATION_ROWS
            rows = np.arange(start, min(start + EVALUATION_ROWS, len(test)))
            inputs, targets = self._load(test, rows)
            self._evaluation[chunk] = self.arrange(inputs), targets
        return self._evaluation[chunk]

    def _load(self, split: Any, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inputs, targets = split.load(rows, self.context.dtype)
        if self.learns == "numbers":
            targets = self.context.data.numbers(targets).astype(self.context.dtype)
        return inputs, targets
