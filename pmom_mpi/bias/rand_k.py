"""Rand-K: a random subset of the coordinates is sent, and only its key, never its indices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from pmom_mpi.bias.base import Step
from pmom_mpi.bias.sparsity import Sparsity
from pmom_mpi.kernels.random import seeded_indices
from pmom_mpi.kernels.select import gather
from pmom_mpi.wire.message import Message, Seeded
from pmom_mpi.wire.values.raw import Raw
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.streams import Stream, key


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
    name: ClassVar[str] = "rand_k"
    statistics: ClassVar[tuple[str, ...]] = ("kept",)

    @property
    def kind(self) -> str:
        return "contractive" if self.scale == "biased" else "unbiased"

    def alpha(self, layout: Layout) -> float | None:
        """K/d, in expectation."""
        return self.count(layout.dimension) / layout.dimension if self.scale == "biased" else None

    def omega(self, layout: Layout) -> float | None:
        """d/K - 1."""
        return layout.dimension / self.count(layout.dimension) - 1 if self.scale == "unbiased" else None

    def compress(self, gradient: np.ndarray, step: Step) -> tuple[Message, tuple[float, ...]]:
        """The key and the values, in scratch; statistics: how many."""
        size, count = gradient.size, self.count(gradient.size)
        indices = step.buffer("indices", count, np.uint32)
        values = step.buffer("values", count, gradient.dtype)
        support = Seeded(key(step.seed, Stream.COMPRESSOR, step.node, step.iteration), count)
        seeded_indices(support.key, size, count, indices)
        gather(gradient, indices, values)
        if self.scale == "unbiased":
            values *= gradient.dtype.type(size / count)
        return Message(size, support, Raw(values)), (float(count),)
