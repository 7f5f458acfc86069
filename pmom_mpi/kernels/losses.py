"""Softmax cross-entropy, summed in float64, with its gradient in the same pass."""

from __future__ import annotations

import math

import numba

from pmom_mpi.kernels.layers import FASTMATH


@numba.njit(cache=True, fastmath=FASTMATH)
def _exponentials(row, bias):
    """row_j = exp(row_j + bias_j - top) in place, top = max_j (row_j + bias_j).

    Returns top, the first index that reaches it, and the exponentials' sum in float64. A NaN anywhere in the row
    makes the sum NaN.
    """
    best = 0
    row[0] += bias[0]
    for j in range(1, row.size):
        row[j] += bias[j]
        if row[j] > row[best]:
            best = j
    top = row[best]
    total = 0.0
    for j in range(row.size):
        row[j] = math.exp(row[j] - top)
        total += row[j]
    return top, best, total


@numba.njit(cache=True, fastmath=FASTMATH)
def softmax_cross_entropy(logits, bias, targets):
    """sum_i -log softmax(logits_i + bias)[targets_i], and how many rows have their largest entry at their target.

    Parameters
    ----------
    logits : ndarray, shape (m, classes)
        Overwritten.
    bias : ndarray, shape (classes,)
    targets : ndarray of int, shape (m,)
        Each in [0, classes): not checked here.

    Returns
    -------
    loss_sum : float
    correct : int
    """
    loss_sum = 0.0
    correct = 0
    for i in range(targets.size):
        at_target = logits[i, targets[i]] + bias[targets[i]]
        top, best, total = _exponentials(logits[i], bias)
        loss_sum += math.log(total) + (float(top) - float(at_target))
        correct += best == targets[i]
    return loss_sum, correct


@numba.njit(cache=True, fastmath=FASTMATH)
def softmax_cross_entropy_gradient(logits, bias, targets, bias_gradient):
    """As `softmax_cross_entropy`; ``logits`` become the derivative of the *mean* loss with respect to them.

    Parameters
    ----------
    logits : ndarray, shape (m, classes)
    bias : ndarray, shape (classes,)
    targets : ndarray of int, shape (m,)
    bias_gradient : ndarray, shape (classes,)
        Set to the derivative's column sums.

    Returns
    -------
    loss_sum : float
    correct : int
    """
    share = 1.0 / targets.size
    loss_sum = 0.0
    correct = 0
    bias_gradient[:] = 0
    for i in range(targets.size):
        row = logits[i]
        at_target = row[targets[i]] + bias[targets[i]]
        top, best, total = _exponentials(row, bias)
        loss_sum += math.log(total) + (float(top) - float(at_target))
        correct += best == targets[i]
        scale = logits.dtype.type(share / total)
        for j in range(row.size):
            row[j] *= scale
        row[targets[i]] -= logits.dtype.type(share)
        for j in range(row.size):
            bias_gradient[j] += row[j]
    return loss_sum, correct
