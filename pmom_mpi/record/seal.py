"""The seal of a checkpoint: a checksum of all its bytes, behind them, that is looked at before HDF5 sees any."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

SEAL, SEALED = struct.Struct("<8sI"), b"pmomseal"
"""Behind the last byte of a checkpoint: this word and the CRC-32 of all before it."""
BLOCK = 1 << 22


class Damaged(Exception):
    """A checkpoint that cannot be used; the message says why."""


def seal(path: Path) -> None:
    """Put the checksum of all bytes behind them: HDF5 itself may not end on damaged metadata."""
    with path.open("r+b") as file:
        checksum = _checksum(file, os.fstat(file.fileno()).st_size)
        file.seek(0, os.SEEK_END)
        file.write(SEAL.pack(SEALED, checksum))


def check_seal(path: Path) -> None:
    """Raise `Damaged` unless a file ends with the checksum of all bytes before it."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size - SEAL.size
            checksum = _checksum(file, size)
            whole = size > 0 and SEAL.unpack(file.read(SEAL.size)) == (SEALED, checksum)
    except OSError as error:
        raise Damaged(f"{path}: cannot read it ({error.strerror})") from None
    if not whole:
        raise Damaged(f"{path}: no checkpoint, or damaged (its checksum is another)")


def _checksum(file: BinaryIO, size: int) -> int:
    """Of the first ``size`` bytes, behind which the file is left."""
    checksum = 0
    while size > 0 and (block := file.read(min(size, BLOCK))):
        checksum, size = zlib.crc32(block, checksum), size - len(block)
    return checksum
