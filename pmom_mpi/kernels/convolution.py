"""What a convolutional layer does besides its matrix products.

Images lie channel by channel, (channels, samples, height, width): a layer is then one matrix product of its weights
with the unfolded images, and whatever is done for a channel runs through contiguous memory.
"""

from __future__ import annotations

import numba
import numpy as np

from pmom_mpi.kernels.layers import FASTMATH

NOWHERE = 4
"""Marks a window of which no pixel is above zero, so that nothing of it has a derivative."""


@numba.njit(cache=True)
def _overlap(size, offset):
    """The range of p in range(size) for which p + offset is in it too."""
    return min(size, max(0, -offset)), max(0, min(size, size - offset))


@numba.njit(cache=True)
def _clear_outside(pixels, dy, dx):
    """Zero what stands for pixels outside of their image in ``pixels`` (m, height, width), an image moved by dy, dx."""
    samples, height, width = pixels.shape
    top, bottom = _overlap(height, dy)
    left, right = _overlap(width, dx)
    for i in range(samples):
        if dy != 0:
            pixels[i, :top] = 0
            pixels[i, bottom:] = 0
        if dx != 0:
            for y in range(height):
                for x in range(left):
                    pixels[i, y, x] = 0
                for x in range(right, width):
                    pixels[i, y, x] = 0


@numba.njit(cache=True)
def unfold(images, kernel, columns):
    """columns[(c, u, v), (i, y, x)] = images[c, i, y + u - kernel // 2, x + v - kernel // 2], zero outside.

    A channel of all images is copied as a whole, moved by some rows and pixels; then the images' margins are cleared.

    Parameters
    ----------
    images : ndarray, shape (channels, m, height, width), contiguous
    kernel : int
        Odd.
    columns : ndarray, shape (channels * kernel**2, m * height * width), contiguous
        Overwritten.
    """
    channels, samples, height, width = images.shape
    flat = images.reshape(channels, samples * height * width)
    for c in range(channels):
        for u in range(kernel):
            for v in range(kernel):
                dy, dx = u - kernel // 2, v - kernel // 2
                row = columns[(c * kernel + u) * kernel + v]
                start, stop = _overlap(row.size, dy * width + dx)
                source, target = flat[c, start + dy * width + dx :], row[start:stop]
                for p in range(target.size):
                    target[p] = source[p]
                _clear_outside(row.reshape(samples, height, width), dy, dx)


@numba.njit(cache=True)
def fold(columns, kernel, images):
    """The adjoint of `unfold`: images[c, i, y, x] is the sum of all entries of ``columns`` that it was copied to.

    Parameters
    ----------
    columns : ndarray, shape (channels * kernel**2, m * height * width), contiguous
        What stands for pixels outside is set to zero.
    kernel : int
        Odd.
    images : ndarray, shape (channels, m, height, width), contiguous
        Overwritten.
    """
    channels, samples, height, width = images.shape
    flat = images.reshape(channels, samples * height * width)
    images[...] = 0
    for c in range(channels):
        for u in range(kernel):
            for v in range(kernel):
                dy, dx = u - kernel // 2, v - kernel // 2
                row = columns[(c * kernel + u) * kernel + v]
                _clear_outside(row.reshape(samples, height, width), dy, dx)
                start, stop = _overlap(row.size, dy * width + dx)
                source, target = row[start:stop], flat[c, start + dy * width + dx :]
                for p in range(source.size):
                    target[p] += source[p]


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
