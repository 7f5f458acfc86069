"""Multilayer perceptrons: ReLU between dense layers, softmax cross-entropy at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from pmom_mpi.kernels.layers import add_l2
from pmom_mpi.networks.dense import DIVERGING, DenseLayers
from pmom_mpi.networks.initialize import initialize
from pmom_mpi.networks.narrow import Narrow, narrowed
from pmom_mpi.networks.stacked import dense_layout
from pmom_mpi.problems.base import Context
from pmom_mpi.problems.finite_sum import FiniteSum
from pmom_mpi.problems.metrics import SAMPLES_CLIPPED
from pmom_mpi.words.layout import Layout

Initialization = Literal["pytorch", "glorot", "he", "zeros"]
Width = Annotated[int, Field(gt=0)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class DenseNetwork(FiniteSum):
    """Mean softmax cross-entropy of dense layers with ReLU between them, plus l2/2 |x|^2.

    a_0 = inputs, a_l = max(a_{l-1} W_l^T + b_l, 0), logits = a_{L-1} W_L^T + b_L. The flat vector holds W_1 (out, in),
    b_1, W_2, b_2, ..., the order of PyTorch's ``parameters()``. Reported losses, of training and test, include the
    l2 term: they are values of the function that is minimised.

    Inputs of `batch_gradient` and `batch_evaluate` may be `Narrow`. A subclass that wants arrays overrides `arrange`.

    Parameters
    ----------
    hidden : list of int
        The widths of the hidden layers.
    init : {"pytorch", "glorot", "he", "zeros"}
        How x^0 is drawn: as PyTorch's Linear (bit for bit), by Glorot and Bengio (2010) or by He et al. (2015); or 0.
    l2 : float
        The weight of 1/2 |x|^2 beside the loss.
    """

    learns = "classes"
    hidden: tuple[Width, ...]
    init: Initialization
    l2: Weight
    clips_samples: ClassVar[bool] = True

    def shape(self, features: int, classes: int | None) -> Layout:
        assert classes is not None, "FiniteSum.setup has looked"
        return dense_layout((features, *self.hidden, classes))

    def setup(self, context: Context) -> None:
        super().setup(context)
        self.allocate(context.dtype, context.clip_samples)
        if context.clip_samples is not None:
            self.metrics = (*DenseNetwork.metrics, SAMPLES_CLIPPED)

    def allocate(self, dtype: np.dtype, clip: float | None = None) -> None:
        """The layers' buffers."""
        self._layers = DenseLayers(self.layout, dtype, clip)

    def arrange(self, inputs: np.ndarray) -> np.ndarray | Narrow:
        # Without hidden layers the loss adds the bias, and a clipped sample needs its whole norm.
        return narrowed(inputs) if self.hidden and self.context.clip_samples is None else inputs

    def initial_point(self) -> np.ndarray:
        return initialize(self.init, self.layout, self.context.seed, self.context.dtype)

    @DIVERGING
    def batch_gradient(
        self, x: np.ndarray, inputs: np.ndarray | Narrow, targets: np.ndarray, out: np.ndarray
    ) -> tuple[float, ...]:
        """Mean loss and accuracy; where samples are clipped, also the fraction of those that were.

        The l2 term is added unclipped.
        """
        (loss, *others), _ = self._layers.differentiate(x, inputs, targets, out)
        if self.l2:
            loss += 0.5 * self.l2 * add_l2(x, x.dtype.type(self.l2), out)
        return loss, *others

    @DIVERGING
    def batch_evaluate(self, x: np.ndarray, inputs: np.ndarray | Narrow, targets: np.ndarray) -> tuple[float, float]:
        """Summed loss (the l2 term once a sample) and the number of samples classified correctly."""
        loss, correct = self._layers.sums(x, inputs, targets)
        if self.l2:
            loss += len(targets) * 0.5 * self.l2 * float(np.dot(x, x))
        return loss, float(correct)


@dataclass
class MLP(DenseNetwork):
    """A multilayer perceptron; ``hidden`` are the widths of its hidden layers, and its keys those of `DenseNetwork`."""

    hidden: tuple[Width, ...] = (512, 512)
    init: Initialization = "pytorch"
    l2: Weight = 0.0
