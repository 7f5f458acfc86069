"""Losses phi(z, y) of a linear prediction z = a^T x, and their passes over dense rows a.

A loss is its code and one scale; phi is evaluated in float64 whatever the data's type. `csr` does the same for sparse
rows.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from pmom_mpi.kernels.layers import FASTMATH

SQUARED = 0  # (z - y)^2 / 2
LOGISTIC = 1  # log(1 + exp(-y z)), y = +-1
HUBER = 2  # r^2/2 up to |r| = scale, then scale (|r| - scale/2); r = z - y
WELSCH = 3  # scale^2/2 (1 - exp(-(r/scale)^2)); r = z - y
QUARTIC = 4  # (z^2 - y)^2 / 4


@numba.njit(cache=True)
def value_and_slope(code, scale, z, y):
    """phi(z, y) and its derivative with respect to z; all scalars, float64."""
    if code == LOGISTIC:
        margin = y * z
        small = math.exp(-abs(margin))
        value = math.log1p(small) + max(-margin, 0.0)
        return value, -y * (small if margin > 0 else 1.0) / (1.0 + small)
    if code == QUARTIC:
        excess = z * z - y
        return 0.25 * excess * excess, excess * z
    r = z - y
    if code == HUBER and abs(r) > scale:
        return scale * (abs(r) - 0.5 * scale), math.copysign(scale, r)
    if code == WELSCH:
        s = (r / scale) * (r / scale)
        return -0.5 * scale * scale * math.expm1(-s), r * math.exp(-s)
    return 0.5 * r * r, r


@numba.njit(cache=True)
def curvatures(code, z, y, factor, out):
    """out_j = factor phi''(z_j, y_j) of the convex smooth losses, SQUARED and LOGISTIC."""
    for j in range(z.size):
        if code == LOGISTIC:
            small = math.exp(-abs(z[j]))
            out[j] = factor * small / ((1.0 + small) * (1.0 + small))
        else:
            out[j] = factor


@numba.njit(cache=True)
def divergence(code, z, centre, y):
    """sum_j phi(z_j) - phi(c_j) - phi'(c_j) (z_j - c_j) >= 0, of SQUARED and LOGISTIC, without cancellation.

    Parameters
    ----------
    z : ndarray, shape (m,)
    centre : ndarray of float64, shape (m,)
        c.
    y : ndarray, shape (m,)
    """
    total = 0.0
    for j in range(z.size):
        away = float(z[j]) - centre[j]
        if code == LOGISTIC:
            total += _logistic_divergence(float(y[j]) * centre[j], float(y[j]) * away)
        else:
            total += 0.5 * away * away
    return total


@numba.njit(cache=True)
def _logistic_divergence(at, away):
    """l(at + away) - l(at) - l'(at) away for l(t) = log(1 + e^-t).

    With w = 1/(1 + e^at) for away > 0, or 1/(1 + e^-at), this is log(1 - w + w e^-|away|) + w |away|.
    """
    small = math.exp(-abs(at))
    near, far = 1.0 / (1.0 + small), small / (1.0 + small)
    if (at > 0) == (away > 0):
        weight, rest = far, near
    else:
        weight, rest = near, far
    step = abs(away)
    if step > 1.0:
        return math.log(rest + weight * math.exp(-step)) + weight * step
    return math.log1p(weight * math.expm1(-step)) + weight * step


@numba.njit(cache=True, fastmath=FASTMATH)
def dense_gradient(code, scale, inputs, targets, rows, x, predictions, out):
    """The gradient of (1/m) sum_j phi(a_j^T x, y_j) over m rows, in one pass over them.

    Parameters
    ----------
    code, scale
        The loss.
    inputs : ndarray, shape (samples, d)
        a_j are its rows.
    targets : ndarray, shape (samples,)
    rows : ndarray of int64, shape (m,)
        Which samples.
    x, out : ndarray, shape (d,)
        ``out`` is overwritten.
    predictions : ndarray, shape (m,)
        Overwritten with z.

    Returns
    -------
    loss_sum : float
    correct : int
        How many z have the sign of y.
    """
    share = 1.0 / rows.size
    loss_sum, correct = 0.0, 0
    out[:] = 0
    for i in range(rows.size):
        a, y = inputs[rows[i]], float(targets[rows[i]])
        z = x.dtype.type(0)
        for j in range(x.size):
            z += a[j] * x[j]
        predictions[i] = z
        value, slope = value_and_slope(code, scale, float(z), y)
        loss_sum += value
        correct += (z > 0) == (y > 0)
        factor = x.dtype.type(slope * share)
        for j in range(x.size):
            out[j] += factor * a[j]
    return loss_sum, correct


@numba.njit(cache=True)
def loss_sum(code, scale, predictions, targets):
    """sum_j phi(z_j, y_j), and how many z have the sign of y."""
    total, correct = 0.0, 0
    for j in range(targets.size):
        total += value_and_slope(code, scale, float(predictions[j]), float(targets[j]))[0]
        correct += (predictions[j] > 0) == (targets[j] > 0)
    return total, correct


@numba.njit(cache=True, fastmath=FASTMATH)
def dense_products(inputs, x, out):
    """out_i = a_i^T x, summed in x's type."""
    for i in range(out.size):
        z = x.dtype.type(0)
        for j in range(x.size):
            z += inputs[i, j] * x[j]
        out[i] = z


@numba.njit(cache=True, fastmath=FASTMATH)
def add_dense_hessian_product(inputs, weights, v, out):
    """out += sum_i weights_i (a_i^T v) a_i."""
    for i in range(weights.size):
        z = v.dtype.type(0)
        for j in range(v.size):
            z += inputs[i, j] * v[j]
        z *= weights[i]
        for j in range(v.size):
            out[j] += z * inputs[i, j]


@numba.njit(cache=True)
def add_bounded_penalty(x, weight, gradient):
    """gradient += weight times the gradient of sum_j x_j^2 / (1 + x_j^2); returns that sum, in float64."""
    total = 0.0
    for j in range(x.size):
        square = float(x[j]) * float(x[j])
        total += square / (1.0 + square)
        gradient[j] += weight * 2.0 * float(x[j]) / ((1.0 + square) * (1.0 + square))
    return total


@numba.njit(cache=True)
def half_square_distance(x, centre):
    """|x - centre|^2 / 2 in float64."""
    total = 0.0
    for j in range(x.size):
        away = np.float64(x[j]) - centre[j]
        total += away * away
    return 0.5 * total
