"""Finds what would keep HDF5 busy for ever, before HDF5 looks at it.

Strings of any length lie in global heaps, the only metadata of our files without a checksum. HDF5 goes through a heap
from one object to the next; where an object takes no room it never comes to the end (HDF5 2.0, one byte changed).
"""

from __future__ import annotations

import os
import struct
from functools import lru_cache
from pathlib import Path

from pmom_mpi.words.errors import UserError

HEAP = struct.Struct("<4sB3xQ")
"""A heap's head: signature, version, size with this head (HDF5 file format, III.E)."""
BEGINS = b"GCOL\x01\0\0\0"
BLOCK = 1 << 20
"""Bytes looked at at a time, and of one heap at most. (Not mapped: a file may be cut while it is looked at.)"""
OBJECT = struct.Struct("<HH4xQ")
"""An object's head: index, references, and the size of what follows; of the free object, 0, the size with this head."""


def refuse_endless_heaps(path: Path) -> None:
    """Look at a file's global heaps, once for as long as the file is not changed.

    Raises
    ------
    UserError
        When one has no end.
    OSError
        When there is no such file.
    """
    about = os.stat(path)
    if _has_endless_heap(str(path), about.st_ino, about.st_size, about.st_mtime_ns):
        raise UserError(f"{path}: damaged; HDF5 would never come to an end with it")


@lru_cache(maxsize=1024)
def _has_endless_heap(path: str, _inode: int, _size: int, _changed: int) -> bool:
    with open(path, "rb") as file:
        begun, kept = 0, b""
        while block := file.read(BLOCK):
            data = kept + block
            found = data.find(BEGINS)
            while found >= 0:
                if is_endless(os.pread(file.fileno(), BLOCK, begun + found)):
                    return True
                found = data.find(BEGINS, found + 1)
            kept = data[1 - len(BEGINS) :]
            begun += len(data) - len(kept)
    return False


def is_endless(heap: bytes) -> bool:
    """Whether an object of a heap takes no room, counted as HDF5 counts, in 64 bits; ``heap`` may be more, or less."""
    if len(heap) < HEAP.size:
        return False
    end = min(HEAP.unpack_from(heap)[2], len(heap))
    at = HEAP.size
    while at + OBJECT.size <= end:
        index, _, size = OBJECT.unpack_from(heap, at)
        room = (OBJECT.size + (size + 7) // 8 * 8 if index else size) % 2**64
        if room == 0:
            return True
        at += room
    return False
