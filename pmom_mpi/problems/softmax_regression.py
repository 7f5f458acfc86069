"""Multinomial logistic regression: the dense network without hidden layers, a convex problem."""

from __future__ import annotations

from dataclasses import dataclass

from pmom_mpi.problems.mlp import DenseNetwork, Initialization, Weight


@dataclass
class SoftmaxRegression(DenseNetwork):
    """f_i(W, b) = mean over the shard of -log softmax(W a + b)[target], plus l2/2 |x|^2."""

    hidden = ()  # not a field, so not a config key

    init: Initialization = "zeros"
    l2: Weight = 0.0
