"""A data set as it lies on disk, and how rows of it become the numbers a model sees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from pmom_mpi.data.labels import MAX_CLASSES
from pmom_mpi.words.errors import UserError

if TYPE_CHECKING:
    from pmom_mpi.data.sparse import SparseSplit

Channels = Literal["first", "last"]

COLOURS = (3, 4)
"""So many channels an image has whose last axis is taken for channels: RGB, RGBA."""
SINGLE_LARGEST = 1e18
"""Squares of larger numbers leave float32."""
SHOWN = 5
"""How many wrong labels a message names."""


@dataclass(frozen=True)
class Scale:
    """inputs / divisor, then (inputs - mean) / std, each rounded to the run's type as torchvision does."""

    divisor: float = 1.0
    mean: float = 0.0
    std: float = 1.0

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Scale in place."""
        if self.divisor != 1.0:
            inputs /= inputs.dtype.type(self.divisor)
        if (self.mean, self.std) != (0.0, 1.0):
            inputs -= inputs.dtype.type(self.mean)
            inputs /= inputs.dtype.type(self.std)
        return inputs

    def __str__(self) -> str:
        scaled = "inputs" if self.divisor == 1.0 else f"inputs / {self.divisor:g}"
        if (self.mean, self.std) != (0.0, 1.0):
            return f"({scaled} - {self.mean:g}) / {self.std:g}"
        return scaled if self.divisor != 1.0 else "as stored"


@dataclass(frozen=True)
class Split:
    """Samples and their targets, as stored: only what `load` asks for is read.

    Attributes
    ----------
    inputs : ndarray or memmap, shape (samples, ...)
    targets : ndarray or memmap, shape (samples,)
        Class indices 0, 1, ... (integers) or real values.
    scale : Scale
    """

    inputs: np.ndarray
    targets: np.ndarray
    scale: Scale

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def features(self) -> int:
        """Numbers a sample."""
        return int(np.prod(self.inputs.shape[1:], dtype=np.int64))

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The axes of one sample, as stored."""
        return self.inputs.shape[1:]

    def head(self, samples: int) -> Split:
        """The first so many samples."""
        return replace(self, inputs=self.inputs[:samples], targets=self.targets[:samples])

    def channels_first(self) -> Split:
        """Images (height, width, channels) as (channels, height, width): a view."""
        return replace(self, inputs=np.moveaxis(self.inputs, -1, 1))

    def load(
        self, rows: np.ndarray, dtype: np.dtype | type, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (len(rows), features) scaled in ``dtype``, C-contiguous; targets int64, or ``dtype`` if real.

        The inputs are written into ``out`` (that shape and type) where it is given, else into a new array. Either way
        they are the caller's to change. Raises `UserError` where a number is too large for float32.
        """
        selection = as_slice(rows)
        inputs = np.empty((len(rows), self.features), dtype) if out is None else out
        stored = self.inputs[selection]
        check_single(stored, dtype)
        inputs[...] = stored.reshape(len(rows), self.features)
        return self.scale(inputs), load_targets(self.targets[selection], dtype)


@dataclass(frozen=True)
class DataSet:
    """A training split, a test split if there is one, and what the class labels are called.

    Attributes
    ----------
    name : str
    train, test : Split or SparseSplit
        Where there are labels, their targets are indices into them.
    labels : ndarray of integers, shape (classes,), or None
        The file's own labels, ascending, of training and test samples; None where targets are real.
    channels : {"first", "last"} or None
        What the user says of images; with "last" the splits have been turned already.
    """

    name: str
    train: Split | SparseSplit
    test: Split | SparseSplit | None
    labels: np.ndarray | None
    channels: Channels | None = None

    @property
    def classes(self) -> int | None:
        """How many classes there are; None where targets are real."""
        return None if self.labels is None else len(self.labels)

    def numbers(self, targets: np.ndarray) -> np.ndarray:
        """Targets for regression: the numbers that the file holds."""
        return targets if self.labels is None else self.labels[targets]

    def places(self, key: str, wanted: tuple[int, ...]) -> np.ndarray:
        """Which classes these labels of the file are; raises `UserError` naming ``key`` where one does not occur."""
        if self.labels is None:
            raise UserError(f"{key}: names class labels, but {self.what_targets_are()}")
        absent = [label for label in wanted if label not in self.labels]
        if absent:
            raise UserError(f"{key}: no sample has the label {absent[0]}; the labels are {shown(self.labels)}")
        return np.searchsorted(self.labels, wanted)

    def check_labels(self) -> None:
        """Raise `UserError` when a test sample's label is one that no training sample has."""
        if self.labels is None or self.test is None:
            return
        tested = np.bincount(self.test.targets, minlength=len(self.labels))
        trained = np.bincount(self.train.targets, minlength=len(self.labels))
        unseen = (tested > 0) & (trained == 0)
        if unseen.any():
            raise UserError(
                f"data: the test set has labels that no training sample has: {shown(self.labels[unseen])} "
                f"({int(tested[unseen].sum())} of {len(self.test)} samples); the labels of training are "
                f"{shown(self.labels[trained > 0])}"
            )

    def what_targets_are(self) -> str:
        """Of a data set that is not good for classification: what its targets are, and what would make them labels."""
        if self.labels is not None:
            return f"all targets are the one label {self.labels[0]}"
        some = self.train.targets[:1000]
        examples = ", ".join(f"{value:g}" for value in np.unique(some)[:3])
        if (some == np.rint(some)).all() and len(np.unique(self.train.targets)) > MAX_CLASSES:
            return f"the targets take more than {MAX_CLASSES:,} values"
        if (some == np.rint(some)).all():
            return f"the targets are whole numbers stored as floats ({examples}); for classes store y.astype(int)"
        return f"the targets of this data are real ({examples}, ...)"

    def image_shape(self) -> tuple[int, ...]:
        """The axes of one sample for a network of images, channels first.

        Raises
        ------
        UserError
            When channels seem to be last and nobody has said so.
        """
        shape = self.train.sample_shape
        if len(shape) == 3 and shape[-1] == 1 and shape[0] != 1:
            return (1, *shape[:2])  # one channel: the numbers lie alike
        if self.channels is None and len(shape) == 3 and shape[-1] in COLOURS and shape[0] not in (1, *COLOURS):
            raise UserError(
                f"data.channels: samples of shape {shape} seem to be (height, width, channels); say 'channels: last', "
                "or 'channels: first' if they are not"
            )
        return shape


def shown(labels: np.ndarray) -> str:
    """Some labels for a message."""
    return ", ".join(str(label) for label in labels[:SHOWN]) + (", ..." if len(labels) > SHOWN else "")


def load_targets(targets: np.ndarray, dtype: np.dtype | type) -> np.ndarray:
    """Targets as a run of type ``dtype`` has them: indices of classes are int64."""
    if targets.dtype.kind != "f":
        return targets.astype(np.int64)
    check_single(targets, dtype)
    return targets.astype(dtype)


def check_single(numbers: np.ndarray, dtype: np.dtype | type) -> None:
    """Raise `UserError` when ``dtype`` is float32 and a number is too large for it."""
    if np.dtype(dtype).itemsize > 4 or numbers.dtype.kind not in "fiu" or numbers.dtype.itemsize < 4:
        return
    if numbers.size and max(-float(numbers.min()), float(numbers.max())) > SINGLE_LARGEST:
        raise UserError(
            f"data: a number of size {np.abs(numbers).max():.3g} is too large for float32, whose squares end at 3e38; "
            "scale the data or use dtype: float64"
        )


def as_slice(rows: np.ndarray) -> slice | np.ndarray:
    """Consecutive rows as a slice, which reads them in one go."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows
