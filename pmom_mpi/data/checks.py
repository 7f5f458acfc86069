"""Whether arrays of a user are a data set that one can learn from; what is wrong with them in one line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pmom_mpi.words.errors import UserError

LARGEST = 1e150
"""Squares of larger numbers, of which every loss is made, leave float64."""
BLOCK = 4096
"""Samples looked at at a time: no copy of a whole array is made."""


def column(targets: np.ndarray, samples: int) -> np.ndarray:
    """Targets of shape (samples, 1) or (1, samples), as many programs write them, as (samples,); bool as 0 and 1."""
    if targets.ndim == 2 and 1 in targets.shape and targets.size == samples:
        targets = targets.reshape(-1)
    return targets.astype(np.uint8) if targets.dtype == bool else targets


def check(path: Path, arrays: Mapping[str, np.ndarray], names: Mapping[str, str]) -> None:
    """Raise `UserError` unless the arrays are a data set; ``names`` are what the user knows them by."""
    for split in ("train", "test"):
        inputs, targets = arrays.get(f"{split}_inputs"), arrays.get(f"{split}_targets")
        if inputs is None and targets is None and split == "test":
            continue
        x, y = names[f"{split}_inputs"], names[f"{split}_targets"]
        if inputs is None or targets is None:
            raise UserError(f"{path}: needs {x} and {y}")
        _check_types(path, x, inputs, y, targets)
        _check_shapes(path, x, inputs, y, targets)
        check_finite(path, x, inputs)
        check_finite(path, y, targets)
    if "test_inputs" in arrays:
        _check_alike(path, arrays, names)


def check_finite(path: Path, name: str, array: np.ndarray) -> None:
    """Raise `UserError` where numbers are NaN, infinite or beyond `LARGEST`: how many, and the first place."""
    if array.dtype.kind != "f":
        return
    count, first = 0, None
    limit = array.dtype.type(min(LARGEST, float(np.finfo(array.dtype).max)))
    for start in range(0, len(array), BLOCK):
        block = np.asarray(array[start : start + BLOCK])
        wrong = ~(np.abs(block) <= limit)  # NaN compares as False
        if wrong.any():
            count += int(wrong.sum())
            if first is None:
                place = np.argwhere(wrong)[0]
                first = ([start + int(place[0]), *place[1:].tolist()], block[tuple(place)])
    if first is not None:
        raise UserError(_unusable(path, name, count, str(first[0]), float(first[1])))


def check_finite_rows(path: Path, starts: np.ndarray, indices: np.ndarray, values: np.ndarray) -> None:
    """The same for sparse samples; the place is the sample and the feature, counted as the file counts them."""
    wrong = np.flatnonzero(~(np.abs(values) <= LARGEST))
    if len(wrong):
        sample = int(np.searchsorted(starts, wrong[0], side="right"))
        place = f"sample {sample}, feature {indices[wrong[0]]}"
        raise UserError(_unusable(path, "it", len(wrong), place, float(values[wrong[0]])))


def _unusable(path: Path, name: str, count: int, place: str, value: float) -> str:
    what = f"not finite or beyond {LARGEST:.0e}"
    numbers = "1 number that is" if count == 1 else f"{count:,} numbers that are"
    return f"{path}: {name} holds {numbers} {what}, first at {place}: {value:g}; repair or leave out these samples"


def _check_types(path: Path, x: str, inputs: np.ndarray, y: str, targets: np.ndarray) -> None:
    if targets.dtype.kind in "USO":
        raise UserError(
            f"{path}: {x} ({inputs.dtype}) and {y} ({targets.dtype}) must be numbers; of names of classes make "
            "labels with numpy.unique(y, return_inverse=True)[1]"
        )
    if inputs.dtype.kind not in "fiub" or targets.dtype.kind not in "fiu":
        raise UserError(f"{path}: {x} ({inputs.dtype}) and {y} ({targets.dtype}) must be numbers")


def _check_shapes(path: Path, x: str, inputs: np.ndarray, y: str, targets: np.ndarray) -> None:
    if targets.ndim == 2 and len(targets) == len(inputs) and targets.shape[1] > 1:
        one_hot = bool((np.sort(targets, axis=1) == [*[0] * (targets.shape[1] - 1), 1]).all())
        remedy = "one-hot labels; store their numbers, y.argmax(axis=1)" if one_hot else "a sample may have one only"
        raise UserError(f"{path}: {y} {targets.shape} holds {targets.shape[1]} targets a sample: {remedy}")
    if inputs.ndim < 2 or targets.ndim != 1 or len(inputs) != len(targets) or inputs.size == 0:
        remedy = f"; of one feature a sample make {x}[:, None]" if inputs.ndim == 1 and inputs.size else ""
        raise UserError(
            f"{path}: {x} {inputs.shape} and {y} {targets.shape} must be (samples, ...) and (samples,), not empty"
            f"{remedy}"
        )


def _check_alike(path: Path, arrays: Mapping[str, np.ndarray], names: Mapping[str, str]) -> None:
    train, test = arrays["train_inputs"].shape[1:], arrays["test_inputs"].shape[1:]
    if train != test:
        raise UserError(f"{path}: samples of {names['train_inputs']} {train} and {names['test_inputs']} {test} differ")
    real = [arrays[f"{split}_targets"].dtype.kind == "f" for split in ("train", "test")]
    if real[0] != real[1]:
        raise UserError(
            f"{path}: {names['train_targets']} and {names['test_targets']} are labels and real numbers; make them alike"
        )
