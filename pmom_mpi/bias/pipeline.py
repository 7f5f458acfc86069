"""The bias pipeline: stages in the order of the config, from a node's gradient to the message it sends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from pmom_mpi.bias.base import State, Step
from pmom_mpi.wire.message import Everything, Message
from pmom_mpi.wire.values.raw import Raw
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout


class Pipeline:
    """Applies the stages to one node's gradient after the other.

    Transforms change the vector, a feedback stage wraps all that stands behind it, then at most one sparsifier chooses
    coordinates and at most one quantizer codes their values. Without either, all values are sent as they are.

    Parameters
    ----------
    stages : sequence
        Objects of the protocols in `pmom_mpi.bias.base`.
    layout : Layout
        The tensors of the gradient.
    dtype : numpy dtype
        float32 or float64.
    seed : int
        The experiment's seed.

    Raises
    ------
    UserError
        When the order of the stages makes no sense or a stage cannot work on this layout.
    """

    def __init__(self, stages: Sequence[Any], layout: Layout, dtype: np.dtype | type, seed: int = 0) -> None:
        self.dtype = np.dtype(dtype)
        self._stages = tuple(stages)
        self._layout = layout
        self._seed = seed
        self._scratch: list[State] = [{} for _ in self._stages]
        self.memories: dict[int, list[State]] = {}
        """What the stages remember of each node; saving and restoring these is saving and restoring the pipeline."""
        _check_order(self._stages)
        for stage in self._stages:
            if hasattr(stage, "check"):
                stage.check(layout)
        self.statistics = _unique([name for stage in self._stages for name in stage.statistics])
        self.integrates = any(getattr(stage, "integrates", False) for stage in self._stages)
        self.dense = all(hasattr(stage, "apply") for stage in self._stages)
        """Whether what is sent is the gradient itself, changed in place at most."""
        self.combine = getattr(self._stages[-1], "combine", None) if self._stages else None

    def apply(self, gradient: np.ndarray, node: int, iteration: int) -> tuple[Message, tuple[float, ...]]:
        """Bias ``gradient`` (shape (d,), changed in place) and say what is sent for it.

        Returns
        -------
        Message
            Valid until the next call.
        tuple of float
            The values named in `statistics`.
        """
        states = self.memories.setdefault(node, [{} for _ in self._stages])
        steps = [
            Step(node, iteration, self._seed, self._layout, state, scratch)
            for state, scratch in zip(states, self._scratch, strict=True)
        ]
        found: list[tuple[float, ...]] = [()] * len(self._stages)
        message = self._from(0, gradient, steps, found)
        return message, tuple(value for values in found for value in values)

    def _from(self, start: int, vector: np.ndarray, steps: list[Step], found: list[tuple[float, ...]]) -> Message:
        """The message for ``vector`` after the stages from ``start`` on."""
        message = None
        for place in range(start, len(self._stages)):
            stage, step = self._stages[place], steps[place]
            if hasattr(stage, "around"):
                message, found[place] = stage.around(
                    vector, step, lambda rest, after=place + 1: self._inside(after, rest, steps, found)
                )
                return message
            if hasattr(stage, "apply"):
                found[place] = stage.apply(vector, step)
            elif hasattr(stage, "compress"):
                message, found[place] = stage.compress(vector, step)
            else:
                values, found[place] = stage.quantize(vector if message is None else message.values.array, step)
                support = Everything() if message is None else message.support
                message = Message(vector.size, support, values)
        return message if message is not None else Message(vector.size, Everything(), Raw(vector))

    def _inside(self, start: int, vector: np.ndarray, steps: list[Step], found: list[tuple[float, ...]]) -> Message:
        """As `_from`, but leaves ``vector`` as it was: a feedback stage still needs it."""
        if start < len(self._stages) and hasattr(self._stages[start], "apply"):
            copy = steps[start].buffer("inside", vector.size, vector.dtype)
            copy[:] = vector
            vector = copy
        return self._from(start, vector, steps, found)


def _rank(stage: Any) -> int:
    """What may follow what: transforms, feedback and transforms again, sparsifier, quantizer."""
    if hasattr(stage, "apply") or hasattr(stage, "around"):
        return 0
    return 1 if hasattr(stage, "compress") else 2


def _check_order(stages: Sequence[Any]) -> None:
    ranks = [_rank(stage) for stage in stages]
    for place in range(1, len(stages)):
        before, here = type(stages[place - 1]).__name__, type(stages[place]).__name__
        if ranks[place] < ranks[place - 1]:
            raise UserError(f"bias[{place}]: {here} must stand before {before}: what is sent is decided last")
        if ranks[place] == ranks[place - 1] > 0:
            raise UserError(
                f"bias[{place}]: {here} cannot follow {before}: one choice of coordinates, one of their code"
            )
    if sum(hasattr(stage, "around") for stage in stages) > 1:
        raise UserError("bias: more than one feedback stage; use one error feedback")


def _unique(names: list[str]) -> tuple[str, ...]:
    """The names, numbered where one occurs again: clip_active, clip_active_2."""
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return tuple(unique)
