"""All of a run between two iterations, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pmom_mpi.words.memory import Memory
from pmom_mpi.words.report import Entry


@dataclass(frozen=True)
class Snapshot:
    """The server's side of a run after step k - 1 and before broadcast k; the nodes' memories are saved beside it.

    Randomness is keyed by (seed, stream, node, iteration), so none of it is part of this.

    Attributes
    ----------
    iteration : int
        k, the next iteration.
    total : int
        How many iterations the run was to have: schedules see it.
    x : ndarray, shape (d,)
    momentum, aggregate, downlink, companion : Memory
        Of the momentum rule, of the average of payloads (EF21's), of compressed broadcasts (w), of a problem's
        state and the last diagnosis.
    entry : Entry
        Of iteration k - 1: the evaluation that rides on broadcast k completes its row.
    """

    iteration: int
    total: int
    x: np.ndarray = field(repr=False)
    momentum: Memory = field(repr=False)
    aggregate: Memory = field(repr=False)
    downlink: Memory = field(repr=False)
    companion: Memory = field(repr=False)
    entry: Entry = field(repr=False)

    @property
    def memories(self) -> tuple[Memory, Memory, Memory, Memory]:
        """Of the momentum rule, the aggregate, the downlink, the companion."""
        return self.momentum, self.aggregate, self.downlink, self.companion


def restore(memory: Memory, saved: Mapping[str, np.ndarray]) -> None:
    """Fill a memory, which exists complete from its owner's ``init`` on, with what was saved of it.

    Raises
    ------
    ValueError
        When names, shapes or types are not the same.

    Examples
    --------
    >>> memory = {"v": np.zeros(2)}
    >>> restore(memory, {"v": np.array([1.0, 2.0])})
    >>> memory["v"]
    array([1., 2.])
    """
    if memory.keys() != saved.keys():
        raise ValueError(f"saved are {sorted(saved)}, not {sorted(memory)}")
    for name, array in memory.items():
        if array.shape != saved[name].shape or array.dtype != saved[name].dtype:
            raise ValueError(f"{name}: saved as {saved[name].dtype}{saved[name].shape}, not {array.dtype}{array.shape}")
        array[...] = saved[name]
