"""The problem under examination, made as often as a check wants a fresh one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pmom_mpi.problems.base import Problem, Stateful
from pmom_mpi.runtime.setting import Setting
from pmom_mpi.runtime.source import Source
from pmom_mpi.transport.one_process import OneProcess
from pmom_mpi.words.streams import Stream, generator

HOSTED = 3
"""Nodes that are looked at."""
AWAY = 0.1
"""How far from x^0 the checks' x is, in multiples of x^0's root mean square: at 0 too many derivatives vanish."""


@dataclass(frozen=True)
class Answer:
    """All that a call of `gradient` leaves behind."""

    metrics: tuple[float, ...]
    gradient: np.ndarray
    share: np.ndarray

    def __eq__(self, other: object) -> bool:
        """Bit for bit."""
        return isinstance(other, Answer) and self._bits() == other._bits()

    def _bits(self) -> tuple[bytes, ...]:
        return np.array(self.metrics).tobytes(), self.gradient.tobytes(), self.share.tobytes()


@dataclass(frozen=True)
class Subject:
    """A config, and the problems made of it."""

    source: Source

    @cached_property
    def nodes(self) -> range:
        """The nodes that are looked at: the first few."""
        return range(min(HOSTED, self.source.config().nodes))

    @cached_property
    def problem(self) -> Problem:
        """In float64, hosting `nodes`."""
        return self.make("float64", self.nodes)

    @cached_property
    def x(self) -> np.ndarray:
        """A point near x^0 where nothing is zero by accident."""
        start = self.problem.initial_point()
        size = np.sqrt(np.mean(np.square(start))) or 1.0
        return start + AWAY * size * generator(0, Stream.DATA).standard_normal(start.size)

    def make(self, dtype: str, hosted: range) -> Problem:
        """A new problem of that type, set up as a rank that hosts these nodes would."""
        source = replace(self.source, raw={**self.source.raw, "dtype": dtype})
        return Setting.make(OneProcess(), source, hosted).problem


def ask(problem: Problem, x: np.ndarray, node: int, iteration: int = 0, before: float = np.nan) -> Answer:
    """A gradient, written into an array that is full of ``before``."""
    out = np.full(problem.layout.dimension, before, x.dtype)
    metrics = problem.gradient(x, node, iteration, out)
    share = problem.share.copy() if isinstance(problem, Stateful) else np.empty(0)
    return Answer(metrics, out, share)
