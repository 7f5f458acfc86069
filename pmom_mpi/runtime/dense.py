"""What whole gradients would cost on the way, for the question whether compression pays."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from pmom_mpi.config import Config
from pmom_mpi.wire import codec
from pmom_mpi.wire.message import Everything, Message
from pmom_mpi.wire.values.raw import Raw

TRIALS = 5


def dense_seconds(dimension: int, config: Config, workers: int) -> float:
    """Seconds an iteration that encoding and decoding would take if whole gradients were sent, measured here."""
    gradient = np.zeros(dimension, config.dtype)
    total, buffer = gradient.copy(), np.empty(codec.max_bytes(gradient.size, gradient.dtype), np.uint8)
    encode = decode = np.inf
    for _ in range(TRIALS):
        began = perf_counter()
        size = codec.encode(Message(gradient.size, Everything(), Raw(gradient)), buffer, config.wire.checksum)
        encoded = perf_counter()
        codec.add(buffer[:size], total)
        encode, decode = min(encode, encoded - began), min(decode, perf_counter() - encoded)
    return encode * -(-config.nodes // workers) + decode * config.nodes
