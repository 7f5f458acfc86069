"""The server's momentum on random quadratics under plain numpy's bias: what the bounds are held against."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pmom_mpi.method.momentum import EMA

NODES, ITERATIONS = 5, 150
BETAS = (1.0, 0.5, 0.1, 0.03)


class Quadratic:
    """f(x) = (1/n) sum_i x^T A_i x / 2 - b_i^T x, strongly convex on average though not on every node."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.dimension = d = int(rng.integers(3, 20))
        roots = rng.standard_normal((NODES, d, d))
        shift = rng.standard_normal((NODES, d, d)) * rng.uniform(0, 0.5)
        shift += shift.transpose(0, 2, 1)
        self.matrices = roots @ roots.transpose(0, 2, 1) / d + shift - shift.mean(axis=0)
        self.vectors = rng.standard_normal((NODES, d)) * rng.uniform(0, 2)
        self.mean = self.matrices.mean(axis=0)
        self.pl, *_, self.smoothness = np.linalg.eigvalsh(self.mean)
        self.minimum = self.value(np.linalg.solve(self.mean, self.vectors.mean(axis=0)))

    def value(self, x: np.ndarray) -> float:
        return float(x @ self.mean @ x / 2 - self.vectors.mean(axis=0) @ x)

    def gradients(self, x: np.ndarray) -> np.ndarray:
        """Of every node, shape (n, d)."""
        return self.matrices @ x - self.vectors


class Trajectory:
    """Every node's gradient goes through ``biased``: f(x^k), |grad f(x^k)|^2, |eta^k|^2, heterogeneity, norms."""

    def __init__(self, f: Quadratic, x: np.ndarray, biased: Callable, step_size: float, beta: float) -> None:
        values, gradients, biases, spread, largest = [f.value(x)], [], [], [], []
        x, rule = x.copy(), EMA(beta)
        state = rule.init(x.size, x.dtype)
        for iteration in range(ITERATIONS):
            g = f.gradients(x)
            full, estimate = g.mean(axis=0), biased(g).mean(axis=0)
            rule.step(x, estimate, state, step_size, iteration)
            values.append(f.value(x))
            gradients.append(full @ full)
            biases.append(((estimate - full) ** 2).sum())
            spread.append(((g - full) ** 2).sum() / NODES)
            largest.append(np.linalg.norm(g, axis=1).max())
        self.values, self.gradients, self.biases = np.array(values), np.array(gradients), np.array(biases)
        self.zeta2, self.largest = max(spread), max(largest)

    @property
    def averages(self) -> np.ndarray:
        """(1/K) sum_{k<K} |grad f(x^k)|^2 for K = 1, 2, ..."""
        return np.cumsum(self.gradients) / np.arange(1, ITERATIONS + 1)


def top_k(k: int) -> Callable:
    def biased(g: np.ndarray) -> np.ndarray:
        kept = np.argsort(-np.abs(g), axis=1)[:, :k]
        sent = np.zeros_like(g)
        np.put_along_axis(sent, kept, np.take_along_axis(g, kept, axis=1), axis=1)
        return sent

    return biased


def clip(tau: float) -> Callable:
    return lambda g: g * np.minimum(1, tau / np.linalg.norm(g, axis=1, keepdims=True))


def normalize(g: np.ndarray) -> np.ndarray:
    return g / np.linalg.norm(g, axis=1, keepdims=True)
