"""What a dense ReLU layer does besides its matrix products, each in one pass over memory."""

from __future__ import annotations

import numba

# Without nnan and ninf: a NaN or an infinity must reach the loss, where divergence is noticed.
FASTMATH = {"reassoc", "contract", "nsz", "arcp"}


@numba.njit(cache=True, fastmath=FASTMATH)
def add_bias_relu(z, bias):
    """z_ij = max(z_ij + bias_j, 0) in place; NaN stays NaN.

    Parameters
    ----------
    z : ndarray, shape (m, width)
    bias : ndarray, shape (width,)
    """
    zero = z.dtype.type(0)
    rows, columns = z.shape
    for i in range(rows):
        for j in range(columns):
            value = z[i, j] + bias[j]
            negative = value < zero  # spelt out, because max(value, zero) need not keep NaN
            z[i, j] = zero if negative else value


@numba.njit(cache=True, fastmath=FASTMATH)
def relu_backward(delta, activation, bias_gradient):
    """delta_ij = 0 where activation_ij = 0, in place; bias_gradient_j = sum_i delta_ij.

    Parameters
    ----------
    delta : ndarray, shape (m, width)
        The loss's derivative with respect to the activation, becomes that with respect to what ReLU was given.
    activation : ndarray, shape (m, width)
        What ReLU returned.
    bias_gradient : ndarray, shape (width,)
    """
    zero = delta.dtype.type(0)
    rows, columns = delta.shape
    bias_gradient[:] = zero
    for i in range(rows):
        for j in range(columns):
            value = zero if activation[i, j] <= zero else delta[i, j]
            delta[i, j] = value
            bias_gradient[j] += value


@numba.njit(cache=True, fastmath=FASTMATH)
def add_l2(x, weight, gradient):
    """gradient += weight * x in place; returns |x|^2, summed in float64.

    Parameters
    ----------
    x, gradient : ndarray, shape (d,)
    weight : scalar of their dtype
    """
    total = 0.0
    for j in range(x.size):
        total += float(x[j]) * float(x[j])
        gradient[j] += weight * x[j]
    return total
