"""One small dense network evaluated at many parameter vectors at once: losses, gradients, Hessian-vector products.

Meta-learning adapts the network to every task separately, so that each task has parameters of its own. Everything here
therefore carries a leading axis of T tasks, and a dense layer is one stacked matrix product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from pmom_mpi.words.layout import Layout

ActivationName = Literal["relu", "tanh", "softplus"]


class Activation(NamedTuple):
    """sigma, and its first two derivatives written in terms of a = sigma(z), so that z need not be kept."""

    value: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    curvature: Callable[[np.ndarray], np.ndarray] | None
    """None: zero wherever it exists."""


ACTIVATIONS = {
    "relu": Activation(lambda z: np.maximum(z, 0), lambda a: a > 0, None),
    "tanh": Activation(np.tanh, lambda a: 1 - a * a, lambda a: -2 * a * (1 - a * a)),
    "softplus": Activation(
        lambda z: np.logaddexp(z, z.dtype.type(0)), lambda a: -np.expm1(-a), lambda a: -np.expm1(-a) * np.exp(-a)
    ),
}


class Loss(Protocol):
    """A mean loss over each task's samples, as a function of the network's outputs z (T, m, width)."""

    def derivative(self, outputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Losses (T,), d loss/dz (T, m, width), and what `curvature` needs."""

    def curvature(self, kept: Any, direction: np.ndarray) -> np.ndarray:
        """(d^2 loss/dz^2) direction, both (T, m, width)."""


class SquaredError:
    """Mean of (z - target)^2 over samples and outputs."""

    def derivative(self, outputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray, None]:
        residual = outputs - targets
        losses = np.einsum("tmj,tmj->t", residual, residual, dtype=np.float64) / residual[0].size
        return losses, residual * (2 / residual[0].size), None

    def curvature(self, kept: Any, direction: np.ndarray) -> np.ndarray:
        return direction * (2 / direction[0].size)


class CrossEntropy:
    """Mean of -log softmax(z)[target] over samples; targets are class numbers (T, m)."""

    def derivative(self, outputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        shifted = outputs - outputs.max(axis=-1, keepdims=True)
        exponentials = np.exp(shifted)
        totals = exponentials.sum(axis=-1, keepdims=True)
        at_target = np.take_along_axis(shifted, targets[..., None], axis=-1)
        losses = (np.log(totals) - at_target).mean(axis=(1, 2), dtype=np.float64)
        probabilities = exponentials / totals
        delta = probabilities.copy()
        np.put_along_axis(delta, targets[..., None], np.take_along_axis(delta, targets[..., None], -1) - 1, -1)
        return losses, delta / outputs.shape[1], probabilities

    def curvature(self, kept: Any, direction: np.ndarray) -> np.ndarray:
        weighted = kept * direction
        return (weighted - kept * weighted.sum(axis=-1, keepdims=True)) / direction.shape[1]


class Tape(NamedTuple):
    """What a gradient leaves behind for Hessian-vector products at the same point; lists run over layers."""

    weights: list[np.ndarray]
    activations: list[np.ndarray]
    """The inputs, every hidden layer's activations, and last the outputs."""
    deltas: list[np.ndarray]
    """Derivatives of the loss with respect to what each layer's activation was given."""
    kept: np.ndarray | None


def dense_layout(widths: tuple[int, ...]) -> Layout:
    """Weight (out, in) and bias (out,) of every layer, the order of PyTorch's ``parameters()``."""
    names: list[str] = []
    shapes: list[tuple[int, ...]] = []
    for layer, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
        names += [f"weight{layer}", f"bias{layer}"]
        shapes += [(fan_out, fan_in), (fan_out,)]
    return Layout(tuple(names), tuple(shapes))


@dataclass(frozen=True)
class StackedNetwork:
    """a_0 = inputs, a_l = sigma(a_{l-1} W_l^T + b_l), outputs z = a_{L-1} W_L^T + b_L, for T tasks at once.

    Everywhere ``params`` has shape (T, d), or (1, d) when all tasks still share one point; ``inputs`` (T, m, features);
    ``targets`` as the loss wants them.
    """

    layout: Layout
    activation: ActivationName
    loss: Loss

    def outputs(self, params: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """z, shape (T, m, width)."""
        return self._forward(self._stacked(params), inputs)[-1]

    def gradient(
        self, params: np.ndarray, inputs: np.ndarray, targets: np.ndarray, out: np.ndarray
    ) -> tuple[np.ndarray, Tape]:
        """Write every task's gradient into ``out`` (T, d); return the losses (T,) and the tape."""
        tensors, gradients = self._stacked(params), self._stacked(out)
        slope = ACTIVATIONS[self.activation].slope
        activations = self._forward(tensors, inputs)
        losses, delta, kept = self.loss.derivative(activations[-1], targets)
        weights, deltas = tensors[::2], [delta]
        for layer in reversed(range(len(weights))):
            np.matmul(_transposed(delta), activations[layer], out=gradients[2 * layer])
            delta.sum(axis=1, out=gradients[2 * layer + 1])
            if layer:
                delta = delta @ weights[layer]
                delta *= slope(activations[layer])
                deltas.insert(0, delta)
        return losses, Tape(weights, activations, deltas, kept)

    def hessian_vector(self, tape: Tape, vector: np.ndarray, out: np.ndarray) -> None:
        """Write H_t v_t for every task into ``out``; ``vector`` and ``out`` have shape (T, d).

        Pearlmutter (1994): every quantity q of the gradient's forward and backward pass is accompanied by
        R q = d/dr q(params + r v) at r = 0, here the variables with an ``r``.
        """
        sigma = ACTIVATIONS[self.activation]
        weights, activations, deltas, kept = tape
        tensors, products = self._stacked(vector), self._stacked(out)
        directions, bias_directions = tensors[::2], tensors[1::2]
        last = len(weights) - 1
        inner: list[np.ndarray] = []
        r_activations: list[Any] = [None]  # the inputs do not depend on the parameters
        for layer in range(last + 1):
            rz = activations[layer] @ _transposed(directions[layer])
            rz += bias_directions[layer][:, None]
            if layer:
                rz += r_activations[layer] @ _transposed(weights[layer])
            inner.append(rz)
            if layer < last:
                r_activations.append(rz * sigma.slope(activations[layer + 1]))
        r_delta = self.loss.curvature(kept, inner[last])
        for layer in reversed(range(last + 1)):
            r_delta.sum(axis=1, out=products[2 * layer + 1])
            if not layer:
                np.matmul(_transposed(r_delta), activations[0], out=products[0])
            else:
                # r_delta^T a + delta^T r_a as one product: no temporary array of the weights' size.
                left = np.concatenate((r_delta, deltas[layer]), axis=1)
                right = np.concatenate((activations[layer], r_activations[layer]), axis=1)
                np.matmul(_transposed(left), right, out=products[2 * layer])
                r_back = r_delta @ weights[layer]
                r_back += deltas[layer] @ directions[layer]
                r_delta = r_back * sigma.slope(activations[layer])
                if sigma.curvature is not None:
                    back = deltas[layer] @ weights[layer]
                    r_delta += back * sigma.curvature(activations[layer]) * inner[layer - 1]

    def _stacked(self, params: np.ndarray) -> list[np.ndarray]:
        """Views of the tensors with the leading axis of tasks."""
        bounds = self.layout.offsets
        return [params[:, bounds[t] : bounds[t + 1]].reshape(-1, *shape) for t, shape in enumerate(self.layout.shapes)]

    def _forward(self, tensors: list[np.ndarray], inputs: np.ndarray) -> list[np.ndarray]:
        """The inputs, every hidden layer's activations, and last the outputs."""
        value = ACTIVATIONS[self.activation].value
        found = [inputs]
        weights, biases = tensors[::2], tensors[1::2]
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            z = found[-1] @ _transposed(weight)
            z += bias[:, None]
            found.append(value(z) if layer < len(weights) - 1 else z)
        return found


def _transposed(stack: np.ndarray) -> np.ndarray:
    return stack.swapaxes(-1, -2)
