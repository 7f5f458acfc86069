"""HDF5 files opened to be read, also where the file system has no locks."""

from __future__ import annotations

from pathlib import Path

import h5py


def open_to_read(path: Path, swmr: bool = False) -> h5py.File:
    """The open file: with the library's lock, or without where it cannot be had; reading needs none.

    Not without from the start: a file that this process has open already must be opened the same way again.

    Raises
    ------
    OSError
        When it is not there, no HDF5, or damaged.
    """
    try:
        return h5py.File(path, "r", swmr=swmr)
    except FileNotFoundError:
        raise
    except OSError:
        return h5py.File(path, "r", swmr=swmr, locking=False)
