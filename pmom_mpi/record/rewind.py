"""A run file is brought back to what it was after its first rows, so that its run can go on from there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from pmom_mpi.record import events
from pmom_mpi.record.datasets import DataSets
from pmom_mpi.words.errors import UserError

FORMAT_VERSION = 2
WIDE = ("nodes", "workers")
"""Groups of two-dimensional data sets, (iterations, nodes) and (iterations, workers)."""


def rewind(path: Path, file: h5py.File, rows: int) -> None:
    """Make a run file look as it did after its first ``rows`` rows."""
    version = int(file.attrs.get("format_version", 0))
    if version != FORMAT_VERSION:
        raise UserError(f"{path}: of format {version}; only run files of format {FORMAT_VERSION} can be gone on with")
    groups = [DataSets(file[name]) for name in ("metrics", *WIDE) if name in file]
    if len(groups[0]) < rows:
        raise UserError(f"{path}: holds {len(groups[0])} rows, {rows} are needed")
    for group in groups:
        group.truncate(rows)
    events.drop_torn(file["events"])
    file["final/x"][:] = np.nan
    file.attrs["status"] = "running"
    for name in ("ended", "iterations", "message"):
        if name in file.attrs:
            del file.attrs[name]


@contextmanager
def whole(path: Path) -> Iterator[None]:
    """What h5py raises on a file that lacks something, as the one line of a `UserError`."""
    try:
        yield
    except (LookupError, ValueError, TypeError, AttributeError):
        raise UserError(f"{path}: is damaged and cannot be gone on with") from None
