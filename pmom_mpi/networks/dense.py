"""Dense layers with ReLU between them and softmax cross-entropy at the end: values, gradients, clipped samples."""

from __future__ import annotations

import numpy as np

from pmom_mpi.kernels.layers import add_bias_relu, relu_backward
from pmom_mpi.kernels.losses import softmax_cross_entropy, softmax_cross_entropy_gradient
from pmom_mpi.kernels.per_sample import add_squared_norms, clip_factors, scale_rows
from pmom_mpi.networks.narrow import Narrow
from pmom_mpi.words.layout import Layout

DIVERGING = np.errstate(over="ignore", invalid="ignore")
"""A run that diverges shows in its loss; numpy need not warn on every rank as well."""


class DenseLayers:
    """a_0 = inputs, a_l = max(a_{l-1} W_l^T + b_l, 0), logits = a_{L-1} W_L^T + b_L, with buffers for a batch.

    Buffers of activations and their derivatives grow with the largest batch seen; one holds the part of the first
    weight, then of its gradient, that belongs to features that vary.

    Parameters
    ----------
    layout : Layout
        Weight (out, in) and bias (out,) of each layer.
    dtype : numpy dtype
        Of parameters, inputs and gradients.
    clip : float, optional
        The norm to which every sample's gradient is clipped.
    """

    def __init__(self, layout: Layout, dtype: np.dtype, clip: float | None = None) -> None:
        self.layout = layout
        self._clip = clip
        widths = [shape[0] for shape in layout.shapes[1::2]]
        self._outputs = [np.empty((0, width), dtype) for width in widths]
        self._deltas = [np.empty((0, width), dtype) for width in widths[:-1]]
        self._part = np.empty(layout.shapes[0], dtype)

    def differentiate(
        self, x: np.ndarray, inputs: np.ndarray | Narrow, targets: np.ndarray, out: np.ndarray
    ) -> tuple[tuple[float, ...], np.ndarray]:
        """Mean loss, accuracy and, where samples are clipped, the fraction of those that were.

        The gradient overwrites ``out``. Also returns the derivative with respect to a_0 W_1^T + b_1.

        The weights' gradients are written by the matrix products straight into ``out``, but for the first layer's of
        `Narrow` inputs.
        """
        samples = len(targets)
        gradients = self.layout.views(out)
        *activations, delta = self._forward(x, inputs)
        loss, correct = softmax_cross_entropy_gradient(delta, self.layout.views(x)[-1], targets, gradients[-1])
        deltas = self._backward(x, activations, delta, gradients)
        clipped = () if self._clip is None else (self._clip_samples(activations, deltas, gradients),)
        for layer, delta in enumerate(deltas):
            if layer == 0 and isinstance(inputs, Narrow):
                inputs.weight_gradient(delta, gradients[1], self._part, gradients[0])
            else:
                np.matmul(delta.T, activations[layer], out=gradients[2 * layer])
        return (loss / samples, correct / samples, *clipped), deltas[0]

    def sums(self, x: np.ndarray, inputs: np.ndarray | Narrow, targets: np.ndarray) -> tuple[float, int]:
        """Summed loss and the number of samples classified correctly."""
        logits = self._forward(x, inputs)[-1]
        return softmax_cross_entropy(logits, self.layout.views(x)[-1], targets)

    def _backward(
        self, x: np.ndarray, activations: list[np.ndarray], delta: np.ndarray, gradients: list[np.ndarray]
    ) -> list[np.ndarray]:
        """The mean loss's derivatives with respect to every layer's outputs; the biases' gradients on the way."""
        weights = self.layout.views(x)[::2]
        deltas = [delta]
        for layer in reversed(range(1, len(weights))):
            self._deltas[layer - 1] = grown(self._deltas[layer - 1], len(delta))
            delta = np.matmul(delta, weights[layer], out=self._deltas[layer - 1][: len(delta)])
            relu_backward(delta, activations[layer], gradients[2 * layer - 1])
            deltas.insert(0, delta)
        return deltas

    def _clip_samples(
        self, activations: list[np.ndarray], deltas: list[np.ndarray], gradients: list[np.ndarray]
    ) -> float:
        """Scale every sample's derivatives to those of its clipped gradient; the fraction of samples that were."""
        assert self._clip is not None
        samples = len(deltas[0])
        factors = np.zeros(samples)
        for activation, delta in zip(activations, deltas, strict=True):
            add_squared_norms(activation, delta, factors)
        clipped = clip_factors(factors, self._clip / samples, factors)
        for delta, bias_gradient in zip(deltas, gradients[1::2], strict=True):
            scale_rows(delta, factors, bias_gradient)
        return clipped / samples

    def _forward(self, x: np.ndarray, inputs: np.ndarray | Narrow) -> list[np.ndarray]:
        """The inputs' values, every layer's activations, and last the logits still without their bias."""
        tensors = self.layout.views(x)
        weights, biases = tensors[::2], tensors[1::2]
        if isinstance(inputs, Narrow):
            weights[0], biases[0] = inputs.fold(weights[0], biases[0], self._part)
            inputs = inputs.values
        values = [inputs]
        for layer, weight in enumerate(weights):
            self._outputs[layer] = grown(self._outputs[layer], len(inputs))
            values.append(np.matmul(values[-1], weight.T, out=self._outputs[layer][: len(inputs)]))
            if layer < len(weights) - 1:
                add_bias_relu(values[-1], biases[layer])
        return values


def grown(buffer: np.ndarray, rows: int) -> np.ndarray:
    """``buffer`` if it has so many rows, else a new one that has; contents are undefined."""
    return buffer if len(buffer) >= rows else np.empty((rows, *buffer.shape[1:]), buffer.dtype)
