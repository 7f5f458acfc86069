"""The server's update rules.

A rule is a frozen dataclass (fields = config keys) with ``init`` and ``step``; its memory lies in a dict of arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import numpy as np
from pydantic import Field

from pmom_mpi.kernels.momentum import ema_step, heavy_ball_step, nesterov_step, sgd_step
from pmom_mpi.words.memory import Memory


class MomentumRule(Protocol):
    """How x^{k+1} is made of x^k and the averaged estimate g^k."""

    def init(self, dimension: int, dtype: np.dtype | type) -> Memory:
        """The rule's memory before iteration 0."""

    def step(self, x: np.ndarray, g: np.ndarray, memory: Memory, step_size: float, iteration: int) -> None:
        """Change x (shape (d,)) and the memory in place; g is left as it is."""


@dataclass(frozen=True)
class EMA:
    """The paper's momentum: v^k = (1 - beta) v^{k-1} + beta g^k, x^{k+1} = x^k - gamma v^k.

    Parameters
    ----------
    beta : float in (0, 1]
        1 is (biased) SGD.
    start : {"gradient", "zero"}
        v^0 = g^0, as in the published experiments, or v^{-1} = 0, hence v^0 = beta g^0.

    Examples
    --------
    >>> rule, x = EMA(beta=0.5), np.zeros(1)
    >>> memory = rule.init(1, x.dtype)
    >>> rule.step(x, np.ones(1), memory, 0.1, 0)
    >>> rule.step(x, np.zeros(1), memory, 0.1, 1)
    >>> x
    array([-0.15])
    """

    beta: Annotated[float, Field(gt=0, le=1)]
    start: Literal["gradient", "zero"] = "gradient"

    def init(self, dimension: int, dtype: np.dtype | type) -> Memory:
        return {"v": np.zeros(dimension, dtype)}

    def step(self, x: np.ndarray, g: np.ndarray, memory: Memory, step_size: float, iteration: int) -> None:
        beta = 1.0 if iteration == 0 and self.start == "gradient" else self.beta
        ema_step(x, memory["v"], g, beta, step_size)


@dataclass(frozen=True)
class SGD:
    """No momentum: x^{k+1} = x^k - gamma g^k."""

    def init(self, dimension: int, dtype: np.dtype | type) -> Memory:
        return {}

    def step(self, x: np.ndarray, g: np.ndarray, memory: Memory, step_size: float, iteration: int) -> None:
        sgd_step(x, g, step_size)


@dataclass(frozen=True)
class HeavyBall:
    """Polyak's momentum: v^k = beta v^{k-1} + g^k with v^{-1} = 0, x^{k+1} = x^k - gamma v^k.

    Polyak 1964, "Some methods of speeding up the convergence of iteration methods". The steps of `EMA` with
    ``start: zero``, parameter 1 - beta and step size gamma / (1 - beta); note that beta weighs the past here.

    Parameters
    ----------
    beta : float in [0, 1)
        0 is SGD.
    """

    beta: Annotated[float, Field(ge=0, lt=1)]

    def init(self, dimension: int, dtype: np.dtype | type) -> Memory:
        return {"v": np.zeros(dimension, dtype)}

    def step(self, x: np.ndarray, g: np.ndarray, memory: Memory, step_size: float, iteration: int) -> None:
        heavy_ball_step(x, memory["v"], g, self.beta, step_size)


@dataclass(frozen=True)
class Nesterov:
    """Nesterov's momentum: v^k = beta v^{k-1} + g^k with v^{-1} = 0, x^{k+1} = x^k - gamma (g^k + beta v^k).

    In the form of Sutskever, Martens, Dahl, Hinton 2013, "On the importance of initialization and momentum in deep
    learning", with gradients at the point looked ahead to; the same as PyTorch's ``SGD(nesterov=True)``.

    Parameters
    ----------
    beta : float in [0, 1)
        0 is SGD.
    """

    beta: Annotated[float, Field(ge=0, lt=1)]

    def init(self, dimension: int, dtype: np.dtype | type) -> Memory:
        return {"v": np.zeros(dimension, dtype)}

    def step(self, x: np.ndarray, g: np.ndarray, memory: Memory, step_size: float, iteration: int) -> None:
        nesterov_step(x, memory["v"], g, self.beta, step_size)
