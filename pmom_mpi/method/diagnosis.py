"""Diagnosis: on some iterations nodes also send their exact gradients, and the server measures the bias.

At the point where nodes work, x^k (or w^k with a compressed downlink), every node sends its exact gradient uncompressed
before its payload, in its turn, so that the sum's bits do not depend on ranks. That costs one more full gradient and is
counted as overhead, not as uplink. The method takes no notice of it.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.kernels.norms import norm
from pmom_mpi.method.aggregate import Aggregate
from pmom_mpi.method.momentum import EMA, SGD, MomentumRule
from pmom_mpi.problems.base import Exact, Problem
from pmom_mpi.transport.base import Task
from pmom_mpi.wire import codec
from pmom_mpi.wire.message import Everything, Message
from pmom_mpi.wire.values.raw import Raw
from pmom_mpi.words.memory import Memory
from pmom_mpi.words.report import Metric, Report, Row

VALUE, LENGTH, NOISE, SPREAD = range(4)
"""What a node reports: f_i, |grad f_i|^2, |g_i - grad f_i|^2 of its draw, before the bias, the variance of repeats."""

FAR = 2**40
"""Repeated draws are those of iterations from here on, which no run has."""


def columns(point: str, repeats: int = 0) -> tuple[Metric, ...]:
    """What a run with diagnosis has in its file; every column is NaN where none was due."""

    def column(name: str, what: str) -> Metric:
        return Metric(f"diag_{name}", f"{what}, at {point}^k; NaN where not diagnosed", role="diagnosis")

    apart = (
        column("mean_bias", f"|E eta|^2, an unbiased estimate from {repeats} further draws; may be below 0"),
        column("noise", f"E|eta - E eta|^2, an unbiased estimate from {repeats} further draws, nodes independent"),
    )
    return (
        *(apart if repeats else ()),
        column("value", "f, exactly"),
        column("gradient", "|grad f|^2"),
        column("bias", "|eta|^2, eta = g^k - grad f: the squared error of the averaged estimate, bias and noise"),
        column("cosine", "cosine of the angle between g^k and grad f"),
        column("error", "|e|^2, e = v^k - grad f: the squared error of the momentum (rules ema and sgd)"),
        column("momentum", "|v^k|^2 (rules ema and sgd)"),
        column("heterogeneity", "zeta^2 = mean over nodes of |grad f_i - grad f|^2"),
        column("variance", "mean over nodes of |g_i - grad f_i|^2 of their draws, before the bias"),
    )


class ExactProblem(Problem, Exact, Protocol):
    """A problem that can be diagnosed."""


class Exactly:
    """The nodes' half: exact gradients as payloads, and what the node's own draw makes of them.

    Parameters
    ----------
    problem : Exact
    dimension : int
    dtype : numpy dtype
    report : Report
        Where the rows of `Report.diagnosis` go.
    checksum : bool
        Whether payloads end with a checksum.
    pipeline : Pipeline
        The nodes' bias, without memory where there are repeats.
    repeats : int
    """

    def __init__(
        self, problem: ExactProblem, dimension: int, dtype: np.dtype | type | str, report: Report, checksum: bool,
        pipeline: Pipeline, repeats: int = 0,
    ) -> None:  # fmt: skip
        self._problem = problem
        self._pipeline = pipeline
        self._repeats = repeats
        self._report = report
        self._checksum = checksum
        self._exact = np.empty(dimension, dtype)

    def payload(self, x: np.ndarray, node: int, out: np.ndarray) -> int:
        """Write a node's exact gradient into ``out`` (uint8); how many bytes it takes."""
        row = self._report.diagnosis[node]
        row[VALUE] = self._problem.full_gradient(x, node, self._exact)
        row[LENGTH] = norm(self._exact) ** 2
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
        """The same node's stochastic gradient, at the same point."""
        self._report.diagnosis[node, NOISE] = norm(gradient - self._exact) ** 2


class Diagnosis:
    """The server's half.

    Parameters
    ----------
    every : int
        Iterations that this divides are diagnosed.
    dimension, nodes : int
    rule : MomentumRule
    repeats : int
    """

    def __init__(self, every: int, dimension: int, nodes: int, rule: MomentumRule, repeats: int = 0) -> None:
        self._every = every
        self._nodes = nodes
        self._repeats = repeats
        self.task = Task.DIAGNOSE | (Task.REPEAT if repeats else Task(0))
        """What an order says of it."""
        self._parts = [Aggregate(dimension, np.float64, nodes) for _ in range(self.task.messages - 1)]
        self._next = 0
        self._rule = rule
        self._means: list[float] = []
        self.bits = 0
        """Length of the exact gradients that were added since `begin`."""

    def due(self, iteration: int) -> bool:
        return iteration % self._every == 0

    def begin(self) -> None:
        for part in self._parts:
            part.begin()
        self._next = 0
        self.bits = 0

    def add(self, payload: np.ndarray) -> None:
        """A node's exact gradient, then the mean of its repeats, in the nodes' turns."""
        self._parts[self._next].add(payload)
        self._next = (self._next + 1) % len(self._parts)
        self.bits += 8 * payload.size

    def note(self, report: Report) -> None:
        """What the nodes reported."""
        self._means = report.diagnosis.mean(axis=0).tolist()

    def finish(self, g: np.ndarray, momentum: Memory) -> Row:
        """What was found, after the momentum's step."""
        full, estimate = self._parts[0].finish(), g.astype(np.float64)
        value, length, noise, spread = self._means
        gradient = float(full @ full)
        lengths = np.sqrt(gradient) * np.linalg.norm(estimate)
        found = {
            "diag_value": value,
            "diag_gradient": gradient,
            "diag_bias": float(np.sum((estimate - full) ** 2)),
            "diag_cosine": float(full @ estimate / lengths) if lengths else float("nan"),
            "diag_heterogeneity": max(length - gradient, 0.0),
            "diag_variance": noise,
        }
        if self._repeats:
            variance = spread / self._nodes
            away = float(np.sum((self._parts[1].finish() - full) ** 2))
            found |= {"diag_mean_bias": away - variance / self._repeats, "diag_noise": variance}
        if isinstance(self._rule, EMA | SGD):
            v = momentum["v"].astype(np.float64) if isinstance(self._rule, EMA) else estimate
            found |= {"diag_error": float(np.sum((v - full) ** 2)), "diag_momentum": float(v @ v)}
        return found
