"""Problems that each break one promise of `pmom_mpi.problems.base`."""

from dataclasses import dataclass

import numpy as np

from pmom_mpi.problems.metrics import LOSS
from pmom_mpi.words.layout import Layout


@dataclass
class Right:
    """f_i(x) = 1/2 |A_i x - b_i|^2 + sum log cosh x: right, and what the others are made of."""

    metrics = (LOSS,)
    evaluation = (LOSS,)

    def setup(self, context):
        self.context = context
        self.layout = Layout(("first", "second"), ((4,), (2, 3)))
        self.chunks = 3
        self.parts = {node: self.draw(node) for node in context.hosted}

    def draw(self, node):
        random = np.random.default_rng(node)
        return random.standard_normal((5, 10)), random.standard_normal(5)

    def initial_point(self):
        return np.zeros(10, self.context.dtype)

    def gradient(self, x, node, iteration, out):
        matrix, right = self.parts[node]
        error = matrix @ x - right
        out[:] = matrix.T @ error + np.tanh(x)
        return (float(0.5 * error @ error + np.log(np.cosh(x)).sum()),)

    def evaluate(self, x, chunk):
        matrix, right = self.draw(1000 + chunk)
        return float(100 * np.sum((matrix @ x - right) ** 2)), 100.0


@dataclass
class WrongTensor(Right):
    def gradient(self, x, node, iteration, out):
        metrics = super().gradient(x, node, iteration, out)
        out[4:] *= 1.0001
        return metrics


@dataclass
class ForgotTerm(Right):
    """Right at x^0 = 0, where the derivative of log cosh vanishes."""

    def gradient(self, x, node, iteration, out):
        metrics = super().gradient(x, node, iteration, out)
        out -= np.tanh(x)
        return metrics


@dataclass
class Adds(Right):
    def gradient(self, x, node, iteration, out):
        total = out.copy()
        metrics = super().gradient(x, node, iteration, out)
        out += np.nan_to_num(total)
        return metrics


@dataclass
class LeavesOut(Right):
    def gradient(self, x, node, iteration, out):
        last = out[-1]
        metrics = super().gradient(x, node, iteration, out)
        out[-1] = last
        return metrics


@dataclass
class ChangesX(Right):
    def gradient(self, x, node, iteration, out):
        x *= 1.01
        return super().gradient(x, node, iteration, out)


@dataclass
class EvaluateChangesX(Right):
    def evaluate(self, x, chunk):
        x += 1e-3
        return super().evaluate(x, chunk)


@dataclass
class OwnRandomness(Right):
    def gradient(self, x, node, iteration, out):
        metrics = super().gradient(x, node, iteration, out)
        out += 1e-9 * np.random.default_rng().standard_normal(10)
        return metrics


@dataclass
class Remembers(Right):
    """The same twice in a row, but another answer once another iteration was asked for."""

    def gradient(self, x, node, iteration, out):
        self.seen = max(iteration, getattr(self, "seen", 0))
        metrics = super().gradient(x, node, iteration, out)
        out += self.seen
        return metrics


@dataclass
class KnowsItsRank(Right):
    def gradient(self, x, node, iteration, out):
        metrics = super().gradient(x, node, iteration, out)
        out += self.context.hosted.start
        return metrics


@dataclass
class Means(Right):
    def evaluate(self, x, chunk):
        total, weight = super().evaluate(x, chunk)
        return total / weight, weight


@dataclass
class NoWeight(Right):
    def evaluate(self, x, chunk):
        return super().evaluate(x, chunk)[:1]


@dataclass
class ListOfMetrics(Right):
    def gradient(self, x, node, iteration, out):
        return list(super().gradient(x, node, iteration, out))


@dataclass
class SamePoint(Right):
    def initial_point(self):
        self.start = getattr(self, "start", np.zeros(10, self.context.dtype))
        return self.start


@dataclass
class DoubleOnly(Right):
    def initial_point(self):
        return np.zeros(10)


@dataclass
class SingleLoss(Right):
    def gradient(self, x, node, iteration, out):
        return (float(np.float32(super().gradient(x, node, iteration, out)[0])),)


@dataclass
class Raises(Right):
    def evaluate(self, x, chunk):
        raise IndexError("chunk 0 of nothing")
