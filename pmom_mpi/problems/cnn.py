"""Convolutional networks: (convolution, ReLU, pooling) a few times, then dense layers and softmax cross-entropy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from pmom_mpi.kernels.layers import add_l2
from pmom_mpi.networks.convolution import TILE, Convolution, cut
from pmom_mpi.networks.dense import DIVERGING, DenseLayers
from pmom_mpi.networks.initialize import initialize
from pmom_mpi.networks.stacked import dense_layout
from pmom_mpi.problems.base import Context
from pmom_mpi.problems.finite_sum import FiniteSum
from pmom_mpi.problems.mlp import Initialization, Weight, Width
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout


def _odd(kernel: int) -> int:
    if kernel % 2 == 0:
        raise ValueError("must be odd, so that an image keeps its size")
    return kernel


@dataclass
class CNN(FiniteSum):
    """Mean softmax cross-entropy of a small convolutional network, plus l2/2 |x|^2.

    Each of ``channels`` is one convolution (stride 1, zero padding that keeps the size), ReLU, and the maximum over
    windows of 2 x 2 pixels; dense layers with ReLU between them follow. The flat vector holds weight (out, in, kernel,
    kernel) and bias of each convolution, then weight (out, in) and bias of each dense layer: the order of PyTorch's
    ``parameters()`` for Conv2d, ReLU, MaxPool2d(2), ..., Flatten, Linear, ....

    Parameters
    ----------
    channels : tuple of int
        Output channels of each convolution.
    kernel : odd int
        Height and width of the filters.
    hidden : tuple of int
        Widths of the hidden dense layers.
    image : (channels, height, width), optional
        The shape of a sample whose numbers lie in this order; by default that of the data set, or, where samples
        are plain vectors, a square grey image.
    init : str
        One of `pmom_mpi.networks.initialize.INITIALIZERS`.
    l2 : float
        The weight of 1/2 |x|^2 beside the loss.
    """

    learns = "classes"
    channels: Annotated[tuple[Width, ...], Field(min_length=1)] = (16, 32)
    kernel: Annotated[int, Field(ge=1), AfterValidator(_odd)] = 5
    hidden: tuple[Width, ...] = (128,)
    image: tuple[Width, Width, Width] | None = None
    init: Initialization = "pytorch"
    l2: Weight = 0.0

    def setup(self, context: Context) -> None:
        if context.data is not None:
            self._sample_shape = context.data.image_shape()
        super().setup(context)
        self.allocate(context.dtype)

    def shape(self, features: int, classes: int | None) -> Layout:
        shape = self._input_shape(features)
        names: list[str] = []
        shapes: list[tuple[int, ...]] = []
        self._shapes = [shape]
        for stage, out in enumerate(self.channels, start=1):
            names += [f"filters{stage}", f"offsets{stage}"]
            shapes += [(out, shape[0], self.kernel, self.kernel), (out,)]
            shape = (out, shape[1] // 2, shape[2] // 2)
            self._shapes.append(shape)
        if 0 in shape:
            raise UserError(
                f"problem.channels: {len(self.channels)} halvings leave nothing of {self._shapes[0][1]} x "
                f"{self._shapes[0][2]} pixels; use fewer convolutions"
            )
        assert classes is not None, "FiniteSum.setup has looked"
        self._head_layout = dense_layout((math.prod(shape), *self.hidden, classes))
        self._dense = sum(math.prod(s) for s in shapes)
        return Layout((*names, *self._head_layout.names), (*shapes, *self._head_layout.shapes))

    def _input_shape(self, features: int) -> tuple[int, int, int]:
        shape: tuple[int, ...] = self.image or self._sample_shape
        if len(shape) == 1:
            shape = (math.isqrt(features),) * 2
        if len(shape) == 2:
            shape = (1, *shape)
        if len(shape) != 3 or math.prod(shape) != features:
            raise UserError(
                f"problem.image: samples of {features} numbers are not images of shape {shape}; "
                "give [channels, height, width]"
            )
        return shape[0], shape[1], shape[2]

    def allocate(self, dtype: np.dtype) -> None:
        """All buffers, for a tile of samples."""
        self._head = DenseLayers(self._head_layout, dtype)
        self._stages = [
            Convolution.make(shape, out, self.kernel, dtype)
            for shape, out in zip(self._shapes[:-1], self.channels, strict=True)
        ]
        features = math.prod(self._shapes[-1])
        self._images = np.empty(TILE * math.prod(self._shapes[0]), dtype)
        self._features = np.empty((TILE, features), dtype)
        self._part = np.empty(self.layout.dimension, dtype)

    def initial_point(self) -> np.ndarray:
        return initialize(self.init, self.layout, self.context.seed, self.context.dtype)

    @DIVERGING
    def batch_gradient(
        self, x: np.ndarray, inputs: np.ndarray, targets: np.ndarray, out: np.ndarray
    ) -> tuple[float, float]:
        """Mean loss and accuracy; tiles add up in their order, weighted by their samples."""
        loss = accuracy = 0.0
        for tile in _tiles(len(targets)):
            part = out if tile.start == 0 else self._part
            share = len(targets[tile]) / len(targets)
            tile_loss, tile_accuracy = self._tile_gradient(x, inputs[tile], targets[tile], part)
            loss += share * tile_loss
            accuracy += share * tile_accuracy
            if share < 1:
                part *= x.dtype.type(share)
            if part is not out:
                out += part
        if self.l2:
            loss += 0.5 * self.l2 * add_l2(x, x.dtype.type(self.l2), out)
        return loss, accuracy

    @DIVERGING
    def batch_evaluate(self, x: np.ndarray, inputs: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
        """Summed loss (the l2 term once a sample) and the number of samples classified correctly."""
        loss = correct = 0.0
        for tile in _tiles(len(targets)):
            found = self._head.sums(x[self._dense :], self._forward(x, inputs[tile]), targets[tile])
            loss, correct = loss + found[0], correct + found[1]
        if self.l2:
            loss += len(targets) * 0.5 * self.l2 * float(np.dot(x, x))
        return loss, correct

    def _tile_gradient(
        self, x: np.ndarray, inputs: np.ndarray, targets: np.ndarray, out: np.ndarray
    ) -> tuple[float, float]:
        """Mean loss over the tile and accuracy; its gradient overwrites ``out``."""
        samples, tensors, gradients = len(targets), self.layout.views(x), self.layout.views(out)
        features = self._forward(x, inputs)
        (loss, accuracy), delta = self._head.differentiate(x[self._dense :], features, targets, out[self._dense :])
        # What went through a layer is no longer needed: derivatives take its place.
        np.matmul(delta, tensors[2 * len(self._stages)], out=features)
        pooled = [stage.views(samples)[2] for stage in self._stages]
        pooled[-1][...] = features.reshape(samples, *self._shapes[-1]).transpose(1, 0, 2, 3)
        for place in reversed(range(len(self._stages))):
            pair = gradients[2 * place], gradients[2 * place + 1]
            self._stages[place].backward(pooled[place], tensors[2 * place], pair, pooled[place - 1] if place else None)
        return loss, accuracy

    def _forward(self, x: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """What the dense layers see of a tile: (samples, features)."""
        tensors = self.layout.views(x)
        channels, height, width = self._shapes[0]
        images = cut(self._images, (channels, len(inputs), height, width))
        images[...] = inputs.reshape(len(inputs), *self._shapes[0]).transpose(1, 0, 2, 3)
        for place, stage in enumerate(self._stages):
            images = stage.forward(images, tensors[2 * place], tensors[2 * place + 1])
        features = self._features[: len(inputs)]
        features.reshape(len(inputs), *self._shapes[-1])[...] = images.transpose(1, 0, 2, 3)
        return features


def _tiles(samples: int) -> Iterator[slice]:
    for start in range(0, samples, TILE):
        yield slice(start, min(start + TILE, samples))
