"""A problem of one's own on a data set, with a numba kernel: linear classifiers, squared hinge, one against the rest.

f_i(W) = mean over the batch of 1/2 sum_c max(0, 1 - y_c s_c)^2 with scores s = W a and y_c = 1 for the sample's class,
-1 for the others: a smooth support vector machine. `FiniteSum` brings shards, batches and the evaluation; what is left
to write is the loss of a batch.

    pmom check-problem examples/squared_hinge.yaml
    pmom launch -n 3 examples/squared_hinge.yaml
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from pmom_mpi.problems.finite_sum import FiniteSum
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout


@njit(cache=True)
def hinge(scores: np.ndarray, targets: np.ndarray) -> tuple[float, int]:
    """Summed loss and number of samples whose class has the largest score; scores become the loss's derivatives."""
    loss, correct = 0.0, 0
    for sample in range(scores.shape[0]):
        row = scores[sample]
        correct += row.argmax() == targets[sample]
        for label in range(row.size):
            sign = 1.0 if label == targets[sample] else -1.0
            gap = max(0.0, 1.0 - sign * row[label])
            loss += 0.5 * gap * gap
            row[label] = -sign * gap
    return loss, correct


@dataclass
class SquaredHinge(FiniteSum):
    """Reports loss and accuracy, as `FiniteSum` does unless told otherwise."""

    def shape(self, features: int, classes: int | None) -> Layout:
        """The model's tensors for this data set."""
        if classes is None:
            raise UserError("problem: the squared hinge needs data with classes")
        return Layout(("weight",), ((classes, features),))

    def batch_gradient(
        self, x: np.ndarray, inputs: np.ndarray, targets: np.ndarray, out: np.ndarray
    ) -> tuple[float, ...]:
        """The batch's mean loss and accuracy; inputs have shape (m, features), targets (m,)."""
        (weight,), (gradient,) = self.layout.views(x), self.layout.views(out)
        scores = inputs @ weight.T
        loss, correct = hinge(scores, targets)
        np.matmul(scores.T, inputs, out=gradient)
        gradient /= len(targets)
        return loss / len(targets), correct / len(targets)

    def batch_evaluate(self, x: np.ndarray, inputs: np.ndarray, targets: np.ndarray) -> tuple[float, ...]:
        """Sums, not means."""
        (weight,) = self.layout.views(x)
        loss, correct = hinge(inputs @ weight.T, targets)
        return loss, float(correct)
