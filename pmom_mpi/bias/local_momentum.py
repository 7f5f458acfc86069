"""Momentum on the nodes instead of the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from pmom_mpi.bias.base import Step
from pmom_mpi.kernels.momentum import local_momentum


@dataclass(frozen=True)
class LocalMomentum:
    """Each node hands on v_i = (1 - beta) v_i + beta g_i instead of g_i, from v_i^0 = g_i^0.

    Without further bias and with ``sgd`` on the server this is the server's ``ema``: momentum is linear. Before a
    compressor or a clip it is not.

    Parameters
    ----------
    beta : float in (0, 1]
        1 changes nothing.

    Examples
    --------
    >>> from pmom_mpi.words.layout import Layout
    >>> step = Step(0, 0, 0, Layout.flat(1))
    >>> for value in (1.0, 3.0):
    ...     gradient = np.array([value])
    ...     _ = LocalMomentum(beta=0.5).apply(gradient, step)
    >>> gradient
    array([2.])
    """

    beta: Annotated[float, Field(gt=0, le=1)]
    statistics: ClassVar[tuple[str, ...]] = ()

    def apply(self, gradient: np.ndarray, step: Step) -> tuple[float, ...]:
        if "v" in step.state:
            local_momentum(step.state["v"], gradient, self.beta)
        else:
            step.state["v"] = gradient.copy()
        return ()
