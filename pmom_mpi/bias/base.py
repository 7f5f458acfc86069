"""What stages of a bias pipeline are: four roles as base classes, and what a stage is told.

A stage is a frozen dataclass that derives from `Transform`, `Feedback`, `Sparsifier` or `Quantizer`: its fields are its
config keys, and it keeps nothing between calls. What it must remember of a node (an error memory, a quantile of norms)
lies in that node's memory, a dict of arrays which `Stage.init` makes, so that saving a run is saving dicts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from pmom_mpi.bias.theory import OTHER, TRANSFORM, Theory
from pmom_mpi.wire import supports
from pmom_mpi.wire.message import Message
from pmom_mpi.wire.values.base import Values
from pmom_mpi.wire.values.raw import Raw
from pmom_mpi.words import streams
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.memory import Memory
from pmom_mpi.words.report import Metric
from pmom_mpi.words.streams import Stream

UPLINK, DOWNLINK = "bias", "downlink"
"""The places of a pipeline, by the keys of the config."""

ROUNDING = np.uint64(0xD1B54A32D192ED03)
"""Sets the draws of a quantizer apart from those of the sparsifier before it, which has the same stream."""

Numbers = tuple[float, ...]
"""The values of a stage's statistics, in their order."""

KEPT = Metric("kept", "mean over nodes of the number of coordinates that were sent", unit="coordinates")
"""A statistic that sparsifiers share."""


@dataclass(slots=True)
class Step:
    """Where a stage stands: which node, which iteration, and the memory it may use.

    Attributes
    ----------
    node, iteration, seed : int
        What random draws depend on (`Stage.key`).
    layout : Layout
        The tensors of the gradient, for what works layer by layer.
    memory : dict of ndarray
        This node's memory of this stage, as `Stage.init` made it before the node's first iteration.
    scratch : dict of ndarray
        Buffers shared by all nodes of the rank; a stage allocates what it needs once and finds it here again.
    turn : int
        How many stages before this one draw from the same stream.
    samples : int or None
        The size of the batch that the gradient is the mean over, where that is known.
    """

    node: int
    iteration: int
    seed: int
    layout: Layout
    memory: Memory = field(default_factory=dict)
    scratch: Memory = field(default_factory=dict)
    turn: int = 0
    samples: int | None = None

    def buffer(self, name: str, size: int, dtype: np.dtype | type) -> np.ndarray:
        """A scratch array of at least ``size`` entries, made once and reused; contents are undefined."""
        found = self.scratch.get(name)
        if found is None or found.size < size or found.dtype != dtype:
            found = self.scratch[name] = np.empty(size, dtype)
        return found[:size]


class Stage:
    """What every stage of a pipeline says of itself; the four roles below derive from it."""

    statistics: ClassVar[tuple[Metric, ...]] = ()
    """What the stage returns beside its work; the run file logs each as the mean over nodes."""

    places: ClassVar[tuple[str, ...]] = (UPLINK, DOWNLINK)
    """Where the stage may stand."""

    stream: ClassVar[Stream | None] = None
    """What its random numbers are for; None where it has none."""

    def init(self, layout: Layout, dtype: np.dtype) -> Memory:
        """A node's memory before its first iteration, complete: no array is added, dropped or reshaped later."""
        return {}

    def check(self, before: tuple[Stage, ...], layout: Layout, where: str) -> None:
        """Raise `UserError` when the stage cannot work behind these stages on such a model.

        Parameters
        ----------
        before : tuple of Stage
            All stages that stand before this one.
        layout : Layout
            The tensors of the gradient.
        where : str
            The stage's place in the config, for messages: ``"bias[1]"``.
        """

    def settled(self, before: tuple[Stage, ...], after: tuple[Stage, ...], layout: Layout, where: str) -> Stage:
        """The stage as it is to be applied, where that depends on the others' keys or theory; itself in general."""
        return self

    def theory(self, layout: Layout) -> Theory:
        """What is known of the operator on such a model."""
        return OTHER

    def key(self, step: Step) -> np.uint64:
        """The key of this stage's random numbers for this node and iteration; no other stage of the pipeline has it."""
        later = (step.turn,) if step.turn else ()
        return streams.key(step.seed, self._stream(), step.node, step.iteration, *later)

    def generator(self, step: Step, part: int) -> np.random.Generator:
        """Random numbers for this node and iteration as a numpy generator, others for every part (tensor)."""
        return streams.generator(step.seed, self._stream(), step.node, step.iteration, step.turn, part)

    def _stream(self) -> Stream:
        if self.stream is None:
            raise TypeError(f"{type(self).__name__} draws random numbers, so it must say its stream")
        return self.stream


class Transform(Stage, ABC):
    """Changes a gradient in place: clipping, normalising, noise, local momentum."""

    @abstractmethod
    def apply(self, gradient: np.ndarray, step: Step) -> Numbers:
        """Change ``gradient`` (shape (d,), float32 or float64) in place; return the values of `statistics`."""

    def theory(self, layout: Layout) -> Theory:
        return TRANSFORM


Compress = Callable[[np.ndarray], Message]


class Feedback(Stage, ABC):
    """Stands before a compressor and keeps what the compressor drops (EF14, EF21)."""

    places: ClassVar[tuple[str, ...]] = (UPLINK,)

    integrates: ClassVar[bool] = False
    """True when messages are differences that the server must add up over the iterations (EF21)."""

    @property
    def sends_uncompressed(self) -> bool:
        """Whether it may also send a vector as it is."""
        return False

    @abstractmethod
    def around(self, gradient: np.ndarray, step: Step, compress: Compress) -> tuple[Message, Numbers]:
        """Call ``compress`` at most once, on what is to be sent, and keep the rest in ``step.memory``."""


class Sparsifier(Stage, ABC):
    """Chooses which coordinates are sent; what it promises as a contraction, it promises as a projection."""

    coded: ClassVar[bool] = False
    """True when the values leave it coded, so that no quantizer can follow."""

    @abstractmethod
    def compress(self, gradient: np.ndarray, step: Step) -> tuple[Message, Numbers]:
        """The message to send, and the statistics. The message may refer to scratch: it lives until the next call."""

    def keeps(self, layout: Layout) -> int:
        """How many coordinates it chooses, ties aside; d where that depends on the gradient."""
        return layout.dimension

    def most(self, layout: Layout) -> int:
        """The most coordinates that it may ever choose."""
        return layout.dimension

    def max_size(self, layout: Layout, dtype: np.dtype) -> int:
        """The most bytes that its message's support and values can take, where no quantizer follows."""
        return self.max_support(layout) + Raw.max_size(self.most(layout), dtype)

    def max_support(self, layout: Layout) -> int:
        """The most bytes that its message's support can take."""
        return supports.max_size(layout.dimension, self.most(layout))


class Quantizer(Stage, ABC):
    """Codes the values that are sent: all of a gradient, or those that a sparsifier chose."""

    @abstractmethod
    def quantize(self, values: np.ndarray, step: Step) -> tuple[Values, Numbers]:
        """The coded values (of ``values``, float32 or float64, shape (m,), which stay), and the statistics."""

    @abstractmethod
    def max_size(self, count: int, layout: Layout) -> int:
        """The most bytes that ``count`` or fewer coded values can take; layouts matter where tensors have scales."""

    def combine(self, mean: np.ndarray) -> None:
        """What the server makes of the mean of all nodes' messages, in place; nothing, in general."""

    def key(self, step: Step) -> np.uint64:
        key: np.uint64 = super().key(step) ^ ROUNDING
        return key


def sparsifier_of(stages: Sequence[Stage]) -> Sparsifier | None:
    """The sparsifier among these stages, if there is one."""
    return next((stage for stage in stages if isinstance(stage, Sparsifier)), None)
