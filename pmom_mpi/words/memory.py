"""What is remembered between iterations."""

from __future__ import annotations

import numpy as np

Memory = dict[str, np.ndarray]
"""What must be remembered of a node, a momentum rule or a downlink, by name; all of it is saved with a run.

It exists, complete, from its owner's ``init`` on: names, shapes and types never change, only the numbers do.
"""


def pack(memory: Memory) -> np.ndarray:
    """All arrays of a memory as bytes, in the order of their names."""
    parts = [memory[name].reshape(-1).view(np.uint8) for name in sorted(memory)]
    return np.concatenate(parts) if parts else np.empty(0, np.uint8)


def unpack(packed: np.ndarray, memory: Memory) -> None:
    """Fill a memory, whose names, shapes and types are those that were packed.

    Examples
    --------
    >>> memory = {"h": np.zeros(2), "seen": np.zeros(1, np.int64)}
    >>> unpack(pack({"h": np.ones(2), "seen": np.array([7])}), memory)
    >>> memory
    {'h': array([1., 1.]), 'seen': array([7])}
    """
    begin = 0
    for name in sorted(memory):
        flat = memory[name].reshape(-1).view(np.uint8)
        flat[:] = packed[begin : begin + flat.size]
        begin += flat.size
