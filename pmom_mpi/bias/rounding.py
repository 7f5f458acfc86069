"""What the quantizers share: their numbers as float32."""

from __future__ import annotations

import numpy as np

from pmom_mpi.bias.base import Step


def single(values: np.ndarray, step: Step) -> np.ndarray:
    """``values`` as float32: themselves, or a rounded copy in scratch. Beyond float32's range lies infinity."""
    if values.dtype == np.float32:
        return values
    rounded = step.buffer("single", values.size, np.float32)
    with np.errstate(over="ignore"):
        np.copyto(rounded, values, casting="same_kind")
    return rounded
