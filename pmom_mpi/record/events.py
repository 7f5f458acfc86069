"""What happened in a run beside its iterations: lost workers, resumptions, checkpoints; a row each in /events."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, fields

import h5py
import numpy as np

EVENTS_A_CHUNK = 64
WHAT_BYTES, HOST_BYTES = 200, 64
DROPPED = "its nodes are dropped"
"""Stands in the event of a loss after which the run went on without the lost worker's nodes."""


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes
    ----------
    iteration : int
        k, the iteration that it happened in or before.
    what : str
        One line.
    rank : int
        Where it happened, -1 for the job as a whole.
    host : str
    time : float
        Seconds since 1970, UTC.
    """

    iteration: int
    what: str
    rank: int = -1
    host: str = ""
    time: float = field(default_factory=time.time)


_TYPES = {
    "iteration": (np.dtype("int64"), "1", "k, the iteration that it happened in or before"),
    "what": (h5py.string_dtype("utf-8", WHAT_BYTES), "", "one line"),
    "rank": (np.dtype("int64"), "1", "where it happened, -1 for the job as a whole"),
    "host": (h5py.string_dtype("utf-8", HOST_BYTES), "", "of the rank"),
    "time": (np.dtype("float64"), "s", "since 1970-01-01 00:00 UTC"),
}
"""Texts have a fixed length: those of variable length are not safe while somebody reads the growing file."""


def make(file: h5py.File) -> None:
    """An empty /events."""
    group = file.create_group("events", track_order=True)
    for name, (dtype, unit, words) in _TYPES.items():
        dataset = group.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(EVENTS_A_CHUNK,))
        dataset.attrs.update(unit=unit, description=words)


def append(group: h5py.Group, event: Event) -> None:
    """Write an event; a text that is too long is cut. As many events as `time`, the last to grow, has are whole."""
    for name, value in asdict(event).items():
        dataset = group[name]
        dataset.resize(len(dataset) + 1, axis=0)
        if isinstance(value, str):
            value = value.encode()[: dataset.dtype.itemsize].decode(errors="ignore")
        dataset[-1] = value


def drop_torn(group: h5py.Group) -> None:
    """Take away what a writer that was killed has written of its last event."""
    count = _whole(group)
    for dataset in group.values():
        dataset.resize(count, axis=0)


def _whole(group: h5py.Group) -> int:
    return min(len(group[entry.name]) for entry in fields(Event))


def read(group: h5py.Group) -> tuple[Event, ...]:
    """Every whole event of a file."""
    count = _whole(group)
    columns = {entry.name: [_plain(value) for value in group[entry.name][:count].tolist()] for entry in fields(Event)}
    return tuple(Event(*row) for row in zip(*columns.values(), strict=True))


def _plain(value: int | float | bytes) -> int | float | str:
    return value.decode() if isinstance(value, bytes) else value
