"""A convolution with its ReLU and pooling, on a tile of samples at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pmom_mpi.kernels.convolution import bias_relu_pool, bias_relu_pool_backward, fold, unfold

TILE = 16
"""Samples that go through the network at once: their unfolded images stay near the core, however large the batch."""


@dataclass(frozen=True)
class Convolution:
    """One convolution with its ReLU and pooling, and its memory for a tile.

    Attributes
    ----------
    shape : tuple of int
        Channels, height and width of the images that come in.
    out : int
        Channels of the images that go out; they are half as high and wide.
    kernel : int
    columns, z, pooled, winner : ndarray
        Flat; `views` cuts them to the number of samples.
    """

    shape: tuple[int, int, int]
    out: int
    kernel: int
    columns: np.ndarray
    z: np.ndarray
    pooled: np.ndarray
    winner: np.ndarray

    @classmethod
    def make(cls, shape: tuple[int, int, int], out: int, kernel: int, dtype: np.dtype) -> Convolution:
        channels, height, width = shape
        pixels, pooled = TILE * height * width, out * TILE * (height // 2) * (width // 2)
        return cls(
            shape, out, kernel, np.empty(channels * kernel**2 * pixels, dtype), np.empty(out * pixels, dtype),
            np.empty(pooled, dtype), np.empty(pooled, np.uint8),
        )  # fmt: skip

    def views(self, samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """columns (in * kernel^2, pixels), z, pooled and winner (channels, samples, height, width)."""
        channels, height, width = self.shape
        images, small = (self.out, samples, height, width), (self.out, samples, height // 2, width // 2)
        columns = (channels * self.kernel**2, samples * height * width)
        return (
            cut(self.columns, columns), cut(self.z, images), cut(self.pooled, small), cut(self.winner, small)
        )  # fmt: skip

    def forward(self, images: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        """What comes out of ``images`` (channels, samples, height, width)."""
        columns, z, pooled, winner = self.views(images.shape[1])
        unfold(images, self.kernel, columns)
        np.matmul(weight.reshape(self.out, -1), columns, out=z.reshape(self.out, -1))
        bias_relu_pool(z, bias, pooled, winner)
        return pooled

    def backward(
        self, delta: np.ndarray, weight: np.ndarray, gradients: tuple[np.ndarray, np.ndarray], images: np.ndarray | None
    ) -> None:
        """From the derivative with respect to what came out, write the gradients of weight and bias.

        ``images`` becomes the derivative with respect to what came in; None when nobody needs it.
        """
        columns, z, _, winner = self.views(delta.shape[1])
        bias_relu_pool_backward(delta, winner, z, gradients[1])
        dz = z.reshape(self.out, -1)
        np.matmul(dz, columns.T, out=gradients[0].reshape(self.out, -1))
        if images is not None:
            np.matmul(weight.reshape(self.out, -1).T, dz, out=columns)
            fold(columns, self.kernel, images)


def cut(flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The beginning of a flat buffer as an array of this shape."""
    return flat[: math.prod(shape)].reshape(shape)
