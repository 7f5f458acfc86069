"""Opens run files for reading, in whatever state their writer is or has left them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import h5py

from pmom_mpi.record.address import Address
from pmom_mpi.record.heaps import refuse_endless_heaps
from pmom_mpi.record.repair import is_held, mended
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.hdf5 import open_to_read

if TYPE_CHECKING:
    from typing_extensions import Buffer

MARK = b"pmom packed runs"
"""How a file of packed runs begins."""
RUNS = "runs"
"""Its group that holds them."""


@contextmanager
def opened(path: str | Path) -> Iterator[h5py.Group]:
    """A run file that grows, has ended, or whose writer was killed; or the group of a run in a packed file.

    Only what is being written needs HDF5's SWMR mode, in which damaged metadata is read again and again, after ever
    longer waits, practically for ever. What a killed writer has left is read as if it were repaired.

    Raises
    ------
    OSError
        When there is no such file, or it is no HDF5 file.
    UserError
        When it is damaged so that reading would never end.
    KeyError
        When a packed file has no run of this name.
    """
    address = Address.parse(path)
    refuse_endless_heaps(address.file)
    if address.name:
        with open_to_read(address.file) as file:
            yield file[RUNS][address.name]
        return
    with ExitStack() as kept:
        while True:
            before = os.stat(address.file).st_ino
            try:
                file = kept.enter_context(_as_it_is(address.file, before))
                break
            except OSError:
                if os.stat(address.file).st_ino == before:
                    raise  # else another file has taken its place, as when a run is gone on with: that one
        yield file


@contextmanager
def _as_it_is(path: Path, inode: int) -> Iterator[h5py.File]:
    try:
        head, end, flagged = mended(path)
    except UserError:  # of another kind, or none: HDF5 knows
        flagged = False
    if flagged and is_held(path) is not False:
        with open_to_read(path, swmr=True) as file:
            yield file
    elif flagged:
        with _AsRepaired(path, head, end) as raw:
            if os.fstat(raw.fileno()).st_ino != inode:
                raise OSError(f"{path}: replaced meanwhile")
            with h5py.File(raw, "r") as file:
                yield file
    else:
        with open_to_read(path) as file:
            yield file


class _AsRepaired(io.FileIO):
    """A file with another beginning and end than it has."""

    def __init__(self, path: Path, head: bytes, end: int) -> None:
        super().__init__(path)
        self._head = head
        self._end = end

    def seek(self, offset: int, whence: int = 0) -> int:
        return super().seek(self._end + offset) if whence == io.SEEK_END else super().seek(offset, whence)

    def readinto(self, buffer: Buffer) -> int:
        place, view = self.tell(), memoryview(buffer).cast("B")
        count = super().readinto(view) or 0
        if place < len(self._head):
            covered = min(count, len(self._head) - place)
            view[:covered] = self._head[place : place + covered]
        wanted = max(min(len(view), self._end - place), count)
        view[count:wanted] = bytes(wanted - count)
        return wanted
