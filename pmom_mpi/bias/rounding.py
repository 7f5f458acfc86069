"""What the quantizers share: their numbers as float32, and their key for random rounding."""

from __future__ import annotations

import numpy as np

from pmom_mpi.bias.base import Step
from pmom_mpi.words.streams import Stream, key

ROUNDING = np.uint64(0xD1B54A32D192ED03)
"""Sets the draws of a quantizer apart from those of the sparsifier before it, which has the same stream."""


def single(values: np.ndarray, step: Step) -> np.ndarray:
    """``values`` as float32: themselves, or a rounded copy in scratch. Beyond float32's range lies infinity."""
    if values.dtype == np.float32:
        return values
    rounded = step.buffer("single", values.size, np.float32)
    with np.errstate(over="ignore"):
        np.copyto(rounded, values, casting="same_kind")
    return rounded


def rounding_key(step: Step) -> np.uint64:
    """The key of this node's random rounding in this iteration."""
    return key(step.seed, Stream.COMPRESSOR, step.node, step.iteration) ^ ROUNDING
