"""Compressors, a codec, a clip and a momentum rule of one's own, for my_operators.yaml; see docs/extend.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from pmom_mpi.bias.base import KEPT, Numbers, Quantizer, Sparsifier, Stage, Step, Transform
from pmom_mpi.bias.theory import Theory, contractive
from pmom_mpi.wire.message import Indices, Message, WireError
from pmom_mpi.wire.values import Raw, Values, register
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.memory import Memory
from pmom_mpi.words.report import Metric


@dataclass(frozen=True)
class BlockTop(Sparsifier):
    """Keep the block of ``size`` consecutive coordinates with the largest norm."""

    size: Annotated[int, Field(ge=1)]
    statistics: ClassVar[tuple[Metric, ...]] = (KEPT,)

    def check(self, before: tuple[Stage, ...], layout: Layout, where: str) -> None:
        if self.size > layout.dimension:
            raise UserError(f"{where}.size: {self.size} is more than d = {layout.dimension}")

    def theory(self, layout: Layout) -> Theory:
        """1 / number of blocks."""
        return contractive(1 / -(-layout.dimension // self.size))

    def most(self, layout: Layout) -> int:
        return self.size

    def keeps(self, layout: Layout) -> int:
        return self.size

    def compress(self, gradient: np.ndarray, step: Step) -> tuple[Message, Numbers]:
        starts = np.arange(0, gradient.size, self.size)
        begin = starts[np.argmax(np.add.reduceat(gradient.astype(np.float64) ** 2, starts))]
        values = gradient[begin : begin + self.size].copy()
        indices = np.arange(begin, begin + values.size, dtype=np.uint32)
        return Message(gradient.size, Indices(indices), Raw(values)), (float(values.size),)


@dataclass(frozen=True)
class ClipTanh(Transform):
    """g tanh(tau |g|) / |g|: a norm below 1 whatever the gradient's, and near tau |g| for small ones."""

    tau: Annotated[float, Field(gt=0, allow_inf_nan=False)]

    def apply(self, gradient: np.ndarray, step: Step) -> Numbers:
        length = float(np.linalg.norm(gradient))
        if length > 0.0:
            gradient *= gradient.dtype.type(np.tanh(self.tau * length) / length)
        return ()


@register
@dataclass(slots=True)
class Quarters(Values):
    """``scale * (code - 1.5)``, four codes a byte, the first in the lowest bits; spare bits are zero.

    Attributes
    ----------
    codes : ndarray of uint8, shape (count,)
        0 to 3.
    scale : float
        Rounded to float32, as it travels.
    """

    codes: np.ndarray
    scale: float

    value_codes: ClassVar[tuple[int, ...]] = (128,)

    @property
    def count(self) -> int:
        return self.codes.size

    def size(self) -> int:
        return self.max_size(self.count)

    @classmethod
    def max_size(cls, count: int) -> int:
        return 4 + (count + 3) // 4

    def nominal_bits(self) -> float:
        return 2.0 * self.count

    def write(self, out: np.ndarray) -> None:
        bits = np.stack([self.codes & 1, self.codes >> 1], axis=1)
        out[:4] = np.array([self.scale], "<f4").view(np.uint8)
        out[4:] = np.packbits(bits.reshape(-1), bitorder="little")

    @classmethod
    def read(cls, code: int, section: np.ndarray, count: int) -> Quarters:
        if section.size != cls.max_size(count):
            raise WireError(f"{count} quarters take {cls.max_size(count)} bytes, not {section.size}")
        bits = np.unpackbits(section[4:], bitorder="little")
        if bits[2 * count :].any():
            raise WireError("spare bits of the quarters are not zero")
        pairs = bits[: 2 * count].reshape(-1, 2)
        return cls(pairs[:, 0] | pairs[:, 1] << 1, float(section[:4].copy().view("<f4")[0]))

    def add(self, total: np.ndarray) -> None:
        total += (np.float32(self.scale) * (self.codes.astype(np.float32) - np.float32(1.5))).astype(total.dtype)


@dataclass(frozen=True)
class FourLevels(Quantizer):
    """The nearest of -1.5, -0.5, 0.5 and 1.5 times the mean magnitude."""

    def quantize(self, values: np.ndarray, step: Step) -> tuple[Values, Numbers]:
        scale = np.abs(values).mean(dtype=np.float64) if values.size else 0.0
        with np.errstate(invalid="ignore", divide="ignore"):
            codes = np.clip(np.floor(values / scale + 2.0), 0, 3)
        return Quarters(np.nan_to_num(codes).astype(np.uint8), float(scale)), ()

    def max_size(self, count: int, layout: Layout) -> int:
        return Quarters.max_size(count)


@dataclass(frozen=True)
class NormalizedMomentum:
    """v = (1 - beta) v + beta g, x = x - gamma v / |v| (Cutkosky, Mehta 2020, "Momentum improves normalized SGD")."""

    beta: Annotated[float, Field(gt=0, le=1)]

    def init(self, dimension: int, dtype: np.dtype | type) -> Memory:
        return {"v": np.zeros(dimension, dtype)}

    def step(self, x: np.ndarray, g: np.ndarray, memory: Memory, step_size: float, iteration: int) -> None:
        v = memory["v"]
        v *= x.dtype.type(1 - self.beta)
        v += x.dtype.type(self.beta) * g
        length = float(np.linalg.norm(v))
        if length > 0.0:
            x -= x.dtype.type(step_size / length) * v
