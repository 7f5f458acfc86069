"""Users' own data in NPZ and HDF5 files: arrays x_train, y_train, and if there is a test set x_test, y_test."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pmom_mpi.errors import UserError

NAMES = {"train_inputs": "x_train", "train_targets": "y_train", "test_inputs": "x_test", "test_targets": "y_test"}


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz, .h5 or .hdf5 file.

    Raises
    ------
    UserError
        When the file cannot be read, lacks an array, or its arrays do not fit each other.
    """
    readers: dict[str, Callable[[Path], Any]] = {".npz": np.load, ".h5": h5py.File, ".hdf5": h5py.File}
    if path.suffix not in readers:
        raise UserError(f"{path}: no folder, .npz, .h5 or .hdf5 file")
    try:
        with readers[path.suffix](path) as file:
            arrays = {key: np.asarray(file[name][()]) for key, name in NAMES.items() if name in file}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot read: {str(error).splitlines()[0]}") from None
    _check(path, arrays)
    return arrays


def _check(path: Path, arrays: dict[str, np.ndarray]) -> None:
    for split in ("train", "test"):
        inputs, targets = arrays.get(f"{split}_inputs"), arrays.get(f"{split}_targets")
        if inputs is None and targets is None and split == "test":
            continue
        if inputs is None or targets is None:
            raise UserError(f"{path}: needs arrays x_{split} and y_{split}")
        if inputs.ndim < 2 or targets.ndim != 1 or len(inputs) != len(targets) or len(inputs) == 0:
            raise UserError(
                f"{path}: x_{split} {inputs.shape} and y_{split} {targets.shape} must be (samples, ...) and (samples,)"
            )
        if inputs.dtype.kind not in "fiub" or targets.dtype.kind not in "fiu":
            raise UserError(f"{path}: x_{split} ({inputs.dtype}) and y_{split} ({targets.dtype}) must be numbers")
        if targets.dtype.kind in "iu" and targets.min() < 0:
            raise UserError(f"{path}: y_{split} has the label {targets.min()}; labels are 0, 1, 2, ...")
