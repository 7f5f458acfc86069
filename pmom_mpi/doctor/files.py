"""The file systems of run files and of data sets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.filesize import decimal

from pmom_mpi.doctor.row import BAD, GOOD, NOTE, Row, from_error
from pmom_mpi.words.errors import UserError

CHILD_SECONDS = 60
MOUNTS = Path("/proc/self/mounts")
NETWORK = ("nfs", "lustre", "gpfs", "beegfs", "ceph", "cifs", "smb", "glusterfs", "panfs", "orangefs", "wekafs")
LOW_BYTES = 1_000_000_000
LOCKING = "HDF5_USE_FILE_LOCKING"


def check(folder: Path) -> list[Row]:
    """Run files in ``folder``, and the cache of data sets."""
    return [space("disk", existing(folder)), output(folder), cache()]


def existing(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    folder = folder.absolute()
    return folder if folder.is_dir() else existing(folder.parent)


def space(what: str, folder: Path) -> Row:
    """The kind of file system, and what is free."""
    kind, free = file_system(folder), shutil.disk_usage(folder).free
    finding = f"{folder}: {kind}, {decimal(free)} free"
    if free < LOW_BYTES:
        return Row(what, NOTE, finding, "a full disk ends a run; make room, or choose another folder")
    if kind.startswith(NETWORK):
        return Row(what, NOTE, finding, "read growing run files on the host of rank 0; other hosts may see them late")
    return Row(what, GOOD, finding)


def file_system(folder: Path) -> str:
    """The type of the file system that holds this folder."""
    try:
        mounts = [line.split()[1:3] for line in MOUNTS.read_text().splitlines()]
    except OSError:
        return "file system of unknown type"
    real = os.path.realpath(folder)
    over = [(place, kind) for place, kind in mounts if real == place or real.startswith(place.rstrip("/") + "/")]
    return max(over, key=lambda mount: len(mount[0]))[1] if over else "file system of unknown type"


def output(folder: Path) -> Row:
    """Write a run file, and read it while it is open, in processes of their own; once more without HDF5's locks."""
    what = "HDF5 run files"
    said, trouble = _write_and_read(folder, {})
    if trouble and os.environ.get(LOCKING) != "FALSE":
        unlocked, still = _write_and_read(folder, {LOCKING: "FALSE"})
        if unlocked and not still:
            return Row(what, BAD, f"{trouble}, with HDF5's locks", f"export {LOCKING}=FALSE")
    if trouble:
        return from_error(what, UserError(trouble))
    setting = f"; {LOCKING}={os.environ[LOCKING]}" if LOCKING in os.environ else ""
    if not said["locked"]:
        return Row(
            what, NOTE, f"written and read while open, but this file system has no locks{setting}",
            "nothing but you prevents two runs from writing one file: give each its own -o",
        )  # fmt: skip
    return Row(what, GOOD, f"written, locked, and read while open{setting}")


def cache() -> Row:
    """Where data sets are kept, which are there, and whether more can be."""
    from pmom_mpi.data import library

    folder = library.cache_directory()
    here = ", ".join(entry.name for entry in library.list_datasets() if entry.where)
    place = existing(folder)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return Row(
            "data sets", NOTE, f"{here}; {folder} cannot be written: {error.strerror}",
            "export PMOM_DATA_DIR=FOLDER before pmom data get or import",
        )  # fmt: skip
    return Row("data sets", GOOD, f"{here}; kept in {folder}, {decimal(shutil.disk_usage(place).free)} free")


def _write_and_read(folder: Path, variables: dict[str, str]) -> tuple[dict[str, bool], str]:
    """What `pmom_mpi.doctor.growing` found in this folder, and its trouble if there was any."""
    command = [sys.executable, "-m", "pmom_mpi.doctor.growing", str(folder)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=CHILD_SECONDS, env=os.environ | variables
        )
    except subprocess.TimeoutExpired:
        return {}, f"{folder}: a small run file was not written within {CHILD_SECONDS} s"
    if done.returncode != 0:
        return {}, (done.stderr.strip().splitlines() or [f"{folder}: HDF5 ended with status {done.returncode}"])[-1]
    return json.loads(done.stdout), ""
