"""Makes the run file of a killed run open normally again.

A killed writer leaves two things behind in the superblock (HDF5 file format, version 3): the consistency flags that say
a writer has the file, and, after a kill between two flushes, an end of the file that lies before the last rows. If only
the flags were cleared, these rows would be unreadable, or overwritten by the next writer.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from pathlib import Path
from typing import BinaryIO

from pmom_mpi.words.errors import UserError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
VERSION = 3
HEAD = struct.Struct("<8sBBBBQQQQ")
"""Signature, version, sizes of offsets and lengths, flags; addresses of base, extension, end of file, root group."""
CHECKSUM = struct.Struct("<I")
PROBES, PROBE_SECONDS = 3, 0.01
"""How often, and how far apart, a lock is asked for: others may hold it for the moment of a look."""


def repair(path: str | Path) -> bool:
    """Let a killed run's file be opened without ``swmr=True``, and for writing; returns whether it needed that.

    Every row up to the last flush stays as it is, and the status stays ``running``.

    Raises
    ------
    UserError
        When the file cannot be written, is no run file, or its run still goes on.

    Examples
    --------
    >>> repair("results/quickstart-0.h5")  # doctest: +SKIP
    True
    """
    path = Path(path)
    try:
        with path.open("r+b") as file:
            fields = _superblock(path, file)
            if not _is_torn(fields, os.fstat(file.fileno()).st_size):
                return False
            if _is_locked(file.fileno()):
                raise UserError(f"{path}: in use; let its run end, and close what reads it, before it is repaired")
            head, end = _head(fields, os.fstat(file.fileno()).st_size)
            if os.fstat(file.fileno()).st_size < end:
                file.truncate(end)
            file.seek(0)
            file.write(head)
    except OSError as error:
        raise UserError(f"{path}: cannot repair it: {error.strerror}") from None
    return True


def mended(path: Path) -> tuple[bytes, int, bool]:
    """The beginning and the length that `repair` would give a file, and whether it needs that.

    Raises
    ------
    OSError, UserError
        When it cannot be read, or is no run file.
    """
    with path.open("rb") as file:
        fields = _superblock(path, file)
        size = os.fstat(file.fileno()).st_size
        return *_head(fields, size), _is_torn(fields, size)


def _is_torn(fields: tuple, size: int) -> bool:
    """Whether a writer's flags are still there, or, after a disk was full, less of the file than it says."""
    return bool(fields[4]) or fields[7] > size


def _head(fields: tuple, size: int) -> tuple[bytes, int]:
    """The superblock without flags, and the end of the file, for one of ``size`` bytes."""
    signature, version, offsets, lengths, _, base, extension, end, root = fields
    end = max(end, size)
    head = HEAD.pack(signature, version, offsets, lengths, 0, base, extension, end, root)
    return head + CHECKSUM.pack(lookup3(head)), end


def is_being_written(path: str | Path) -> bool:
    """Whether a run that still goes on writes this file; False where the file system has no locks."""
    return is_held(path) is True


def is_held(path: str | Path) -> bool | None:
    """Whether a run that still goes on holds this file; None where that cannot be known, for want of locks."""
    try:
        with Path(path).open("rb") as file:
            return bool(_superblock(Path(path), file)[4]) and _probe(file.fileno())
    except (OSError, UserError):
        return False


def hold(descriptor: int) -> None:
    """Mark an open file as being written until the descriptor is closed, however that comes about."""
    for _ in range(PROBES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: HDF5's readers take shared locks, too
        except BlockingIOError:  # somebody looks at this very moment whether it is held
            time.sleep(PROBE_SECONDS)
        except OSError:  # a file system without locks
            return
        else:
            return


def _is_locked(descriptor: int) -> bool:
    return _probe(descriptor) is True


def _probe(descriptor: int) -> bool | None:
    """Whether somebody has a lock for longer than a look takes; None without locks."""
    for _ in range(PROBES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # a run, or a reader who opens the file at this very moment
            time.sleep(PROBE_SECONDS)
        except OSError:
            return None
        else:
            return False
    return True


def _superblock(path: Path, file: BinaryIO) -> tuple:
    head, checksum = file.read(HEAD.size), file.read(CHECKSUM.size)
    if not head.startswith(SIGNATURE) or len(checksum) < CHECKSUM.size:
        raise UserError(f"{path}: not an HDF5 file")
    fields = HEAD.unpack(head)
    if fields[1:4] != (VERSION, 8, 8) or CHECKSUM.unpack(checksum) != (lookup3(head),):
        raise UserError(f"{path}: not a run file of pmom, or damaged")
    return fields


def lookup3(data: bytes) -> int:
    """Bob Jenkins' lookup3 hash (``hashlittle``) with initial value 0: the checksum of HDF5's metadata.

    Examples
    --------
    >>> hex(lookup3(b"Four score and seven years ago"))
    '0x17770551'
    """
    a = b = c = (0xDEADBEEF + len(data)) & 0xFFFFFFFF
    if not data:
        return c
    words = struct.unpack(f"<{-(-len(data) // 12) * 3}I", data.ljust(-(-len(data) // 12) * 12, b"\0"))
    for place in range(0, len(words) - 3, 3):
        a, b, c = _mix(*((x + y) & 0xFFFFFFFF for x, y in zip((a, b, c), words[place : place + 3], strict=True)))
    a, b, c = ((x + y) & 0xFFFFFFFF for x, y in zip((a, b, c), words[-3:], strict=True))
    for shift in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _rotate(b, shift)) & 0xFFFFFFFF
        a, b, c = b, c, a
    return b  # the last word that was changed


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for shift in (4, 6, 8, 16, 19, 4):
        a = ((a - c) & 0xFFFFFFFF) ^ _rotate(c, shift)
        c = (c + b) & 0xFFFFFFFF
        a, b, c = b, c, a
    return a, b, c


def _rotate(word: int, by: int) -> int:
    return ((word << by) | (word >> (32 - by))) & 0xFFFFFFFF
