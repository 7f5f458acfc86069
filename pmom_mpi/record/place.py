"""Where run files and checkpoints go: whether they may, whole or not at all, and in one line what is wrong."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from pmom_mpi.record.repair import is_being_written
from pmom_mpi.words.errors import UserError

UNLOCKABLE = rf"unable to lock file, errno = (?!{errno.EAGAIN},)"
"""What HDF5 says where a file cannot be locked at all; EAGAIN: somebody else has locked it."""
UNLOCKED = (
    "no locks on this file system: set HDF5_USE_FILE_LOCKING=FALSE, or, where that is not set, record.locking=false"
)


def check_place(path: str | Path, overwrite: bool) -> None:
    """Raise `UserError` where a `Recorder` could not be made, without leaving anything there."""
    path = Path(path)
    check_replaceable(path, overwrite)
    missing = [folder for folder in path.parents if not folder.exists()]
    with cannot_write(path, "choose another by output= (-o)"):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path.parent):
                pass
        finally:
            for folder in missing:
                if folder.exists():
                    folder.rmdir()


def check_replaceable(path: Path, overwrite: bool) -> None:
    """Raise `UserError` unless a run file may be made here."""
    if path.is_dir():
        raise UserError(f"{path} is a directory; name a file in it by output= (-o)")
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists; overwrite=True (--overwrite) replaces it, output= (-o) names another")
    if is_being_written(path):
        raise UserError(f"{path} is being written by a run that still goes on; name another by output= (-o)")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path``; the file made there takes its place, unless something goes wrong."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)  # of a killed process of this number, or a link that somebody put there
    try:
        yield partial
        sync(partial)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def cannot_write(path: Path, remedy: str) -> Iterator[None]:
    """HDF5's errors (OSError when opening, RuntimeError when writing; a page each) as the one line of a `UserError`."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if re.search(UNLOCKABLE, str(error)):
            remedy = UNLOCKED
        told = re.search(r"error message = '([^']+)'", str(error))
        number = getattr(error, "errno", None)
        reason = told[1] if told else os.strerror(number) if number else str(error).splitlines()[0]
        raise UserError(f"cannot write {path}: {reason}; {remedy}") from None


@contextmanager
def left_open(file: h5py.File) -> Iterator[None]:
    """After a write that failed inside, a file is never closed: HDF5 would write once more, fail, and crash."""
    try:
        yield
    except (OSError, RuntimeError):
        file.id.locked = True
        raise


def sync(path: Path) -> None:
    """Let a file, or a folder's names, reach the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
