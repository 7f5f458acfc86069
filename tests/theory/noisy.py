"""Random problems under a bias of known class with noise on top, many runs side by side: what bounds are held against.

Everything is plain numpy. Points have the shape (runs, d), gradients of all nodes (n, runs, d).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from pmom_mpi.theory import bias, nonconvex

NODES, RUNS, ITERATIONS = 4, 8, 40
BETAS = (1.0, 0.7, 0.3, 0.1, 0.03)


class Problem(Protocol):
    dimension: int
    smoothness: float
    minimum: float  # f* or less

    def values(self, x: np.ndarray) -> np.ndarray: ...

    def gradients(self, x: np.ndarray) -> np.ndarray: ...


class Quadratics:
    """Strongly convex on average, not on every node; ``pl`` is mu."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.dimension = d = int(rng.integers(2, 10))
        roots, shift = rng.standard_normal((2, NODES, d, d))
        shift = (shift + shift.transpose(0, 2, 1)) * rng.uniform(0, 0.5)
        self.matrices = roots @ roots.transpose(0, 2, 1) / d + shift - shift.mean(axis=0)
        self.vectors = rng.standard_normal((NODES, d)) * rng.uniform(0, 2)
        self.mean, self.linear = self.matrices.mean(axis=0), self.vectors.mean(axis=0)
        self.pl, *_, self.smoothness = np.linalg.eigvalsh(self.mean)
        self.minimum = -0.5 * float(self.linear @ np.linalg.solve(self.mean, self.linear))

    def values(self, x: np.ndarray) -> np.ndarray:
        return 0.5 * ((x @ self.mean) * x).sum(axis=1) - x @ self.linear

    def gradients(self, x: np.ndarray) -> np.ndarray:
        return x @ self.matrices - self.vectors[:, None]


class Logistic:
    """(1/m) sum log(1 + exp(-y a^T x)) plus ``weight`` sum_j x_j^2 / (1 + x_j^2), which is not convex."""

    def __init__(self, rng: np.random.Generator, weight: float) -> None:
        self.dimension, self.weight, self.minimum = int(rng.integers(2, 10)), weight, 0.0
        samples = rng.standard_normal((NODES, 12, self.dimension)) + rng.standard_normal((NODES, 1, self.dimension))
        self.rows = samples * rng.choice([-1.0, 1.0], (NODES, 12, 1))
        flat = self.rows.reshape(-1, self.dimension)
        # The regulariser's second derivative lies between -1/2 and 2.
        self.smoothness = float(np.linalg.eigvalsh(flat.T @ flat / len(flat))[-1]) / 4 + 2 * weight

    def values(self, x: np.ndarray) -> np.ndarray:
        losses = np.logaddexp(0, -x @ self.rows.transpose(0, 2, 1)).mean(axis=(0, 2))
        return losses + self.weight * (x**2 / (1 + x**2)).sum(axis=1)

    def gradients(self, x: np.ndarray) -> np.ndarray:
        slopes = -0.5 * (1 - np.tanh(0.5 * x @ self.rows.transpose(0, 2, 1)))
        return slopes @ self.rows / self.rows.shape[1] + self.weight * 2 * x / (1 + x**2) ** 2


def top_k(k: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda g: np.where(np.abs(g) >= np.sort(np.abs(g), axis=-1)[..., -k, None], g, 0)


def clip(tau: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda g: g * np.minimum(1, tau / (np.linalg.norm(g, axis=-1, keepdims=True) + 1e-6))


def normalize(g: np.ndarray) -> np.ndarray:
    return g / np.linalg.norm(g, axis=-1, keepdims=True)


class Runs:
    """``RUNS`` runs of one method: means over them, and each run's own numbers (runs, K)."""

    def __init__(
        self, f: Problem, biased: Callable[[np.ndarray], np.ndarray], sigma2: float, step_size: float, beta: float,
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        x = np.repeat(2 * rng.standard_normal((1, f.dimension)), RUNS, axis=0)
        v, kept = np.zeros_like(x), 0.0
        values, gradients, biases, errors = [f.values(x)], [], [], []
        zeta2, largest = 0.0, 0.0
        for _ in range(ITERATIONS):
            local = f.gradients(x)
            full, seen = local.mean(axis=0), biased(local).mean(axis=0)
            estimate = seen + np.sqrt(sigma2 / f.dimension) * rng.standard_normal(x.shape)
            v = kept * v + (1 - kept) * estimate
            kept = 1 - beta
            x = x - step_size * v
            values.append(f.values(x))
            gradients.append((full**2).sum(axis=1))
            biases.append(((seen - full) ** 2).sum(axis=1))
            errors.append(((estimate - full) ** 2).sum(axis=1))
            zeta2 = max(zeta2, ((local - full) ** 2).sum(axis=2).mean(axis=0).max())
            largest = max(largest, np.linalg.norm(local, axis=2).max())
        self.values, self.gradients = np.transpose(values), np.transpose(gradients)
        self.biases, self.errors = np.transpose(biases), np.transpose(errors)
        self.zeta2, self.largest = float(zeta2), float(largest)


class Trial:
    """A random problem, bias, noise, beta and admissible step size, and what came of it."""

    def __init__(self, seed: int, sigma2: float | None = None) -> None:
        rng = np.random.default_rng(seed)
        self.f = (Quadratics(rng), Logistic(rng, 0.0), Logistic(rng, rng.uniform(0.01, 0.5)))[seed % 3]
        self.beta = beta = BETAS[seed // 3 % len(BETAS)]
        k, tau = int(rng.integers(1, self.f.dimension + 1)), rng.uniform(0.3, 3)
        source, alpha = seed // 15 % 4, k / self.f.dimension
        biased = (lambda g: g, top_k(k), clip(tau), normalize)[source]
        self.sigma2 = float(rng.choice([0.01, 1.0, 10.0])) if sigma2 is None else sigma2
        limit = nonconvex.largest_step_size(self.f.smoothness, beta, 1 - alpha if source == 1 else 0.0)
        self.method = {"step_size": limit * rng.choice([1.0, 0.9, 0.3, 0.03]), "beta": beta}
        self.runs = Runs(self.f, biased, self.sigma2, rng=rng, **self.method)
        self.method["smoothness"] = self.f.smoothness
        self.known = (
            bias.Affine(0, 0), bias.contractive(alpha, self.runs.zeta2), bias.clipped(tau, self.runs.largest),
            bias.normalized(self.runs.largest),
        )[source]  # fmt: skip

    @property
    def start(self) -> dict[str, float]:
        return {"gap": self.runs.values[0, 0] - self.f.minimum, "first_bias": self.runs.biases[0, 0]}
