"""The two kinds of stage of a bias pipeline, and what a stage is told.

A stage is a frozen dataclass: its fields are its config keys, and it keeps nothing between calls. What it must
remember of a node (an error memory, a quantile of norms) lies in that node's ``state``, a dict of arrays, so that
saving a run is saving dicts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np

from pmom_mpi.wire.message import Message
from pmom_mpi.words.layout import Layout

State = dict[str, np.ndarray]


@dataclass(slots=True)
class Step:
    """Where a stage stands: which node, which iteration, and the memory it may use.

    Attributes
    ----------
    node, iteration, seed : int
        For random draws: ``streams.key(step.seed, Stream.COMPRESSOR, step.node, step.iteration)``.
    layout : Layout
        The tensors of the gradient, for what works layer by layer.
    state : dict of ndarray
        This node's memory of this stage, empty before its first iteration.
    scratch : dict of ndarray
        Buffers shared by all nodes of the rank; a stage allocates what it needs once and finds it here again.
    """

    node: int
    iteration: int
    seed: int
    layout: Layout
    state: State = field(default_factory=dict)
    scratch: State = field(default_factory=dict)

    def buffer(self, name: str, size: int, dtype: np.dtype | type) -> np.ndarray:
        """A scratch array of at least ``size`` entries, made once and reused; contents are undefined."""
        found = self.scratch.get(name)
        if found is None or found.size < size or found.dtype != dtype:
            found = self.scratch[name] = np.empty(size, dtype)
        return found[:size]


class Transform(Protocol):
    """A stage that changes a gradient in place: clipping, normalising, noise, local momentum."""

    statistics: ClassVar[tuple[str, ...]]
    """Names of what `apply` returns; the run file logs each as the mean over nodes."""

    def apply(self, gradient: np.ndarray, step: Step) -> tuple[float, ...]:
        """Change ``gradient`` (shape (d,), float32 or float64) in place."""


class Compressor(Protocol):
    """A stage that decides what is sent; the last stage of a pipeline, or what a feedback stage wraps."""

    statistics: ClassVar[tuple[str, ...]]

    def check(self, layout: Layout) -> None:
        """Raise `UserError` when this compressor cannot work on such a model (k > d)."""

    def compress(self, gradient: np.ndarray, step: Step) -> tuple[Message, tuple[float, ...]]:
        """The message to send, and the statistics. The message may refer to scratch: it lives until the next call."""


Compress = Callable[[np.ndarray], Message]


class Feedback(Protocol):
    """A stage that stands before a compressor and keeps what the compressor drops (EF14, EF21)."""

    statistics: ClassVar[tuple[str, ...]]
    integrates: ClassVar[bool]
    """True when messages are differences that the server must add up over the iterations (EF21)."""

    def around(self, gradient: np.ndarray, step: Step, compress: Compress) -> tuple[Message, tuple[float, ...]]:
        """Call ``compress`` once on what is to be sent and keep the rest in ``step.state``."""
