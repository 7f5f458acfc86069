"""Clipping every sample's gradient of a dense network without forming any (Goodfellow 2015).

The gradient of sample i with respect to a layer's weights is the outer product of row i of the derivatives (deltas) and
row i of the layer's inputs (activations), that with respect to its bias the row of deltas itself. Hence its squared
norm is sum over layers of |delta_i|^2 (|activation_i|^2 + 1), and clipping it is scaling the rows of all deltas.

Goodfellow 2015, "Efficient per-example gradient computations"; the clipping is that of Abadi et al. 2016, "Deep
learning with differential privacy".
"""

from __future__ import annotations

import math

import numba
import numpy as np

from pmom_mpi.kernels.layers import FASTMATH


@numba.njit(cache=True, fastmath=FASTMATH)
def _squared(row):
    total = 0.0
    for j in range(row.size):
        value = np.float64(row[j])
        total += value * value
    return total


@numba.njit(cache=True)
def add_squared_norms(activations, deltas, squared):
    """squared_i += |deltas_i|^2 (|activations_i|^2 + 1): one layer's part of the samples' squared gradient norms.

    Parameters
    ----------
    activations : ndarray, shape (m, fan_in)
        The layer's inputs.
    deltas : ndarray, shape (m, fan_out)
        The derivative of the loss with respect to the layer's outputs before the activation function.
    squared : ndarray of float64, shape (m,)
    """
    for i in range(squared.size):
        squared[i] += _squared(deltas[i]) * (_squared(activations[i]) + 1.0)


@numba.njit(cache=True)
def clip_factors(squared, tau, factors):
    """factors_i = min(1, tau / sqrt(squared_i)); returns how many are below 1. NaN stays NaN.

    Where deltas are derivatives of the mean over m samples, pass tau / m: a sample's own gradient is m times as long.

    Parameters
    ----------
    squared, factors : ndarray of float64, shape (m,)
        May be the same array.
    tau : float
    """
    clipped = 0
    for i in range(squared.size):
        length = math.sqrt(squared[i])
        inside = length <= tau
        factors[i] = 1.0 if inside else tau / length
        clipped += not inside
    return clipped


@numba.njit(cache=True, fastmath=FASTMATH)
def scale_rows(deltas, factors, bias_gradient):
    """deltas_i *= factors_i in place; bias_gradient_j = sum_i of the scaled deltas_ij.

    Parameters
    ----------
    deltas : ndarray, shape (m, fan_out)
    factors : ndarray of float64, shape (m,)
    bias_gradient : ndarray, shape (fan_out,)
    """
    rows, columns = deltas.shape
    bias_gradient[:] = 0
    for i in range(rows):
        factor = deltas.dtype.type(factors[i])
        for j in range(columns):
            value = deltas[i, j] * factor
            deltas[i, j] = value
            bias_gradient[j] += value
