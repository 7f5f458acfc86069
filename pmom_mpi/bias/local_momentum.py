"""Momentum on the nodes instead of the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from pmom_mpi.bias.base import UPLINK, Numbers, Step, Transform
from pmom_mpi.kernels.momentum import local_momentum
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.memory import Memory


@dataclass(frozen=True)
class LocalMomentum(Transform):
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
    >>> layout, stage = Layout.flat(1), LocalMomentum(beta=0.5)
    >>> step = Step(0, 0, 0, layout, stage.init(layout, np.dtype(float)))
    >>> for value in (1.0, 3.0):
    ...     gradient = np.array([value])
    ...     _ = stage.apply(gradient, step)
    >>> gradient
    array([2.])
    """

    beta: Annotated[float, Field(gt=0, le=1)]
    places: ClassVar[tuple[str, ...]] = (UPLINK,)

    def init(self, layout: Layout, dtype: np.dtype) -> Memory:
        return {"v": np.zeros(layout.dimension, dtype), "begun": np.zeros(1, np.bool_)}

    def apply(self, gradient: np.ndarray, step: Step) -> Numbers:
        v, begun = step.memory["v"], step.memory["begun"]
        if begun[0]:
            local_momentum(v, gradient, self.beta)
        else:
            v[:], begun[0] = gradient, True
        return ()
