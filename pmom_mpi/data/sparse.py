"""Samples most of whose features are zero, in compressed sparse row form."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pmom_mpi.data.dataset import as_slice, check_single, load_targets
from pmom_mpi.words.room import check_room


@dataclass(frozen=True)
class SparseSplit:
    """As `dataset.Split`, for sparse samples: only what is asked for is read.

    Attributes
    ----------
    starts : ndarray of int64, shape (samples + 1,)
        Sample i's entries are ``starts[i]`` to ``starts[i + 1]``.
    indices : ndarray of uint32, shape (entries,)
        Their features, ascending within a sample.
    values : ndarray of float, shape (entries,)
    targets : ndarray, shape (samples,)
        Class indices (integers) or real values.
    features : int
        d; every index is smaller.
    """

    starts: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    targets: np.ndarray
    features: int

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The axes of one sample."""
        return (self.features,)

    def head(self, samples: int) -> SparseSplit:
        """The first so many samples."""
        return replace(self, starts=self.starts[: samples + 1], targets=self.targets[:samples])

    def load_sparse(
        self, rows: np.ndarray, dtype: np.dtype | type
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Starts, indices, values (in ``dtype``) and targets (int64, or ``dtype`` if real) of the given samples."""
        begins, ends = self.starts[rows], self.starts[np.add(rows, 1)]
        starts = np.concatenate(([0], np.cumsum(ends - begins, dtype=np.int64)))
        places: slice | np.ndarray
        if isinstance(as_slice(rows), slice):
            places = slice(int(begins[0]), int(ends[-1]))
        else:
            places = np.arange(starts[-1]) + np.repeat(begins - starts[:-1], ends - begins)
        values = self.values[places]
        check_single(values, dtype)
        return starts, np.array(self.indices[places]), values.astype(dtype), load_targets(self.targets[rows], dtype)

    def load(self, rows: np.ndarray, dtype: np.dtype | type) -> tuple[np.ndarray, np.ndarray]:
        """The given samples with all their zeros, for models that are not linear: (len(rows), features)."""
        starts, indices, values, targets = self.load_sparse(rows, dtype)
        check_room(len(rows) * self.features, dtype, f"{len(rows):,} samples of {self.features:,} features, zeros too,")
        inputs = np.zeros((len(rows), self.features), dtype)
        inputs[np.repeat(np.arange(len(rows)), np.diff(starts)), indices] = values
        return inputs, targets
