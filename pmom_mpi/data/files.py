"""Users' own data in NPZ and HDF5 files: arrays x_train, y_train, and if there is a test set x_test, y_test."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pmom_mpi.data.checks import check, column
from pmom_mpi.data.content import kind_of
from pmom_mpi.data.hdf5 import read_array
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.hdf5 import open_to_read

NAMES = {"train_inputs": "x_train", "train_targets": "y_train", "test_inputs": "x_test", "test_targets": "y_test"}
SHOWN = 6
"""How many of the arrays that a file does hold a message names."""

UNREADABLE = (
    OSError, ValueError, TypeError, KeyError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error,
    NotImplementedError,
)  # fmt: skip
"""What numpy, zipfile and h5py raise on damaged files; fuzzing found each of them."""


def read_arrays(path: Path, test: Path | None = None) -> dict[str, np.ndarray]:
    """The arrays of an .npz or HDF5 file, by the keys of `NAMES`.

    Parameters
    ----------
    path : Path
    test : Path, optional
        Another such file that holds the test set, as x_test and y_test or as its own x_train and y_train.

    Raises
    ------
    UserError
        When a file cannot be read, lacks an array, or its arrays do not fit each other.
    """
    names, arrays = dict(NAMES), _read(path)
    if test is not None:
        other = _read(test)
        split = "test" if "test_inputs" in other else "train"
        for part in ("inputs", "targets"):
            arrays[f"test_{part}"] = other[f"{split}_{part}"]
            names[f"test_{part}"] = f"{test}: {NAMES[f'{split}_{part}']}"
    check(path, arrays, names)
    return arrays


def _read(path: Path) -> dict[str, np.ndarray]:
    with _opened(path) as file:
        found = {key: name for key, name in NAMES.items() if name in file}
        for split in ("train", "test"):
            wanted = [f"{split}_inputs", f"{split}_targets"]
            if any(key in found for key in wanted) != all(key in found for key in wanted) or not found:
                raise UserError(f"{path}: needs {NAMES[wanted[0]]} and {NAMES[wanted[1]]}; it holds {_contents(file)}")
        arrays = {
            key: read_array(path, name, file[name]) if isinstance(file, h5py.File) else np.asarray(file[name])
            for key, name in found.items()
        }
    for split in ("train", "test"):
        if f"{split}_inputs" in arrays:
            inputs, targets = arrays[f"{split}_inputs"], arrays[f"{split}_targets"]
            arrays[f"{split}_targets"] = column(targets, len(inputs) if inputs.ndim else 0)
    return arrays


@contextmanager
def _opened(path: Path) -> Iterator[Mapping[str, Any]]:
    """The open file; whatever its library says of it becomes a line."""
    try:
        with np.load(path) if kind_of(path) == "npz" else open_to_read(path) as file:
            yield file
    except UNREADABLE as error:
        raise UserError(f"{path}: cannot read: {reason(error)}") from None


def _contents(file: Mapping[str, Any]) -> str:
    """The names and shapes of what a file does hold."""
    shown = [
        f"{name} {'(a group)' if isinstance(item, h5py.Group) else item.shape}"
        for name, item in ((name, file[name]) for name in list(file)[:SHOWN])
    ]
    return (", ".join(shown) or "nothing") + (", ..." if len(file) > SHOWN else "")


def reason(error: Exception) -> str:
    """An exception's first line, or its name where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]
