"""Files of any kind to arrays, and arrays to a data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pmom_mpi.data import idx, svmlight
from pmom_mpi.data.content import kind_of
from pmom_mpi.data.dataset import Channels, DataSet, Scale, Split
from pmom_mpi.data.files import read_arrays
from pmom_mpi.data.labels import indices, labels_of
from pmom_mpi.data.sparse import SparseSplit
from pmom_mpi.words.errors import UserError

NO_TEST = "none"
"""What stands for a test file in the config where there is to be no test set."""

BYTES = 255.0

Arrays = Mapping[str, np.ndarray]


def read(path: Path, sha256: Mapping[str, str], test: str | None = None) -> dict[str, np.ndarray]:
    """The arrays of a folder of IDX files (of these checksums, if there are any), an .npz, HDF5 or svmlight file.

    ``test`` is another one that holds the test set, ``"none"`` for no test set, or None for the one found beside the
    training set.
    """
    other = None if test in (None, NO_TEST) else Path(str(test))
    if other is not None and _kind(other) != _kind(path):
        raise UserError(f"data.test: {other} must be of the same format as {path}")
    kind = _kind(path)
    if kind == "folder":
        arrays = idx.read_folder(path, sha256, other)
    elif kind == "text":
        arrays = svmlight.read(path, other, find_test=test is None)
    else:
        arrays = read_arrays(path, other)
    return {key: array for key, array in arrays.items() if test != NO_TEST or not key.startswith("test")}


def _kind(path: Path) -> str:
    if path.is_dir():
        return "folder"
    kind = kind_of(path)
    return kind if kind == "text" else "arrays"


def natural_scales(arrays: Arrays) -> dict[str, Scale]:
    """Of each split: bytes become [0, 1] unless they are 0 and 1 already; anything else stays as it is.

    Raises
    ------
    UserError
        When one split's bytes become [0, 1] and the other's numbers go beyond.
    """
    splits = {split: arrays[f"{split}_inputs"] for split in ("train", "test") if f"{split}_inputs" in arrays}
    binary = all(inputs.max() <= 1 for inputs in splits.values() if inputs.dtype == np.uint8)
    scales = {
        split: Scale(BYTES) if inputs.dtype == np.uint8 and not binary else Scale() for split, inputs in splits.items()
    }
    for split, inputs in splits.items():
        if (
            scales[split] == Scale()
            and Scale(BYTES) in scales.values()
            and not (inputs.min() >= 0 and inputs.max() <= 1)
        ):
            raise UserError(
                f"the {split} inputs go from {inputs.min():g} to {inputs.max():g}, while the other set's bytes become "
                "[0, 1]; store both alike"
            )
    return scales


def make(name: str, arrays: Arrays, scales: Mapping[str, Scale], channels: Channels | None = None) -> DataSet:
    """A data set of arrays; integer targets are class labels. A split without a scale stays as it is stored."""
    names = [split for split in ("train", "test") if f"{split}_targets" in arrays]
    labels = labels_of(arrays[f"{split}_targets"] for split in names)
    splits = {split: _split(arrays, split, scales.get(split, Scale()), labels) for split in names}
    if channels == "last":
        splits = {split: _turned(samples) for split, samples in splits.items()}
    return DataSet(name, splits["train"], splits.get("test"), labels, channels)


def _split(arrays: Arrays, name: str, scale: Scale, labels: np.ndarray | None) -> Split | SparseSplit:
    targets = arrays[f"{name}_targets"]
    if labels is not None:
        targets = indices(targets, labels)
    elif targets.dtype.kind != "f":
        targets = targets.astype(np.float64)
    if f"{name}_inputs" in arrays:
        return Split(arrays[f"{name}_inputs"], targets, scale)
    parts = {part: arrays[f"{name}_{part}"] for part in ("starts", "indices", "values")}
    return SparseSplit(**parts, targets=targets, features=int(arrays["features"][0]))


def _turned(split: Split | SparseSplit) -> Split:
    if isinstance(split, SparseSplit) or len(split.sample_shape) != 3:
        raise UserError(
            f"data.channels: last is of samples of shape (height, width, channels), these are {split.sample_shape}"
        )
    return split.channels_first()
