"""Users' own data in NPZ and HDF5 files: arrays x_train, y_train, and if there is a test set x_test, y_test."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pmom_mpi.words.errors import UserError

NAMES = {"train_inputs": "x_train", "train_targets": "y_train", "test_inputs": "x_test", "test_targets": "y_test"}

MAX_CLASSES = 1 << 16
"""More are no labels but integers to regress on, which this would count one by one."""
UNREADABLE = (
    OSError, ValueError, TypeError, KeyError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What numpy, zipfile and h5py raise on damaged files; fuzzing found each of them."""


def _open_npz(path: Path) -> Any:
    if not zipfile.is_zipfile(path):  # np.load would take other formats too
        path.open("rb").close()  # a missing file says so
        raise ValueError("not an .npz file")
    return np.load(path)


READERS: dict[str, Callable[[Path], Any]] = {".npz": _open_npz, ".h5": h5py.File, ".hdf5": h5py.File}


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz, .h5 or .hdf5 file.

    Raises
    ------
    UserError
        When the file cannot be read, lacks an array, or its arrays do not fit each other.
    """
    try:
        with READERS[path.suffix](path) as file:
            arrays = {key: np.asarray(file[name][()]) for key, name in NAMES.items() if name in file}
    except UNREADABLE as error:
        raise UserError(f"{path}: cannot read: {reason(error)}") from None
    check(path, arrays, NAMES)
    return arrays


def check(path: Path, arrays: Mapping[str, np.ndarray], names: Mapping[str, str]) -> None:
    """Raise `UserError` unless the arrays are a data set; ``names`` are what the user knows them by."""
    for split in ("train", "test"):
        inputs, targets = arrays.get(f"{split}_inputs"), arrays.get(f"{split}_targets")
        if inputs is None and targets is None and split == "test":
            continue
        x, y = names[f"{split}_inputs"], names[f"{split}_targets"]
        if inputs is None or targets is None:
            raise UserError(f"{path}: needs {x} and {y}")
        if inputs.ndim < 2 or targets.ndim != 1 or len(inputs) != len(targets) or inputs.size == 0:
            raise UserError(
                f"{path}: {x} {inputs.shape} and {y} {targets.shape} must be (samples, ...) and (samples,), not empty"
            )
        if inputs.dtype.kind not in "fiub" or targets.dtype.kind not in "fiu":
            raise UserError(f"{path}: {x} ({inputs.dtype}) and {y} ({targets.dtype}) must be numbers")
        if targets.dtype.kind in "iu" and targets.min() < 0:
            raise UserError(f"{path}: {y} has the label {targets.min()}; labels are 0, 1, 2, ...")
        if targets.dtype.kind in "iu" and targets.max() >= MAX_CLASSES:
            raise UserError(
                f"{path}: {y} has the label {targets.max()}, beyond {MAX_CLASSES} classes; store real targets as floats"
            )
    if "test_inputs" in arrays:
        _check_alike(path, arrays, names)


def reason(error: Exception) -> str:
    """An exception's first line, or its name where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _check_alike(path: Path, arrays: Mapping[str, np.ndarray], names: Mapping[str, str]) -> None:
    train, test = arrays["train_inputs"].shape[1:], arrays["test_inputs"].shape[1:]
    if train != test:
        raise UserError(f"{path}: samples of {names['train_inputs']} {train} and {names['test_inputs']} {test} differ")
    real = [arrays[f"{split}_targets"].dtype.kind == "f" for split in ("train", "test")]
    if real[0] != real[1]:
        raise UserError(
            f"{path}: {names['train_targets']} and {names['test_targets']} are labels and real numbers; make them alike"
        )
