"""/trace of a run file: the intervals of every rank, in a table that grows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from pmom_mpi.record.reading import opened
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.trace import INTERVAL, TRACED, Interval

INTERVALS_A_CHUNK = 1024


def begin(file: h5py.File, clocks: np.ndarray) -> None:
    """An empty /trace; of a run that is resumed what another leg, on another clock, had left goes.

    Parameters
    ----------
    file : h5py.File
    clocks : ndarray of float64, shape (workers, 2)
        As `pmom_mpi.transport.base.Ranks.clocks`.
    """
    if "trace" in file:
        del file["trace"]
    made = file.create_dataset("trace", (0,), INTERVAL, maxshape=(None,), chunks=(INTERVALS_A_CHUNK,))
    made.attrs.update(stations=" ".join(TRACED), clocks=clocks, unit="s", description="who did what, from when to when")


def append(file: h5py.File, intervals: Sequence[Interval]) -> None:
    """Write intervals behind those that are there."""
    if intervals:
        dataset = file["trace"]
        before = len(dataset)
        dataset.resize(before + len(intervals), axis=0)
        dataset[before:] = np.array(intervals, INTERVAL)


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The intervals of a run file, and the clocks of its workers.

    Raises
    ------
    UserError
        When the run was not traced.
    """
    with opened(path) as file:
        if "trace" not in file:
            raise UserError(f"{path}: no trace in it; run it again with -s record.trace=true")
        return file["trace"][()], file["trace"].attrs["clocks"]
