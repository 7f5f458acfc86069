"""Diagnosis: on some iterations nodes also send their exact gradients, and the server measures the bias.

At the point where nodes work, x^k (or w^k with a compressed downlink), every node sends its exact gradient uncompressed
before its payload, in its turn, so that the sum's bits do not depend on ranks. That costs one more full gradient and is
counted as overhead, not as uplink. The method takes no notice of it. The nodes' half is `pmom_mpi.method.exactly`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pmom_mpi.method.aggregate import Aggregate
from pmom_mpi.method.exactly import GRADIENT, SPREAD
from pmom_mpi.method.momentum import EMA, SGD, HeavyBall, MomentumRule, Nesterov
from pmom_mpi.transport.base import Task
from pmom_mpi.words.memory import Memory
from pmom_mpi.words.report import Entry, Metric, Report, Row

SERVERS = {"gradient", "noise"}
"""What nodes report and the server does not average: it has these names for something of its own."""

_DIVERGING = np.errstate(over="ignore", invalid="ignore")


def columns(
    point: str, reported: Sequence[Metric], rule: MomentumRule | None = None, repeats: int = 0
) -> tuple[Metric, ...]:
    """What a run with diagnosis has in its file; every column is NaN where none was due.

    Parameters
    ----------
    point : {"x", "w"}
        Where the nodes are.
    reported : sequence of Metric
        What each of them says (`pmom_mpi.method.exactly.reported`).
    rule : MomentumRule, optional
    repeats : int
    """
    where = f"{point}^k" + (", the point looked ahead to" if isinstance(rule, Nesterov) else "")

    def column(name: str, what: str) -> Metric:
        return Metric(f"diag_{name}", f"{what}, at {where}; NaN where not diagnosed", role="diagnosis")

    apart = (
        column("mean_bias", f"|E eta|^2, an unbiased estimate from {repeats} further draws; may be below 0"),
        column("noise", f"E|eta - E eta|^2, an unbiased estimate from {repeats} further draws, nodes independent"),
    )
    return (
        *(apart if repeats else ()),
        column("gradient", "|grad f|^2"),
        column("bias", "|eta|^2, eta = g^k - grad f: the squared error of the averaged estimate, bias and noise"),
        column("cosine", "cosine of the angle between g^k and grad f"),
        column("error", "|e|^2, e = v^k - grad f: the squared error of the momentum (rules ema, heavy_ball, sgd)"),
        column("momentum", "|v^k|^2 (rules ema and sgd; of heavy_ball, |(1 - beta) v^k|^2)"),
        column("heterogeneity", "zeta^2 = mean over nodes of |grad f_i - grad f|^2"),
        column("smoothness", "|change of grad f| / |change of its point| since the diagnosis before: L is not less"),
        *(column(metric.name, f"{metric.description}; mean over nodes") for metric in averaged(reported)),
    )


def averaged(reported: Sequence[Metric]) -> list[Metric]:
    """What of the nodes' reports stands in the file as a mean."""
    return [metric for metric in reported if metric.name not in SERVERS]


def node_columns(point: str, reported: Sequence[Metric]) -> tuple[Metric, ...]:
    """What stands in /nodes, a value a node."""
    return tuple(
        metric.named(f"diag_{metric.name}", f"{metric.description}, at {point}^k; NaN where not diagnosed", "diagnosis")
        for metric in reported
    )


class Diagnosis:
    """The server's half.

    Parameters
    ----------
    every : int
        Iterations that this divides are diagnosed.
    dimension, nodes : int
    dtype : numpy dtype
        Of x.
    rule : MomentumRule
    reported : sequence of Metric
        What each node says.
    repeats : int

    Attributes
    ----------
    task : Task
        What an order says of it.
    bits : int
        Length of the exact gradients that were added since `begin`.
    memory : Memory
        The last diagnosed point and the gradient there, to be saved with the run.
    """

    def __init__(
        self, every: int, dimension: int, nodes: int, dtype: np.dtype | type | str, rule: MomentumRule,
        reported: Sequence[Metric], repeats: int = 0,
    ) -> None:  # fmt: skip
        self._every = every
        self._nodes = nodes
        self._repeats = repeats
        self._names = [metric.name for metric in reported]
        self._kept = [(metric.name, self._names.index(metric.name)) for metric in averaged(reported)]
        self.task = Task.DIAGNOSE | (Task.REPEAT if repeats else Task(0))
        self._parts = [Aggregate(dimension, np.float64, nodes) for _ in range(self.task.messages - 1)]
        self._next = 0
        self._rule = rule
        self._means: list[float] = []
        self.bits = 0
        self._moved = np.nan
        self.memory: Memory = {
            "diagnosed_point": np.full(dimension, np.nan, dtype), "diagnosed_gradient": np.full(dimension, np.nan),
        }  # fmt: skip

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

    @_DIVERGING
    def note(self, report: Report, point: np.ndarray, entry: Entry) -> None:
        """What the nodes reported, and where they are (shape (d,))."""
        self._means = report.diagnosis.mean(axis=0).tolist()
        entry.row["overhead_bits"] += self.bits
        if entry.nodes:
            entry.nodes |= {f"diag_{name}": values.copy() for name, values in zip(
                self._names, report.diagnosis.T, strict=True)}  # fmt: skip
        last = self.memory["diagnosed_point"]
        self._moved = float(np.linalg.norm(point.astype(np.float64) - last))
        last[:] = point

    @_DIVERGING
    def finish(self, g: np.ndarray, momentum: Memory) -> Row:
        """What was found, after the momentum's step."""
        full, estimate = self._parts[0].finish(), g.astype(np.float64)
        gradient = float(full @ full)
        lengths = np.sqrt(gradient) * np.linalg.norm(estimate)
        found = {f"diag_{name}": self._means[place] for name, place in self._kept} | {
            "diag_gradient": gradient,
            "diag_bias": float(np.sum((estimate - full) ** 2)),
            "diag_cosine": float(full @ estimate / lengths) if lengths else float("nan"),
            "diag_heterogeneity": max(self._means[GRADIENT] - gradient, 0.0),
            "diag_smoothness": self._turned(full) / self._moved if self._moved else float("nan"),
        }
        if self._repeats:
            variance = self._means[SPREAD] / self._nodes
            away = float(np.sum((self._parts[1].finish() - full) ** 2))
            found |= {"diag_mean_bias": away - variance / self._repeats, "diag_noise": variance}
        v = self._direction(estimate, momentum)
        if v is not None:
            found |= {"diag_error": float(np.sum((v - full) ** 2)), "diag_momentum": float(v @ v)}
        return found

    def _turned(self, full: np.ndarray) -> float:
        """How far the gradient is from the one diagnosed before, which it takes the place of."""
        last = self.memory["diagnosed_gradient"]
        turned = float(np.linalg.norm(full - last))
        last[:] = full
        return turned

    def _direction(self, estimate: np.ndarray, momentum: Memory) -> np.ndarray | None:
        """v^k as an average of estimates; None where the rule has none."""
        if isinstance(self._rule, SGD):
            return estimate
        if isinstance(self._rule, EMA):
            return momentum["v"].astype(np.float64)
        if isinstance(self._rule, HeavyBall):
            return (1 - self._rule.beta) * momentum["v"].astype(np.float64)
        return None
