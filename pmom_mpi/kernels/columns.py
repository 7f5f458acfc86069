"""A dense layer on samples some of whose features are constant: what these contribute, without a matrix product."""

from __future__ import annotations

import numba

from pmom_mpi.kernels.layers import FASTMATH


@numba.njit(cache=True, fastmath=FASTMATH)
def fold_constants(weight, varying, constant, values, bias, part, folded):
    """Split W a + b into ``part`` times the varying features plus ``folded``.

    Parameters
    ----------
    weight : ndarray, shape (out, features)
    varying, constant : ndarray of uint32, shapes (v,) and (c,)
        Columns, each below ``features``: not checked here.
    values : ndarray, shape (c,)
        What the constant features are.
    bias : ndarray, shape (out,)
    part : ndarray, shape (out, v)
        Set to the varying columns of ``weight``.
    folded : ndarray, shape (out,)
        Set to the bias plus the constant columns times ``values``, summed in float64.
    """
    for i in range(bias.size):
        row = weight[i]
        for j in range(varying.size):
            part[i, j] = row[varying[j]]
        total = float(bias[i])
        for j in range(constant.size):
            total += float(row[constant[j]]) * float(values[j])
        folded[i] = total


@numba.njit(cache=True, fastmath=FASTMATH)
def unfold_gradient(part, varying, constant, values, bias_gradient, out):
    """The gradient of the whole weight: ``part`` in the varying columns, bias_gradient times ``values`` in the others.

    Parameters
    ----------
    part : ndarray, shape (out, v)
        The gradient of the varying columns.
    varying, constant, values
        As in `fold_constants`.
    bias_gradient : ndarray, shape (out,)
    out : ndarray, shape (out, features)
    """
    for i in range(bias_gradient.size):
        row = out[i]
        for j in range(varying.size):
            row[varying[j]] = part[i, j]
        for j in range(constant.size):
            row[constant[j]] = bias_gradient[i] * values[j]
