"""A compressor, a clip and a momentum rule of one's own; my_operators.yaml uses them, docs/extend.md explains them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from pmom_mpi.bias.base import Step
from pmom_mpi.wire.message import Indices, Message
from pmom_mpi.wire.values import Raw
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout


@dataclass(frozen=True)
class BlockTop:
    """Keep the block of ``size`` consecutive coordinates with the largest norm."""

    size: Annotated[int, Field(ge=1)]
    statistics: ClassVar[tuple[str, ...]] = ("kept",)
    kind: ClassVar[str] = "contractive"

    def check(self, layout: Layout) -> None:
        if self.size > layout.dimension:
            raise UserError(f"bias: BlockTop.size: {self.size} is more than d = {layout.dimension}")

    def alpha(self, layout: Layout) -> float:
        """1 / number of blocks."""
        return 1 / -(-layout.dimension // self.size)

    def compress(self, gradient: np.ndarray, step: Step) -> tuple[Message, tuple[float, ...]]:
        starts = np.arange(0, gradient.size, self.size)
        begin = starts[np.argmax(np.add.reduceat(gradient.astype(np.float64) ** 2, starts))]
        values = gradient[begin : begin + self.size].copy()
        indices = np.arange(begin, begin + values.size, dtype=np.uint32)
        return Message(gradient.size, Indices(indices), Raw(values)), (float(values.size),)


@dataclass(frozen=True)
class ClipTanh:
    """g tanh(tau |g|) / |g|: a norm below 1 whatever the gradient's, and near tau |g| for small ones."""

    tau: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    statistics: ClassVar[tuple[str, ...]] = ()

    def apply(self, gradient: np.ndarray, step: Step) -> tuple[float, ...]:
        length = float(np.linalg.norm(gradient))
        if length > 0.0:
            gradient *= gradient.dtype.type(np.tanh(self.tau * length) / length)
        return ()


@dataclass(frozen=True)
class NormalizedMomentum:
    """v = (1 - beta) v + beta g, x = x - gamma v / |v| (Cutkosky, Mehta 2020, "Momentum improves normalized SGD")."""

    beta: Annotated[float, Field(gt=0, le=1)]

    def init(self, dimension: int, dtype: np.dtype | type) -> dict[str, np.ndarray]:
        return {"v": np.zeros(dimension, dtype)}

    def step(
        self, x: np.ndarray, g: np.ndarray, state: dict[str, np.ndarray], step_size: float, iteration: int
    ) -> None:
        v = state["v"]
        v *= x.dtype.type(1 - self.beta)
        v += x.dtype.type(self.beta) * g
        length = float(np.linalg.norm(v))
        if length > 0.0:
            x -= x.dtype.type(step_size / length) * v
