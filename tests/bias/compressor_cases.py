"""Vectors that compressors get wrong, and what tests ask of all of them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pmom_mpi.bias.base import Sparsifier, Step
from pmom_mpi.wire.codec import to_dense
from pmom_mpi.wire.message import Everything, Message
from pmom_mpi.words.layout import Layout

FLOATS = [np.float32, np.float64]


SIZES = st.integers(1, 300)


def vectors(dtype, size=SIZES, magnitude=1e4):
    """Zeros, ties, denormals and numbers up to ``magnitude``, and random vectors long enough for the fast paths."""
    odd = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 1e-3, -2.0, float(np.finfo(dtype).smallest_subnormal)])
    bound = float(np.float32(magnitude))
    entries = odd | st.floats(-bound, bound, width=8 * np.dtype(dtype).itemsize)
    return hnp.arrays(dtype, size, elements=entries)


def step_for(vector, layout=None, iteration=0, seed=0, node=0, turn=0):
    return Step(node, iteration, seed, layout or Layout.flat(vector.size), turn=turn)


def sent(compressor, vector, step=None):
    """What the receiver sees of ``vector``, as float64."""
    step = step or step_for(vector)
    step.memory = step.memory or compressor.init(step.layout, vector.dtype)
    if isinstance(compressor, Sparsifier):
        message, _ = compressor.compress(vector, step)
    else:
        values, _ = compressor.quantize(vector, step)
        message = Message(vector.size, Everything(), values)
    out = np.empty(vector.size, vector.dtype)
    to_dense(message, out)
    return out.astype(np.float64)


def squared(vector):
    return float(np.sum(np.asarray(vector, np.float64) ** 2))
