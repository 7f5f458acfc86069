"""Rice sections: small numbers in few bits, for indices and for quantised levels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pmom_mpi.kernels import rice, rice_read
from pmom_mpi.wire.message import WireError


@dataclass(frozen=True, slots=True)
class Plan:
    """How a section will be written: its exact size, and the function that fills that many bytes."""

    size: int
    write: Callable[[np.ndarray], None]


def rice_plan(numbers: np.ndarray) -> Plan:
    """A Rice section of these uint32 numbers."""
    parameters = np.empty(-(-numbers.size // rice.BLOCK), np.uint8)
    remainder, unary = rice.rice_plan(numbers, parameters)
    size = rice.rice_size(parameters.size, remainder, unary)
    return Plan(size, lambda out: rice.rice_write(numbers, parameters, remainder, unary, out))


def rice_section(body: np.ndarray, count: int) -> tuple[int, np.ndarray]:
    """Size and padded bytes of the Rice section of ``count`` numbers at the beginning of ``body``."""
    size = rice_read.rice_check(body, body.size, count)
    if size < 0:
        raise WireError(f"no Rice section of {count} numbers")
    if size + rice_read.PADDING <= body.size:
        return size, body
    return size, np.concatenate([body[:size], np.zeros(rice_read.PADDING, np.uint8)])
