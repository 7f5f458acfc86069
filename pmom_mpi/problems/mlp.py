"""Multilayer perceptrons: ReLU between dense layers, softmax cross-entropy at the end."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from pmom_mpi.kernels.layers import add_bias_relu, add_l2, relu_backward
from pmom_mpi.kernels.losses import softmax_cross_entropy, softmax_cross_entropy_gradient
from pmom_mpi.kernels.per_sample import add_squared_norms, clip_factors, scale_rows
from pmom_mpi.networks.initialize import initialize
from pmom_mpi.networks.narrow import Narrow, narrowed
from pmom_mpi.problems.base import Context
from pmom_mpi.problems.finite_sum import FiniteSum, grown
from pmom_mpi.words.layout import Layout

Initialization = Literal["pytorch", "glorot", "he", "zeros"]
Width = Annotated[int, Field(gt=0)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]

# A run that diverges shows in its loss; numpy need not warn on every rank as well.
_DIVERGING = np.errstate(over="ignore", invalid="ignore")


class DenseNetwork(FiniteSum):
    """Mean softmax cross-entropy of dense layers with ReLU between them, plus l2/2 |x|^2.

    a_0 = inputs, a_l = max(a_{l-1} W_l^T + b_l, 0), logits = a_{L-1} W_L^T + b_L. The flat vector holds W_1 (out, in),
    b_1, W_2, b_2, ..., the order of PyTorch's ``parameters()``. Reported losses, of training and test, include the
    l2 term: they are values of the function that is minimised.

    Inputs of `batch_gradient` and `batch_evaluate` may be `Narrow`. A subclass that wants arrays overrides `arrange`.
    """

    learns = "classes"
    hidden: tuple[Width, ...]
    init: Initialization
    l2: Weight
    clips_samples: ClassVar[bool] = True
    _clip: float | None = None

    def shape(self, features: int, classes: int | None) -> Layout:
        assert classes is not None, "FiniteSum.setup has looked"
        widths = (features, *self.hidden, classes)
        names: list[str] = []
        shapes: list[tuple[int, ...]] = []
        for layer, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
            names += [f"weight{layer}", f"bias{layer}"]
            shapes += [(fan_out, fan_in), (fan_out,)]
        return Layout(tuple(names), tuple(shapes))

    def setup(self, context: Context) -> None:
        super().setup(context)
        self.allocate(context.dtype)
        self._clip = context.clip_samples
        if self._clip is not None:
            self.metrics = (*DenseNetwork.metrics, "samples_clipped")

    def allocate(self, dtype: np.dtype) -> None:
        """Empty buffers for activations and their derivatives, which grow with the largest batch seen, and one for the
        part of the first weight, then of its gradient, that belongs to features that vary.
        """
        outputs = [shape[0] for shape in self.layout.shapes[1::2]]
        self._outputs = [np.empty((0, width), dtype) for width in outputs]
        self._deltas = [np.empty((0, width), dtype) for width in outputs[:-1]]
        self._part = np.empty(self.layout.shapes[0], dtype)

    def arrange(self, inputs: np.ndarray) -> np.ndarray | Narrow:
        # Without hidden layers the loss adds the bias, and a clipped sample needs its whole norm.
        return narrowed(inputs) if self.hidden and self.context.clip_samples is None else inputs

    def initial_point(self) -> np.ndarray:
        return initialize(self.init, self.layout, self.context.seed, self.context.dtype)

    @_DIVERGING
    def batch_gradient(
        self, x: np.ndarray, inputs: np.ndarray | Narrow, targets: np.ndarray, out: np.ndarray
    ) -> tuple[float, ...]:
        """Mean loss and accuracy; where samples are clipped, also the fraction of those that were.

        The l2 term is added unclipped.
        """
        (loss, *others), _ = self.differentiate(x, inputs, targets, out)
        if self.l2:
            loss += 0.5 * self.l2 * add_l2(x, x.dtype.type(self.l2), out)
        return loss, *others

    def differentiate(
        self, x: np.ndarray, inputs: np.ndarray | Narrow, targets: np.ndarray, out: np.ndarray
    ) -> tuple[tuple[float, ...], np.ndarray]:
        """What `batch_gradient` does but for the l2 term; also the derivative with respect to a_0 W_1^T + b_1.

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

    @_DIVERGING
    def batch_evaluate(self, x: np.ndarray, inputs: np.ndarray | Narrow, targets: np.ndarray) -> tuple[float, float]:
        """Summed loss (the l2 term once a sample) and the number of samples classified correctly."""
        logits = self._forward(x, inputs)[-1]
        loss, correct = softmax_cross_entropy(logits, self.layout.views(x)[-1], targets)
        if self.l2:
            loss += len(targets) * 0.5 * self.l2 * float(np.dot(x, x))
        return loss, float(correct)

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


@dataclass
class MLP(DenseNetwork):
    """A multilayer perceptron; ``hidden`` are the widths of its hidden layers."""

    hidden: tuple[Width, ...] = (512, 512)
    init: Initialization = "pytorch"
    l2: Weight = 0.0
