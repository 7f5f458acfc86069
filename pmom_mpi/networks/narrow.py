"""Samples without the features that are the same in all of them, as pixels that are black in all images of a node.

To a dense layer such a feature is a part of the bias: a_j = c in all samples adds c W_j to it, and the gradient of W_j
is c times the bias's. So it needs no part in the layer's matrix products: the numbers are the same but for rounding. Of
MNIST's 784 pixels about 200 are constant in the 600 images of one of 100 nodes: an eighth of all arithmetic of the
paper's network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pmom_mpi.kernels.columns import fold_constants, unfold_gradient

WORTH = 64
"""From this product of samples and share of constant features on, less arithmetic pays for taking weights apart.

Measured: taking a weight out and putting its gradient back costs as much as about 25 of its multiplications in a matrix
product.
"""

BLOCK = 256
"""Samples looked at and moved at a time: a shard is never held twice."""


@dataclass(frozen=True, slots=True, eq=False)
class Narrow:
    """A matrix of samples whose constant columns are known.

    Attributes
    ----------
    values : ndarray, shape (m, v)
        The other columns.
    varying, constant : ndarray of uint32, shapes (v,) and (features - v,)
        Which columns are which, ascending.
    constants : ndarray, shape (features - v,)
    """

    values: np.ndarray
    varying: np.ndarray
    constant: np.ndarray
    constants: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice) -> Narrow:
        return Narrow(self.values[rows], self.varying, self.constant, self.constants)

    def fold(self, weight: np.ndarray, bias: np.ndarray, buffer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weight and bias that do to `values` what ``weight`` and ``bias`` do to the whole samples.

        ``buffer`` is as large as ``weight`` (out, features) and holds the result until it is used again.
        """
        part, folded = self._part(buffer), np.empty_like(bias)
        fold_constants(weight, self.varying, self.constant, self.constants, bias, part, folded)
        return part, folded

    def weight_gradient(
        self, delta: np.ndarray, bias_gradient: np.ndarray, buffer: np.ndarray, out: np.ndarray
    ) -> None:
        """``out`` (out, features) = delta^T times the whole samples; ``bias_gradient`` = delta's column sums."""
        part = self._part(buffer)
        np.matmul(delta.T, self.values, out=part)
        unfold_gradient(part, self.varying, self.constant, self.constants, bias_gradient, out)

    def _part(self, buffer: np.ndarray) -> np.ndarray:
        shape = len(buffer), len(self.varying)
        return buffer.reshape(-1)[: shape[0] * shape[1]].reshape(shape)


def narrowed(inputs: np.ndarray) -> np.ndarray | Narrow:
    """``inputs`` without constant columns where that saves time; the others are moved together in the same memory.

    Parameters
    ----------
    inputs : ndarray, shape (m, features), C-contiguous
        Not to be used afterwards when a `Narrow` is returned.
    """
    samples, features = inputs.shape
    blocks = [slice(start, start + BLOCK) for start in range(0, samples, BLOCK)]
    same = np.ones(features, bool)
    for rows in blocks:
        same &= (inputs[rows] == inputs[0]).all(axis=0)
        if samples * same.sum() < WORTH * features:
            return inputs
    varying, constant = (np.flatnonzero(where).astype(np.uint32) for where in (~same, same))
    constants = inputs[0, constant]
    values = inputs.reshape(-1)[: samples * len(varying)].reshape(samples, len(varying))
    for rows in blocks:  # forwards, since a block's place overlaps that of those before it only
        values[rows] = inputs[rows, varying]
    return Narrow(values, varying, constant, constants)
