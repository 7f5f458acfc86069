"""A data set as it lies on disk, and how rows of it become the numbers a model sees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pmom_mpi.data.sparse import SparseSplit


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


@dataclass(frozen=True)
class Split:
    """Samples and their targets, as stored: only what `load` asks for is read.

    Attributes
    ----------
    inputs : ndarray or memmap, shape (samples, ...)
    targets : ndarray or memmap, shape (samples,)
        Class labels (integers) or real values.
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

    def head(self, samples: int) -> Split:
        """The first so many samples."""
        return replace(self, inputs=self.inputs[:samples], targets=self.targets[:samples])

    def load(
        self, rows: np.ndarray, dtype: np.dtype | type, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (len(rows), features) scaled in ``dtype``, C-contiguous; targets int64, or ``dtype`` if real.

        The inputs are written into ``out`` (that shape and type) where it is given, else into a new array. Either way
        they are the caller's to change.
        """
        selection = as_slice(rows)
        inputs = np.empty((len(rows), self.features), dtype) if out is None else out
        inputs[...] = self.inputs[selection].reshape(len(rows), self.features)
        return self.scale(inputs), self.targets[selection].astype(target_dtype(self.targets, dtype))


@dataclass(frozen=True)
class DataSet:
    """A training split, a test split if there is one, and the number of classes if targets are labels."""

    name: str
    train: Split | SparseSplit
    test: Split | SparseSplit | None
    classes: int | None


def target_dtype(targets: np.ndarray, dtype: np.dtype | type) -> np.dtype | type:
    """What targets are loaded as in a run of type ``dtype``: labels are indices."""
    return dtype if targets.dtype.kind == "f" else np.int64


def as_slice(rows: np.ndarray) -> slice | np.ndarray:
    """Consecutive rows as a slice, which reads them in one go."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows
