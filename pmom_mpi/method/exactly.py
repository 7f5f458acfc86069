"""The nodes' half of a diagnosis: exact gradients beside the payloads, and what a node's own draw makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from pmom_mpi.bias.base import Feedback
from pmom_mpi.bias.drops import Drops
from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.kernels.norms import norm
from pmom_mpi.problems.base import Exact, Problem
from pmom_mpi.wire import codec
from pmom_mpi.wire.message import Everything, Message
from pmom_mpi.wire.values.raw import Raw
from pmom_mpi.words.report import Metric, Report

FAR = 2**40
"""Repeated draws are those of iterations from here on, which no run has."""

VALUE, GRADIENT, VARIANCE, SPREAD = range(4)
"""Where a node's row begins; SPREAD only where there are repeats."""


def reported(pipeline: Pipeline, repeats: int = 0) -> tuple[Metric, ...]:
    """What a node says of its exact gradient and of its bias, after an order to diagnose."""
    spread = Metric("noise", f"E|Q_i - E Q_i|^2 of what it sends, Q_i, from {repeats} further draws")
    return (
        Metric("value", "f_i, exactly"),
        Metric("gradient", "|grad f_i|^2"),
        Metric("variance", "|g_i - grad f_i|^2 of its draw, before the bias"),
        *((spread,) if repeats else ()),
        *(
            Metric(f"stage_{place}", f"|Q(v) - v|^2 / |v|^2 of bias[{place}], {stage}, on what it was given")
            for place, stage in _measured(pipeline)
        ),
        *(
            Metric(f"memory_{place}_{name}", f"|{name}|^2, what bias[{place}], {pipeline.stages[place]}, remembers")
            for place, name in _remembered(pipeline)
        ),
    )


def _measured(pipeline: Pipeline) -> Iterator[tuple[int, object]]:
    """The stages that change a vector themselves, and where they stand."""
    return ((place, stage) for place, stage in enumerate(pipeline.stages) if not isinstance(stage, Feedback))


def _remembered(pipeline: Pipeline) -> Iterator[tuple[int, str]]:
    """Where a vector is remembered between iterations, and what it is called."""
    for place, memory in enumerate(pipeline.blank()):
        for name, (shape, dtype) in memory.items():
            if shape == (pipeline.dimension,) and dtype.kind == "f":
                yield place, name


class ExactProblem(Problem, Exact, Protocol):
    """A problem that can be diagnosed."""


class Exactly:
    """Makes the exact gradients that are sent, and a node's row of `Report.diagnosis`.

    Parameters
    ----------
    problem : Exact
    pipeline : Pipeline
        The nodes' bias, without memory where there are repeats.
    report : Report
    dimension : int
    checksum : bool
        Whether payloads end with a checksum.
    repeats : int

    Attributes
    ----------
    drops : Drops
        For the pipeline to say in what its stages do.
    """

    def __init__(
        self, problem: ExactProblem, pipeline: Pipeline, report: Report, dimension: int, checksum: bool, repeats: int
    ) -> None:
        self._problem = problem
        self._pipeline = pipeline
        self._report = report
        self._checksum = checksum
        self._repeats = repeats
        self._exact = np.empty(dimension, pipeline.dtype)
        self._stages = [place for place, _ in _measured(pipeline)]
        self._memories = list(_remembered(pipeline))
        self.drops = Drops(len(pipeline.stages), dimension, pipeline.dtype)

    def payload(self, x: np.ndarray, node: int, out: np.ndarray) -> int:
        """Write a node's exact gradient into ``out`` (uint8); how many bytes it takes."""
        row = self._report.diagnosis[node]
        row[VALUE] = self._problem.full_gradient(x, node, self._exact)
        row[GRADIENT] = norm(self._exact) ** 2
        return codec.encode(Message(self._exact.size, Everything(), Raw(self._exact)), out, self._checksum)

    def repeat(self, x: np.ndarray, node: int, iteration: int, out: np.ndarray) -> int:
        """Write the mean of repeated draws of what the node sends into ``out``; how many bytes it takes."""
        mean, seen, squares = np.zeros(x.size), np.empty(x.size), 0.0
        draw = np.empty_like(x)
        for place in range(self._repeats):
            other = FAR + iteration * self._repeats + place
            self._problem.gradient(x, node, other, draw)
            message, _ = self._pipeline.apply(draw, node, other)
            codec.to_dense(message, seen)
            away = seen - mean
            mean += away / (place + 1)
            squares += float(away @ (seen - mean))
        self._report.diagnosis[node, SPREAD] = squares / (self._repeats - 1)
        draw[:] = mean
        return codec.encode(Message(x.size, Everything(), Raw(draw)), out, self._checksum)

    def compare(self, gradient: np.ndarray, node: int) -> None:
        """The same node's stochastic gradient, at the same point, before the bias; the exact one is not needed more."""
        self._exact -= gradient
        self._report.diagnosis[node, VARIANCE] = norm(self._exact) ** 2

    def conclude(self, node: int) -> None:
        """The bias has been applied to it, and `drops` has seen how."""
        memories = self._pipeline.memory(node)
        lengths = [norm(memories[place][name]) ** 2 for place, name in self._memories]
        found = [*self.drops.shares[self._stages], *lengths]
        row = self._report.diagnosis[node]
        row[row.size - len(found) :] = found
