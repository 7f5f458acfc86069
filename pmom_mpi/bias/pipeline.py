"""The bias pipeline: stages in the order of the config, from a node's gradient to the message it sends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from pmom_mpi.bias.base import UPLINK, Feedback, Numbers, Quantizer, Sparsifier, Stage, Step, Transform, sparsifier_of
from pmom_mpi.bias.drops import Drops
from pmom_mpi.bias.order import checked
from pmom_mpi.wire import codec
from pmom_mpi.wire.message import Everything, Message
from pmom_mpi.wire.values.raw import Raw
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.memory import Memory
from pmom_mpi.words.report import Metric
from pmom_mpi.words.streams import Stream


class Pipeline:
    """Applies the stages to one node's gradient after the other.

    Transforms change the vector, a feedback stage wraps all that stands behind it, then at most one sparsifier chooses
    coordinates and at most one quantizer codes their values. Without either, all values are sent as they are.

    Parameters
    ----------
    stages : sequence of Stage
        In the order of the config.
    layout : Layout
        The tensors of the gradient.
    dtype : numpy dtype
        float32 or float64.
    seed : int
        The experiment's seed.
    where : {"bias", "downlink"}
        The pipeline's place, by its key in the config.
    samples : callable, optional
        The size of a node's batch in an iteration, for stages that depend on it.

    Raises
    ------
    UserError
        When the order of the stages makes no sense, or one cannot stand there or work on this layout.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        layout: Layout,
        dtype: np.dtype | type,
        seed: int = 0,
        where: str = UPLINK,
        samples: Callable[[int, int], int] | None = None,
    ) -> None:
        self.dtype = np.dtype(dtype)
        self.stages = checked(stages, layout, where)
        """As they are applied: keys that depend on other stages are settled."""
        self.statistics = _unique([metric for stage in self.stages for metric in stage.statistics])
        self.integrates = any(isinstance(stage, Feedback) and stage.integrates for stage in self.stages)
        self.dense = all(isinstance(stage, Transform) for stage in self.stages)
        """Whether what is sent is the gradient itself, changed in place at most."""
        self._where = where
        self._layout = layout
        self.dimension = layout.dimension
        self._seed = seed
        self.samples = samples
        self._turns = _turns(self.stages)
        self._scratch: list[Memory] = [{} for _ in self.stages]
        self._memories: dict[int, list[Memory]] = {}

    def apply(
        self, gradient: np.ndarray, node: int, iteration: int, drops: Drops | None = None
    ) -> tuple[Message, Numbers]:
        """Bias ``gradient`` (shape (d,), changed in place) and say what is sent for it.

        Where ``drops`` is given, it measures what each stage does.

        Returns
        -------
        Message
            Valid until the next call.
        tuple of float
            The values of `statistics`; NaN of stages that had nothing to do.
        """
        samples = None if self.samples is None else self.samples(node, iteration)
        steps = [
            Step(node, iteration, self._seed, self._layout, memory, scratch, turn, samples)
            for memory, scratch, turn in zip(self.memory(node), self._scratch, self._turns, strict=True)
        ]
        found: list[Numbers] = [(np.nan,) * len(stage.statistics) for stage in self.stages]
        if drops is not None:
            drops.begin()
        message = self._from(0, gradient, steps, found, drops)
        return message, tuple(value for values in found for value in values)

    def combine(self, mean: np.ndarray) -> None:
        """What the server makes of the mean of all nodes' messages, in place."""
        if self.stages and isinstance(self.stages[-1], Quantizer):
            self.stages[-1].combine(mean)

    def max_bytes(self) -> int:
        """The most bytes that a payload of this pipeline can take, a checksum included; buffers are made so large."""
        raw = codec.frame(Raw.max_size(self._layout.dimension, self.dtype))
        if any(isinstance(stage, Feedback) and stage.sends_uncompressed for stage in self.stages):
            return max(raw, self._max_compressed())
        return self._max_compressed()

    def _max_compressed(self) -> int:
        dimension, sparsifier = self._layout.dimension, sparsifier_of(self.stages)
        last = self.stages[-1] if self.stages else None
        if isinstance(last, Quantizer):
            count = dimension if sparsifier is None else sparsifier.most(self._layout)
            support = 0 if sparsifier is None else sparsifier.max_support(self._layout)
            return codec.frame(support + last.max_size(count, self._layout))
        if sparsifier is not None:
            return codec.frame(sparsifier.max_size(self._layout, self.dtype))
        return codec.frame(Raw.max_size(dimension, self.dtype))

    def blank(self) -> list[dict[str, tuple[tuple[int, ...], np.dtype]]]:
        """Shapes and types of what each stage remembers of a node, by its names."""
        memories = (stage.init(self._layout, self.dtype) for stage in self.stages)
        return [{name: (array.shape, array.dtype) for name, array in memory.items()} for memory in memories]

    def memory(self, node: int) -> list[Memory]:
        """What each stage remembers of a node; made before its first iteration, or restored."""
        found = self._memories.get(node)
        if found is None:
            found = self._memories[node] = [stage.init(self._layout, self.dtype) for stage in self.stages]
        return found

    def save(self, node: int) -> Memory:
        """All that is remembered of a node, by names such as ``"0.excess"``: the arrays themselves, no copies."""
        memories = enumerate(self.memory(node))
        return {f"{place}.{name}": array for place, memory in memories for name, array in memory.items()}

    def restore(self, node: int, saved: Mapping[str, np.ndarray]) -> None:
        """Put back what `save` gave; raises `UserError` when names, shapes or types are not those of this pipeline."""
        mine = self.save(node)
        if set(saved) != set(mine):
            names = ", ".join(sorted(set(saved) ^ set(mine)))
            raise UserError(f"{self._where}: the memory of node {node} is not that of these stages: {names}")
        for name, array in mine.items():
            other = saved[name]
            if (other.shape, other.dtype) != (array.shape, array.dtype):
                raise UserError(
                    f"{self._where}: memory {name} of node {node} is {other.dtype} of shape {other.shape}, not "
                    f"{array.dtype} of shape {array.shape}"
                )
            array[...] = other

    def forget(self) -> None:
        """Remember nothing of any node, as before the first iteration."""
        self._memories.clear()

    def _from(
        self, start: int, vector: np.ndarray, steps: list[Step], found: list[Numbers], drops: Drops | None
    ) -> Message:
        """The message for ``vector`` after the stages from ``start`` on."""
        message = None
        for place in range(start, len(self.stages)):
            stage, step = self.stages[place], steps[place]
            if drops is not None:
                drops.before(vector, message)
            if isinstance(stage, Transform):
                found[place] = stage.apply(vector, step)
            elif isinstance(stage, Feedback):
                message, found[place] = stage.around(
                    vector, step, partial(self._inside, place + 1, steps, found, drops)
                )
                return message
            elif isinstance(stage, Sparsifier):
                message, found[place] = stage.compress(vector, step)
            elif isinstance(stage, Quantizer):
                values, found[place] = stage.quantize(vector if message is None else _raw(message), step)
                support = Everything() if message is None else message.support
                message = Message(vector.size, support, values)
            if drops is not None:
                drops.after(place, vector, message)
        return message if message is not None else Message(vector.size, Everything(), Raw(vector))

    def _inside(
        self, start: int, steps: list[Step], found: list[Numbers], drops: Drops | None, vector: np.ndarray
    ) -> Message:
        """As `_from`, but leaves ``vector`` as it was: a feedback stage still needs it."""
        if start < len(self.stages) and isinstance(self.stages[start], Transform):
            copy = steps[start].buffer("inside", vector.size, vector.dtype)
            copy[:] = vector
            vector = copy
        return self._from(start, vector, steps, found, drops)


def _raw(message: Message) -> np.ndarray:
    """The values that a sparsifier hands to a quantizer."""
    if not isinstance(message.values, Raw):
        raise TypeError(f"a sparsifier whose values are {type(message.values).__name__} must say that they are coded")
    return message.values.array


def _turns(stages: Sequence[Stage]) -> list[int]:
    """How many stages before each draw from its stream; quantizers have draws of their own (`Quantizer.key`)."""
    seen: Counter[tuple[Stream | None, bool]] = Counter()
    turns = []
    for stage in stages:
        draws = stage.stream, isinstance(stage, Quantizer)
        turns.append(seen[draws])
        seen[draws] += 1
    return turns


def _unique(metrics: list[Metric]) -> tuple[Metric, ...]:
    """The metrics, numbered where one occurs again: clip_active, clip_active_2."""
    seen: Counter[str] = Counter()
    unique = []
    for metric in metrics:
        seen[metric.name] += 1
        many = seen[metric.name]
        unique.append(metric if many == 1 else metric.named(f"{metric.name}_{many}", metric.description))
    return tuple(unique)
