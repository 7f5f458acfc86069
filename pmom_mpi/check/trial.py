"""An operator under examination: applied as a run would apply it, as often as a check wants, from a fresh start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pmom_mpi.bias.base import Stage
from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.wire import codec
from pmom_mpi.wire.message import Message
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.streams import Stream, generator

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
BATCH = 16
"""The size of every node's batch, for stages that depend on it."""
HUGE, TINY = 1e15, 1e-30
"""Scales whose squares leave float32's range while their norms do not."""
EVEN = ("random", "nearly equal", "huge", "tiny", "equal entries")
"""Vectors of `vectors` of which no entry makes much of the norm."""
TIES = ("zeros", "equal entries", "one tensor only", "one large entry")
"""Vectors of `vectors` of which more coordinates may be kept than a sparsifier says as a rule."""


class Broken(Exception):
    """An operator that cannot even be applied; the line says to what, and what happened."""


class Sent(NamedTuple):
    """What one node sent in one iteration: the vector the server sees, and the payload."""

    dense: np.ndarray
    payload: bytes


@dataclass(frozen=True)
class Trial:
    """Stages, alone or together, on the tensors of a model.

    Attributes
    ----------
    stages : tuple of Stage
    layout : Layout
    where : {"bias", "downlink"}
    """

    stages: tuple[Stage, ...]
    layout: Layout
    where: str

    def pipeline(self, dtype: np.dtype, seed: int = 0) -> Pipeline:
        """A new one, which remembers nothing; raises `UserError` where the stages cannot stand so."""
        return Pipeline(self.stages, self.layout, dtype, seed, self.where, lambda node, iteration: BATCH)

    def vectors(self, dtype: np.dtype) -> Iterator[tuple[str, np.ndarray]]:
        """Random ones, and those that operators get wrong, with their names."""
        d, bounds = self.layout.dimension, self.layout.offsets
        normal, other = generator(0, Stream.DATA).standard_normal((2, d))
        places = np.arange(d)
        made = {
            "random": normal,
            "heavy-tailed": np.sign(normal) * np.exp(3 * other),
            "nearly equal": np.linspace(1, 1.001, d),
            "huge": HUGE * normal,
            "tiny": TINY * normal,
            "zeros": np.zeros(d),
            "one-hot": 1.0 * (places == d // 2),
            "equal entries": np.ones(d),
            "one tensor only": normal * (places >= bounds[-2]),
            "one large entry": np.where(places == d // 2, 1.0, 1 / (1 + np.sqrt(d))),
        }
        for name, vector in made.items():
            yield f"{name}, {dtype}", vector.astype(dtype)

    def random(self, dtype: np.dtype, iteration: int = 0) -> np.ndarray:
        """A vector without special entries, another for every iteration."""
        return generator(1, Stream.DATA, 0, iteration).standard_normal(self.layout.dimension).astype(dtype)


@contextmanager
def during(what: str) -> Iterator[None]:
    """Say of any exception inside what the operator was applied to."""
    try:
        yield
    except Exception as error:
        raise Broken(f"{what}: {type(error).__name__}: {error}") from error


def message_of(pipeline: Pipeline, vector: np.ndarray, node: int = 0, iteration: int = 0) -> Message:
    """The message for a copy of ``vector``."""
    return pipeline.apply(vector.copy(), node, iteration)[0]


def dense_of(message: Message, like: np.ndarray) -> np.ndarray:
    """What the server will see."""
    seen = np.empty_like(like)
    codec.to_dense(message, seen)
    return seen


def send(pipeline: Pipeline, vector: np.ndarray, node: int = 0, iteration: int = 0) -> Sent:
    """Apply and encode, whatever buffers `Pipeline.max_bytes` would have."""
    message = message_of(pipeline, vector, node, iteration)
    out = np.empty(codec.frame(codec.bits(message) // 8), np.uint8)
    size = codec.encode(message, out, checksum=True)
    return Sent(dense_of(message, vector), out[:size].tobytes())
