"""Stochastic composite problems with known solutions: f_i(x) = F_i(E G_i(x)), F_i nonlinear.

With S inner samples a node knows the means of G_i and of its Jacobian only to O(1/sqrt(S)), and because F_i is not
linear its gradient estimate is biased: here in exact proportion to 1/S. Both kinds of f_i are quadratic, so bias,
minimiser and minimum have formulas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from pmom_mpi.problems.base import Context
from pmom_mpi.problems.metrics import LOSS, SUBOPTIMALITY
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.report import Metric
from pmom_mpi.words.streams import Stream, generator

Count = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Quadratic:
    """x^T H x / 2 - c^T x + constant, in float64."""

    hessian: np.ndarray
    linear: np.ndarray
    constant: float

    def value(self, x: np.ndarray) -> float:
        return float(0.5 * x @ self.hessian @ x - self.linear @ x + self.constant)

    def gradient(self, x: np.ndarray) -> np.ndarray:
        return self.hessian @ x - self.linear


class Composite:
    """What both problems share; a subclass makes every node's f_i and draws the estimates.

    Known after `setup`: ``minimizer`` x*, ``minimum`` f*, ``smoothness`` L and ``pl_constant`` mu of f.
    """

    metrics: ClassVar[tuple[Metric, ...]] = (LOSS, SUBOPTIMALITY)
    evaluation: ClassVar[tuple[Metric, ...]] = ()
    chunks = 0

    dimension: Count
    inner_samples: Count | Literal["exact"]

    def generate(self, context: Context) -> list[Quadratic]:
        """Every node's exact f_i, the same on every rank."""
        raise NotImplementedError

    def estimate(self, x: np.ndarray, node: int, samples: int, random: np.random.Generator) -> np.ndarray:
        """The node's stochastic gradient from so many inner samples, in x's dtype."""
        raise NotImplementedError

    def bias(self, x: np.ndarray, node: int) -> np.ndarray:
        """E estimate - exact_gradient, in float64."""
        raise NotImplementedError

    def setup(self, context: Context) -> None:
        self.context = context
        self.layout = Layout.flat(self.dimension)
        self._local = self.generate(context)
        self._hessian = np.mean([f.hessian for f in self._local], axis=0)
        self.minimizer = np.linalg.solve(self._hessian, np.mean([f.linear for f in self._local], axis=0))
        self.minimum = float(np.mean([f.value(self.minimizer) for f in self._local]))
        eigenvalues = np.linalg.eigvalsh(self._hessian)
        self.pl_constant, self.smoothness = float(eigenvalues[0]), float(eigenvalues[-1])

    def initial_point(self) -> np.ndarray:
        """The origin."""
        return np.zeros(self.dimension, self.context.dtype)

    def exact_gradient(self, x: np.ndarray, node: int) -> np.ndarray:
        """The gradient of f_i, in float64."""
        return self._local[node].gradient(x.astype(np.float64))

    def full_gradient(self, x: np.ndarray, node: int, out: np.ndarray) -> float:
        """`exact_gradient`, in x's dtype."""
        out[:] = self.exact_gradient(x, node)
        return self._local[node].value(x.astype(np.float64))

    @property
    def _variance_factor(self) -> float:
        """The variance of a mean of the inner samples, relative to that of one: 1/S."""
        return 0.0 if self.inner_samples == "exact" else 1 / self.inner_samples

    def suboptimality(self, x: np.ndarray) -> float:
        """f(x) - f*, without the cancellation of a difference."""
        away = x.astype(np.float64) - self.minimizer
        return float(0.5 * away @ self._hessian @ away)

    @property
    def differentiates(self) -> bool:
        return self.inner_samples == "exact"

    def gradient(self, x: np.ndarray, node: int, iteration: int, out: np.ndarray) -> tuple[float, float]:
        """The estimate; metrics are exact: f_i(x), and f(x) - f*."""
        if self.inner_samples == "exact":
            out[:] = self.exact_gradient(x, node)
        else:
            random = generator(self.context.seed, Stream.BATCH, node, iteration)
            out[:] = self.estimate(x, node, self.inner_samples, random)
        return self._local[node].value(x.astype(np.float64)), self.suboptimality(x)

    def evaluate(self, x: np.ndarray, chunk: int) -> tuple[float, ...]:
        raise IndexError("a problem without samples has no evaluation chunks")


@dataclass
class CompositeRegression(Composite):
    """Least squares whose design is seen through noise: G_i(x) = (A_i + noise N) x, F_i(y) = |y - b_i|^2 / (2 m).

    The estimate uses the mean J of S noisy designs, J^T (J x - b_i) / m. Its bias is exactly (noise^2 / S) x: it
    descends on f plus noise^2/(2 S) |x|^2. All A_i^T A_i / m have the same eigenvalues, from 1/condition to 1.

    Parameters
    ----------
    dimension, outputs : int
        Of x and y; m = outputs >= dimension.
    condition : float
        L / mu, with L = 1.
    noise : float
        Standard deviation of the entries of a noisy design around A_i.
    heterogeneity : float
        Length of x_i* - x_true on average, x_i* the node's own minimiser, |x_true| = 1.
    residual : float
        Standard deviation of b_i - A_i x_i*.
    inner_samples : int or "exact"
        S.
    """

    dimension: Count = 20
    outputs: Count = 40
    condition: Annotated[float, Field(ge=1)] = 10.0
    noise: NonNegative = 0.5
    heterogeneity: NonNegative = 0.5
    residual: NonNegative = 0.1
    inner_samples: Count | Literal["exact"] = 10

    def __post_init__(self) -> None:
        if self.outputs < self.dimension:
            raise ValueError(f"outputs must be at least the dimension, {self.dimension}")

    def generate(self, context: Context) -> list[Quadratic]:
        shared = generator(context.seed, Stream.DATA)
        axes = np.linalg.qr(shared.standard_normal((self.dimension, self.dimension)))[0]
        truth = shared.standard_normal(self.dimension)
        truth /= np.linalg.norm(truth)
        singular = np.geomspace(1, self.condition**-0.5, self.dimension) if self.dimension > 1 else np.ones(1)
        self._designs: list[np.ndarray] = []
        self._targets: list[np.ndarray] = []
        found = []
        for node in range(context.nodes):
            random = generator(context.seed, Stream.DATA, node + 1)
            frame = np.linalg.qr(random.standard_normal((self.outputs, self.dimension)))[0]
            design = np.sqrt(self.outputs) * (frame * singular) @ axes.T
            own = truth + self.heterogeneity / np.sqrt(self.dimension) * random.standard_normal(self.dimension)
            rest = self.residual * random.standard_normal(self.outputs)
            target = design @ own + rest - frame @ (frame.T @ rest)
            hessian, linear = design.T @ design / self.outputs, design.T @ target / self.outputs
            found.append(Quadratic(hessian, linear, float(target @ target) / (2 * self.outputs)))
            self._designs.append(design.astype(context.dtype))
            self._targets.append(target.astype(context.dtype))
        return found

    def estimate(self, x: np.ndarray, node: int, samples: int, random: np.random.Generator) -> np.ndarray:
        # The mean of S normal matrices is drawn as the one normal matrix that has its law.
        jacobian = random.standard_normal((self.outputs, self.dimension), dtype=x.dtype)
        jacobian *= self.noise / np.sqrt(float(samples))
        jacobian += self._designs[node]
        return jacobian.T @ (jacobian @ x - self._targets[node]) / self.outputs

    def bias(self, x: np.ndarray, node: int) -> np.ndarray:
        return self.noise**2 * self._variance_factor * x


@dataclass
class Portfolio(Composite):
    """Mean-variance portfolio: f_i(x) = -E r^T x + risk_aversion Var(r^T x), r the node's returns.

    Composite with G_i(x) = (r^T x, (r^T x)^2) and F(y) = -y_1 + risk_aversion (y_2 - y_1^2). From S draws of r the
    variance comes out 1 - 1/S of what it is, so the estimate's bias is exactly -(2 risk_aversion / S) Cov_i x: it takes
    too much risk. Returns follow a factor model, r = mu_i + B_i z + specific e with normal z and e.

    Parameters
    ----------
    dimension, factors : int
        Numbers of assets and of factors z.
    risk_aversion : float
        The weight of the variance.
    specific : float
        Standard deviation of what no factor explains.
    heterogeneity : float
        How far, relative to their own scale, a node's mu_i and B_i lie from those that nodes have in common.
    inner_samples : int >= 2 or "exact"
        S; from a single draw no variance can be estimated.
    """

    dimension: Count = 20
    factors: Count = 3
    risk_aversion: Positive = 0.5
    specific: Positive = 0.5
    heterogeneity: NonNegative = 0.3
    inner_samples: Annotated[int, Field(ge=2)] | Literal["exact"] = 10

    def generate(self, context: Context) -> list[Quadratic]:
        shared = generator(context.seed, Stream.DATA)
        mean = 0.1 * shared.standard_normal(self.dimension)
        loadings = 0.3 * shared.standard_normal((self.dimension, self.factors))
        self._means: list[np.ndarray] = []
        self._loadings: list[np.ndarray] = []
        found = []
        for node in range(context.nodes):
            random = generator(context.seed, Stream.DATA, node + 1)
            own = mean + 0.1 * self.heterogeneity * random.standard_normal(mean.shape)
            factors = loadings + 0.3 * self.heterogeneity * random.standard_normal(loadings.shape)
            covariance = factors @ factors.T + self.specific**2 * np.eye(self.dimension)
            found.append(Quadratic(2 * self.risk_aversion * covariance, own, 0.0))
            self._means.append(own.astype(context.dtype))
            self._loadings.append(factors.astype(context.dtype))
        return found

    def estimate(self, x: np.ndarray, node: int, samples: int, random: np.random.Generator) -> np.ndarray:
        factors = random.standard_normal((samples, self.factors), dtype=x.dtype)
        centred = random.standard_normal((samples, self.dimension), dtype=x.dtype)
        centred *= self.specific
        centred += factors @ self._loadings[node].T
        shift = centred.mean(axis=0)
        centred -= shift
        variance_gradient = 2 / samples * (centred @ x) @ centred
        return self.risk_aversion * variance_gradient - (self._means[node] + shift)

    def bias(self, x: np.ndarray, node: int) -> np.ndarray:
        return -self._variance_factor * self._local[node].hessian @ x
