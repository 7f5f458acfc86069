"""Operators that each break one promise of `pmom_mpi.bias.base`."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pmom_mpi.bias.base import KEPT, Feedback, Quantizer, Sparsifier, Transform
from pmom_mpi.bias.theory import contractive, unbiased
from pmom_mpi.wire.message import Everything, Indices, Message
from pmom_mpi.wire.values import Raw, Values, register
from pmom_mpi.words.streams import Stream


def kept(gradient, indices, factor=1):
    values = gradient[indices] * gradient.dtype.type(factor)
    return Message(gradient.size, Indices(indices.astype(np.uint32)), Raw(values)), (float(indices.size),)


@dataclass(frozen=True)
class Right(Sparsifier):
    """Top-K by a sort: right, and what the others are made of."""

    k: int = 10
    statistics = (KEPT,)

    def theory(self, layout):
        return contractive(self.k / layout.dimension)

    def most(self, layout):
        return self.k

    def choose(self, gradient, step):
        return np.sort(np.argsort(-np.abs(gradient), kind="stable")[: self.k])

    def compress(self, gradient, step):
        indices = np.flatnonzero(np.isnan(gradient))[:1]
        return kept(gradient, indices if indices.size else self.choose(gradient, step))


@dataclass(frozen=True)
class RightRandom(Right):
    stream: ClassVar = Stream.COMPRESSOR

    def choose(self, gradient, step):
        return np.sort(self.generator(step, 0).permutation(gradient.size)[: self.k])

    def compress(self, gradient, step):
        return kept(gradient, self.choose(gradient, step))


@dataclass(frozen=True)
class RightUnbiased(RightRandom):
    def theory(self, layout):
        return unbiased(layout.dimension / self.k - 1)

    def compress(self, gradient, step):
        return kept(gradient, self.choose(gradient, step), gradient.size / self.k)


@dataclass(frozen=True)
class RightMemory(Transform):
    def init(self, layout, dtype):
        return {"sum": np.zeros(layout.dimension, dtype)}

    def apply(self, gradient, step):
        step.memory["sum"] += gradient
        gradient[:] = step.memory["sum"]
        return ()


@dataclass(frozen=True)
class RightFeedback(Feedback):
    def init(self, layout, dtype):
        return {"rest": np.zeros(layout.dimension, dtype)}

    def around(self, gradient, step, compress):
        gradient += step.memory["rest"]
        message = compress(gradient)
        return message, ()


@dataclass(frozen=True)
class SmallestK(Right):
    def choose(self, gradient, step):
        return np.sort(np.argsort(np.abs(gradient), kind="stable")[: self.k])


@dataclass(frozen=True)
class FirstK(Right):
    """Contracts random vectors as it says, but not a one-hot."""

    def theory(self, layout):
        return contractive(0.01)

    def choose(self, gradient, step):
        return np.arange(self.k)


@dataclass(frozen=True)
class Overflows(Right):
    """Squares in float32: fine for ordinary scales."""

    def choose(self, gradient, step):
        squares = gradient.astype(np.float32) ** np.float32(4)
        return np.sort(np.argsort(-squares, kind="stable")[: self.k])


@dataclass(frozen=True)
class TooGood(RightRandom):
    def theory(self, layout):
        return contractive(1.5 * self.k / layout.dimension)


@dataclass(frozen=True)
class TooSteady(RightUnbiased):
    def theory(self, layout):
        return unbiased(0.6 * (layout.dimension / self.k - 1))


@dataclass(frozen=True)
class ForgotTheScale(RightUnbiased):
    def compress(self, gradient, step):
        return kept(gradient, self.choose(gradient, step))


@dataclass(frozen=True)
class LeansABit(RightUnbiased):
    def compress(self, gradient, step):
        return kept(gradient, self.choose(gradient, step), 0.7 * gradient.size / self.k)


@dataclass(frozen=True)
class NotZeroAtZero(Right):
    def compress(self, gradient, step):
        message, numbers = super().compress(gradient, step)
        message.values.array[:] += gradient.dtype.type(1e-20)
        return message, numbers


@dataclass(frozen=True)
class WritesGradient(Right):
    def compress(self, gradient, step):
        message = super().compress(gradient, step)
        gradient[np.abs(gradient) < 1e-3] = 0
        return message


@dataclass(frozen=True)
class GlobalRandom(Right):
    def compress(self, gradient, step):
        np.random.shuffle([1, 2])
        return super().compress(gradient, step)


@dataclass(frozen=True)
class OwnRandom(RightRandom):
    def choose(self, gradient, step):
        return np.sort(np.random.default_rng().permutation(gradient.size)[: self.k])


@dataclass(frozen=True)
class EveryIterationAlike(RightRandom):
    def choose(self, gradient, step):
        random = np.random.default_rng([step.seed, step.node])
        return np.sort(random.permutation(gradient.size)[: self.k])


@dataclass(frozen=True)
class SharedMemory(RightMemory):
    shared: ClassVar = {}

    def init(self, layout, dtype):
        key = layout.dimension, str(dtype)
        self.shared[key] = np.zeros(layout.dimension, dtype)
        return {"sum": self.shared[key]}

    def apply(self, gradient, step):
        total = self.shared[gradient.size, str(gradient.dtype)]
        total += gradient
        gradient[:] = total
        return ()


@dataclass(frozen=True)
class ScratchMemory(RightMemory):
    """Remembers in the buffers that all nodes share."""

    def apply(self, gradient, step):
        if step.iteration == 0:
            step.buffer("sum", gradient.size, gradient.dtype)[:] = 0
        total = step.buffer("sum", gradient.size, gradient.dtype)
        total += gradient
        gradient[:] = total
        return ()


@dataclass(frozen=True)
class OwnScratch(RightMemory):
    """Remembers in a buffer of each node's own, of which no checkpoint knows."""

    def apply(self, gradient, step):
        total = step.buffer(f"sum {step.node}", gradient.size, gradient.dtype)
        if step.iteration == 0:
            total[:] = 0
        total += gradient
        gradient[:] = total
        return ()


@dataclass(frozen=True)
class GrowingMemory(RightMemory):
    def apply(self, gradient, step):
        step.memory["seen"] = np.array([step.iteration])
        return super().apply(gradient, step)


@dataclass(frozen=True)
class DropsNaN(Transform):
    def apply(self, gradient, step):
        np.nan_to_num(gradient, copy=False, posinf=np.inf, neginf=-np.inf)
        return ()


@dataclass(frozen=True)
class ClampsInfinity(Transform):
    def apply(self, gradient, step):
        np.clip(gradient, -1, 1, out=gradient)
        return ()


@dataclass(frozen=True)
class DoubleValues(Right):
    def compress(self, gradient, step):
        message, numbers = super().compress(gradient, step)
        return Message(gradient.size, message.support, Raw(message.values.array.astype(np.float64))), numbers


@dataclass(frozen=True)
class MoreThanMost(Right):
    def most(self, layout):
        return self.k - 1


@dataclass(frozen=True)
class NewArray(Transform):
    """As a function would: the pipeline never sees it."""

    def apply(self, gradient, step):
        return np.clip(gradient, -1, 1)


@dataclass(frozen=True)
class NoStatistics(Right):
    def compress(self, gradient, step):
        return super().compress(gradient, step)[0]


@dataclass(frozen=True)
class TooFewNumbers(Right):
    def compress(self, gradient, step):
        return super().compress(gradient, step)[0], ()


@dataclass(frozen=True)
class PlainArray(Quantizer):
    def quantize(self, values, step):
        return np.sign(values), ()

    def max_size(self, count, layout):
        return 8 * count


@dataclass(frozen=True)
class TheoryIsANumber(Right):
    def theory(self, layout):
        return 0.1


@dataclass(frozen=True)
class InitIsNothing(RightMemory):
    def init(self, layout, dtype):
        return None


@dataclass(frozen=True)
class CallsTwice(RightFeedback):
    def around(self, gradient, step, compress):
        compress(gradient)
        return super().around(gradient, step, compress)


@dataclass(frozen=True)
class SendsAnother(RightFeedback):
    def around(self, gradient, step, compress):
        compress(gradient)
        return Message(gradient.size, Everything(), Raw(gradient.copy())), ()


@dataclass(frozen=True)
class ChangesMessage(RightFeedback):
    def around(self, gradient, step, compress):
        message, numbers = super().around(gradient, step, compress)
        message.values.array[:] *= 2
        return message, numbers


@dataclass(frozen=True)
class Unsorted(Right):
    def choose(self, gradient, step):
        return super().choose(gradient, step)[::-1]


@dataclass(frozen=True)
class Raises(Right):
    def choose(self, gradient, step):
        if not gradient.any():
            raise ZeroDivisionError("0 / 0")
        return super().choose(gradient, step)


@register
@dataclass(slots=True)
class OffByOne(Values):
    """A codec that loses the last value when it is read."""

    array: np.ndarray
    value_codes: ClassVar[tuple[int, ...]] = (254,)

    @property
    def count(self):
        return self.array.size

    def size(self):
        return 4 * self.count

    def nominal_bits(self):
        return 32.0 * self.count

    def write(self, out):
        out[:] = self.array.view(np.uint8)

    @classmethod
    def read(cls, code, section, count):
        found = section.copy().view(np.float32)
        found[-1:] = 0
        return cls(found)

    def add(self, total):
        total += self.array.astype(total.dtype)


@dataclass(frozen=True)
class Misreads(Quantizer):
    def quantize(self, values, step):
        return OffByOne(values.astype(np.float32)), ()

    def max_size(self, count, layout):
        return 4 * count


@dataclass(frozen=True)
class TooSmallBuffers(Quantizer):
    def quantize(self, values, step):
        return Raw(values.copy()), ()

    def max_size(self, count, layout):
        return 4 * count
