"""Rand-K: a random subset of the coordinates is sent, and only its key, never its indices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from pmom_mpi.bias.base import Numbers, Step
from pmom_mpi.bias.sparsity import Sparsity
from pmom_mpi.bias.theory import Theory, contractive, unbiased
from pmom_mpi.kernels.random import seeded_indices
from pmom_mpi.kernels.select import gather
from pmom_mpi.wire.indices import SeededCodec
from pmom_mpi.wire.message import Message, Seeded
from pmom_mpi.wire.values.raw import Raw
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.streams import Stream


@dataclass(frozen=True)
class RandK(Sparsity):
    """Keep K coordinates, every subset of size K equally likely, drawn anew for each node and iteration.

    Biased, as they are: E|Q(g) - g|^2 = (1 - K/d) |g|^2. Unbiased, times d/K: E|Q(g) - g|^2 = (d/K - 1) |g|^2. Stich,
    Cordonnier, Jaggi 2018, "Sparsified SGD with memory". A NaN is sent when its coordinate is drawn.

    Parameters
    ----------
    k : int, optional
        K.
    fraction : float in (0, 1], optional
        K = ceil(fraction d). Exactly one of k and fraction is given.
    scale : {"biased", "unbiased"}
        The kept entries as they are, or times d/K.
    """

    scale: Literal["biased", "unbiased"] = "biased"
    stream: ClassVar[Stream | None] = Stream.COMPRESSOR

    def theory(self, layout: Layout) -> Theory:
        """Biased: alpha K/d, in expectation; unbiased: omega d/K - 1."""
        d, k = layout.dimension, self.count(layout.dimension)
        return contractive(k / d) if self.scale == "biased" else unbiased(d / k - 1)

    def most(self, layout: Layout) -> int:
        return self.count(layout.dimension)

    def max_support(self, layout: Layout) -> int:
        return SeededCodec.max_size(layout.dimension, self.most(layout))

    def compress(self, gradient: np.ndarray, step: Step) -> tuple[Message, Numbers]:
        """The key and the values, in scratch; statistics: how many."""
        size, count = gradient.size, self.count(gradient.size)
        indices = step.buffer("indices", count, np.uint32)
        values = step.buffer("values", count, gradient.dtype)
        support = Seeded(self.key(step), count)
        seeded_indices(support.key, size, count, indices)
        gather(gradient, indices, values)
        if self.scale == "unbiased":
            values *= gradient.dtype.type(size / count)
        return Message(size, support, Raw(values)), (float(count),)
