"""MAML for few-shot classification: N-way K-shot tasks made of a labelled data set's classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from pmom_mpi.kernels.distinct import distinct
from pmom_mpi.networks.stacked import CrossEntropy
from pmom_mpi.problems.base import Context
from pmom_mpi.problems.maml import (
    ADAPTATION_STEPS,
    MAML,
    ActivationName,
    Count,
    Estimate,
    Initialization,
    Positive,
    Samples,
    Tasks,
)
from pmom_mpi.problems.metrics import ACCURACY, LOSS, after
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.report import Metric


@dataclass(frozen=True)
class Pool:
    """Samples sorted by class; class c of the pool is ``inputs[starts[c] : starts[c] + counts[c]]``."""

    inputs: np.ndarray
    starts: np.ndarray
    counts: np.ndarray

    def tasks(self, random: np.random.Generator, count: int, ways: int, shots: int, queries: int) -> Tasks:
        """So many tasks: each ``ways`` classes in random order, numbered from 0, and different samples of each."""
        order = random.random((count, len(self.counts))).argsort(axis=1, kind="stable")
        classes = order[:, :ways].ravel()
        rows = np.empty((classes.size, shots + queries), np.int64)
        distinct(random.random(rows.shape), self.counts[classes], rows)
        rows += self.starts[classes][:, None]
        grouped = rows.reshape(count, ways, shots + queries)
        return Tasks(self._samples(grouped[:, :, :shots]), self._samples(grouped[:, :, shots:]))

    def _samples(self, rows: np.ndarray) -> Samples:
        count, ways, each = rows.shape
        labels = np.broadcast_to(np.repeat(np.arange(ways), each), (count, ways * each))
        return Samples(self.inputs[rows.reshape(count, ways * each)], labels)


@dataclass
class MAMLClasses(MAML):
    """Tasks tell ``ways`` classes apart after seeing ``shots`` samples of each; softmax cross-entropy.

    A node's tasks are made of its shard, so the data's partition says how unlike the nodes are. Classes of which a node
    has fewer than shots + queries samples take no part. Unseen tasks are made of the test split: of its held-out
    classes if there are any, else of all (then the samples are new and the classes are not).

    Parameters
    ----------
    ways : int
        N.
    held_out : tuple of int
        Labels, as in the file, of classes that no node trains on.
    """

    metrics: ClassVar[tuple[Metric, ...]] = (LOSS, ACCURACY)
    evaluation: ClassVar[tuple[Metric, ...]] = tuple(
        after(metric, steps) for metric in (LOSS, ACCURACY) for steps in ADAPTATION_STEPS
    )
    loss = CrossEntropy()

    ways: Annotated[int, Field(ge=2)] = 5
    held_out: tuple[int, ...] = ()
    estimate: Estimate = "exact"
    inner_batch: Count | None = None
    tasks: Count = 8
    shots: Count = 1
    queries: Count = 10
    inner_step_size: Positive = 0.1
    inner_steps: Count = 1
    hidden: tuple[Count, ...] = (64,)
    activation: ActivationName = "relu"
    init: Initialization = "pytorch"
    evaluation_tasks: Count = 500

    def widths(self, context: Context) -> tuple[int, ...]:
        return (context.data.train.features, *self.hidden, self.ways)

    def setup(self, context: Context) -> None:
        data = context.data
        if data is None:
            raise UserError("problem: few-shot tasks are made of labelled samples; add a data section")
        if data.classes is None:
            raise UserError(f"problem: few-shot tasks are made of labelled samples, but {data.what_targets_are()}")
        if context.batch.size != "full":
            raise UserError(f"gradient.batch: {context.batch.size} means nothing here; use problem.tasks")
        self._held_out = data.places("problem.held_out", self.held_out)
        super().setup(context)
        if data.test is None:
            self.chunks = 0
        self._pools = {node: self._node_pool(node) for node in context.hosted}
        self._unseen: Pool | None = None

    def draw(self, random: np.random.Generator, node: int) -> Tasks:
        return self._pools[node].tasks(random, self.tasks, self.ways, self.shots, self.queries)

    def unseen(self, random: np.random.Generator, count: int) -> Tasks:
        if self._unseen is None:  # loaded at its first use: only ranks that evaluate hold it
            test = self.context.data.test
            keep = np.isin(test.targets, self._held_out) if self.held_out else np.ones(len(test), bool)
            self._unseen = self._pool(test, np.flatnonzero(keep), "the test split (problem.held_out)")
        return self._unseen.tasks(random, count, self.ways, self.shots, self.queries)

    def scores(self, outputs: np.ndarray, query: Samples) -> tuple[float, ...]:
        """Summed mean losses, and summed fractions of queries classified correctly."""
        losses = self.loss.derivative(outputs, query.targets)[0]
        correct = (outputs.argmax(axis=-1) == query.targets).mean(axis=1)
        return float(losses.sum()), float(correct.sum())

    def _node_pool(self, node: int) -> Pool:
        rows, train = self.context.shards[node], self.context.data.train
        return self._pool(train, rows[~np.isin(train.targets[rows], self._held_out)], f"node {node}")

    def _pool(self, split: Any, rows: np.ndarray, owner: str) -> Pool:
        """The classes with enough samples; raises `UserError` when they are fewer than ``ways``."""
        targets = split.targets[rows]
        labels, counts = np.unique(targets, return_counts=True)
        needed = self.shots + self.queries
        enough = labels[counts >= needed]
        if len(enough) < self.ways:
            raise UserError(
                f"problem.ways: {self.ways} classes a task, but {owner} has only {len(enough)} with the {needed} "
                "samples that shots + queries need; lower one of them, or use fewer nodes or another data.partition"
            )
        rows = rows[np.isin(targets, enough)]
        rows = rows[np.argsort(split.targets[rows], kind="stable")]
        counts = counts[counts >= needed]
        return Pool(split.load(rows, self.context.dtype)[0], np.cumsum(counts) - counts, counts)
