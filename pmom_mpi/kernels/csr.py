"""Passes over sparse rows in compressed sparse row form: ``values[p]`` lies in column ``indices[p]``, row i is
p = starts[i] .. starts[i+1] - 1.

Each kernel reads a row's values and indices from memory once; what it needs a second time is in the cache by then.
Indices are uint32, because numba looks for negative ones when they are signed.
"""

from __future__ import annotations

import numba

from pmom_mpi.kernels.layers import FASTMATH
from pmom_mpi.kernels.regression import value_and_slope


@numba.njit(cache=True, fastmath=FASTMATH)
def csr_gradient(code, scale, starts, indices, values, targets, rows, x, predictions, out):
    """As `regression.dense_gradient`, for sparse rows.

    Parameters
    ----------
    starts : ndarray of int64, shape (samples + 1,)
    indices : ndarray of uint32, shape (nonzeros,)
        Each below d: not checked here.
    values : ndarray, shape (nonzeros,)
    """
    share = 1.0 / rows.size
    loss_sum, correct = 0.0, 0
    out[:] = 0
    for i in range(rows.size):
        begin, end, y = starts[rows[i]], starts[rows[i] + 1], float(targets[rows[i]])
        z = _dot(indices, values, begin, end, x)
        predictions[i] = z
        value, slope = value_and_slope(code, scale, float(z), y)
        loss_sum += value
        correct += (z > 0) == (y > 0)
        factor = x.dtype.type(slope * share)
        for p in range(begin, end):
            out[indices[p]] += factor * values[p]
    return loss_sum, correct


@numba.njit(cache=True, fastmath=FASTMATH)
def _dot(indices, values, begin, end, x):
    z = x.dtype.type(0)
    for p in range(begin, end):
        z += values[p] * x[indices[p]]
    return z


@numba.njit(cache=True, fastmath=FASTMATH)
def csr_products(starts, indices, values, x, out):
    """out_i = a_i^T x, summed in x's type."""
    for i in range(out.size):
        out[i] = _dot(indices, values, starts[i], starts[i + 1], x)


@numba.njit(cache=True, fastmath=FASTMATH)
def add_csr_hessian_product(starts, indices, values, weights, v, out):
    """out += sum_i weights_i (a_i^T v) a_i."""
    for i in range(weights.size):
        z = weights[i] * _dot(indices, values, starts[i], starts[i + 1], v)
        for p in range(starts[i], starts[i + 1]):
            out[indices[p]] += z * values[p]


@numba.njit(cache=True)
def add_csr_gram(starts, indices, values, weight, out):
    """out += weight sum_i a_i a_i^T; ``out`` has shape (d, d)."""
    for i in range(starts.size - 1):
        for p in range(starts[i], starts[i + 1]):
            scaled = weight * values[p]
            for q in range(starts[i], starts[i + 1]):
                out[indices[p], indices[q]] += scaled * values[q]
