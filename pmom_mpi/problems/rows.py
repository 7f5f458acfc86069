"""A shard's samples as rows a_j of a matrix, dense or sparse: what a linear model computes with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pmom_mpi.data.sparse import SparseSplit
from pmom_mpi.kernels import csr, regression


@dataclass(frozen=True)
class Loss:
    """phi(z, y) as the kernels know it: one of the codes of `kernels.regression`, and its scale."""

    code: int
    scale: float = 1.0


class Rows(Protocol):
    """m samples of d features; what is written into ``out`` has x's type, also where the samples' is another."""

    def gradient(
        self, loss: Loss, targets: np.ndarray, rows: np.ndarray, x: np.ndarray, predictions: np.ndarray, out: np.ndarray
    ) -> tuple[float, int]:
        """See `kernels.regression.dense_gradient`."""

    def products(self, x: np.ndarray, out: np.ndarray) -> None:
        """out_j = a_j^T x for all samples."""

    def add_hessian_product(self, weights: np.ndarray, v: np.ndarray, out: np.ndarray) -> None:
        """out += sum_j weights_j (a_j^T v) a_j, float64."""

    def add_gram(self, weight: float, out: np.ndarray) -> None:
        """out += weight sum_j a_j a_j^T, float64, shape (d, d)."""


@dataclass(frozen=True)
class DenseRows:
    """Rows of an array of shape (m, d)."""

    inputs: np.ndarray

    def gradient(
        self, loss: Loss, targets: np.ndarray, rows: np.ndarray, x: np.ndarray, predictions: np.ndarray, out: np.ndarray
    ) -> tuple[float, int]:
        return regression.dense_gradient(loss.code, loss.scale, self.inputs, targets, rows, x, predictions, out)

    def products(self, x: np.ndarray, out: np.ndarray) -> None:
        regression.dense_products(self.inputs, x, out)

    def add_hessian_product(self, weights: np.ndarray, v: np.ndarray, out: np.ndarray) -> None:
        regression.add_dense_hessian_product(self.inputs, weights, v, out)

    def add_gram(self, weight: float, out: np.ndarray) -> None:
        inputs = self.inputs.astype(np.float64)
        out += weight * (inputs.T @ inputs)


@dataclass(frozen=True)
class SparseRows:
    """Rows in compressed sparse row form; see `kernels.csr`."""

    starts: np.ndarray
    indices: np.ndarray
    values: np.ndarray

    def gradient(
        self, loss: Loss, targets: np.ndarray, rows: np.ndarray, x: np.ndarray, predictions: np.ndarray, out: np.ndarray
    ) -> tuple[float, int]:
        return csr.csr_gradient(
            loss.code, loss.scale, self.starts, self.indices, self.values, targets, rows, x, predictions, out
        )

    def products(self, x: np.ndarray, out: np.ndarray) -> None:
        csr.csr_products(self.starts, self.indices, self.values, x, out)

    def add_hessian_product(self, weights: np.ndarray, v: np.ndarray, out: np.ndarray) -> None:
        csr.add_csr_hessian_product(self.starts, self.indices, self.values, weights, v, out)

    def add_gram(self, weight: float, out: np.ndarray) -> None:
        csr.add_csr_gram(self.starts, self.indices, self.values, weight, out)


Shard = tuple[Rows, np.ndarray]
"""Samples and their targets."""


def load(split: object, rows: np.ndarray, dtype: np.dtype) -> Shard:
    """Samples of a data set's split; a sparse one stays sparse."""
    if isinstance(split, SparseSplit):
        starts, indices, values, targets = split.load_sparse(rows, dtype)
        return SparseRows(starts, indices, values), targets
    inputs, targets = split.load(rows, dtype)  # type: ignore[attr-defined]
    return DenseRows(inputs), targets


class Finite:
    """f(x) = (1/n) sum_i (1/m_i) sum_j phi(a_ij^T x, y_ij) + l2/2 |x|^2 over all nodes' shards, in float64."""

    def __init__(self, shards: Sequence[Shard], loss: Loss, l2: float, dimension: int) -> None:
        self.shards, self.loss, self.l2, self.dimension = shards, loss, l2, dimension

    def value_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient, out = 0.5 * self.l2 * float(x @ x), self.l2 * x, np.empty_like(x)
        for samples, targets in self.shards:
            rows = np.arange(len(targets))
            loss_sum, _ = samples.gradient(self.loss, targets, rows, x, np.empty(len(targets)), out)
            value += loss_sum / len(targets) / len(self.shards)
            gradient += out / len(self.shards)
        return value, gradient

    def hessian(self, x: np.ndarray) -> Hessian:
        """The Hessian at x as a function that multiplies."""
        weights = []
        for samples, targets in self.shards:
            z = np.empty(len(targets))
            samples.products(x, z)
            regression.curvatures(self.loss.code, z, targets, 1 / len(targets) / len(self.shards), z)
            weights.append(z)
        return Hessian(self.shards, weights, self.l2)

    def gram(self) -> Hessian:
        """(1/n) sum_i (1/m_i) sum_j a_ij a_ij^T as a function that multiplies."""
        weights = [np.full(len(targets), 1 / len(targets) / len(self.shards)) for _, targets in self.shards]
        return Hessian(self.shards, weights, 0.0)

    def gram_matrix(self) -> np.ndarray:
        """The same as an array of shape (d, d)."""
        out = np.zeros((self.dimension, self.dimension))
        for samples, targets in self.shards:
            samples.add_gram(1 / len(targets) / len(self.shards), out)
        return out


@dataclass(frozen=True)
class Hessian:
    """v -> sum_ij w_ij (a_ij^T v) a_ij + l2 v."""

    shards: Sequence[Shard]
    weights: Sequence[np.ndarray]
    l2: float

    def __call__(self, v: np.ndarray) -> np.ndarray:
        out = self.l2 * v
        for (samples, _), weights in zip(self.shards, self.weights, strict=True):
            samples.add_hessian_product(weights, v, out)
        return out
