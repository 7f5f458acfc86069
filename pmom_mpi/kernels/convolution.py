"""What a convolutional layer does besides its matrix products.

Images lie channel by channel, (channels, samples, height, width): a layer is then one matrix product of its weights with
the unfolded images, and whatever is done for a channel runs through contiguous memory.
"""

from __future__ import annotations

import numba
import numpy as np

from pmom_mpi.kernels.layers import FASTMATH

NOWHERE = 4
"""Marks a window of which no pixel is above zero, so that nothing of it has a derivative."""


@numba.njit(cache=True)
def unfold(images, kernel, columns):
    """columns[(c, u, v), (i, y, x)] = images[c, i, y + u - kernel // 2, x + v - kernel // 2], zero outside.

    Parameters
    ----------
    images : ndarray, shape (channels, m, height, width)
    kernel : int
        Odd.
    columns : ndarray, shape (channels * kernel**2, m * height * width)
        Overwritten.
    """
    channels, samples, height, width = images.shape
    half = kernel // 2
    for c in range(channels):
        for u in range(kernel):
            for v in range(kernel):
                row = columns[(c * kernel + u) * kernel + v]
                left, right = max(0, half - v), min(width, width + half - v)
                for i in range(samples):
                    for y in range(height):
                        start = (i * height + y) * width
                        source = y + u - half
                        if source < 0 or source >= height or left >= right:
                            row[start : start + width] = 0
                            continue
                        for x in range(left):
                            row[start + x] = 0
                        for x in range(left, right):
                            row[start + x] = images[c, i, source, x + v - half]
                        for x in range(right, width):
                            row[start + x] = 0


@numba.njit(cache=True)
def fold(columns, kernel, images):
    """The adjoint of `unfold`: images[c, i, y, x] is the sum of all entries of ``columns`` that it was copied to.

    Parameters
    ----------
    columns : ndarray, shape (channels * kernel**2, m * height * width)
    kernel : int
        Odd.
    images : ndarray, shape (channels, m, height, width)
        Overwritten.
    """
    channels, samples, height, width = images.shape
    half = kernel // 2
    for c in range(channels):
        images[c] = 0
        for u in range(kernel):
            for v in range(kernel):
                row = columns[(c * kernel + u) * kernel + v]
                left, right = max(0, half - v), min(width, width + half - v)
                for i in range(samples):
                    for y in range(max(0, half - u), min(height, height + half - u)):
                        start = (i * height + y) * width
                        for x in range(left, right):
                            images[c, i, y + u - half, x + v - half] += row[start + x]


@numba.njit(cache=True, fastmath=FASTMATH)
def bias_relu_pool(z, bias, pooled, winner):
    """pooled = the largest of max(z + bias, 0) in each window of 2 x 2 pixels; a NaN in the window stays NaN.

    A last row or column of odd sizes is left out, as PyTorch's MaxPool2d(2) does.

    Parameters
    ----------
    z : ndarray, shape (channels, m, height, width)
    bias : ndarray, shape (channels,)
    pooled : ndarray, shape (channels, m, height // 2, width // 2)
        Overwritten.
    winner : ndarray of uint8, shape of ``pooled``
        Set to the place 0..3 of the largest pixel in its window, the first of equals, or `NOWHERE`.
    """
    zero = z.dtype.type(0)
    channels, samples, rows, columns = pooled.shape
    for c in range(channels):
        for i in range(samples):
            for y in range(rows):
                for x in range(columns):
                    best, place = z[c, i, 2 * y, 2 * x], 0
                    for other in range(1, 4):
                        value = z[c, i, 2 * y + other // 2, 2 * x + other % 2]
                        if value > best or value != value:
                            best, place = value, other
                    best += bias[c]
                    inactive = best <= zero  # false for NaN, which must reach the loss
                    pooled[c, i, y, x] = zero if inactive else best
                    winner[c, i, y, x] = NOWHERE if inactive else place


@numba.njit(cache=True, fastmath=FASTMATH)
def bias_relu_pool_backward(delta, winner, z, bias_gradient):
    """The derivative with respect to what `bias_relu_pool` was given, from that with respect to what it made.

    Parameters
    ----------
    delta : ndarray, shape (channels, m, height // 2, width // 2)
    winner : ndarray of uint8, shape of ``delta``
    z : ndarray, shape (channels, m, height, width)
        Overwritten with the derivative with respect to it.
    bias_gradient : ndarray, shape (channels,)
        Overwritten.
    """
    channels, samples, rows, columns = delta.shape
    for c in range(channels):
        z[c] = 0
        total = np.float64(0)
        for i in range(samples):
            for y in range(rows):
                for x in range(columns):
                    place = winner[c, i, y, x]
                    if place != NOWHERE:
                        z[c, i, 2 * y + place // 2, 2 * x + place % 2] = delta[c, i, y, x]
                        total += delta[c, i, y, x]
        bias_gradient[c] = total
