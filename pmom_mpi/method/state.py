"""What an evaluation needs besides x, on its way to the nodes: it travels behind the model's bytes.

A problem that is `pmom_mpi.problems.base.Stateful` has its state moved on by the server, from the shares that the nodes
report; nodes need it only where they evaluate, and get it with every broadcast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from pmom_mpi.problems.base import Stateful

if TYPE_CHECKING:
    from pmom_mpi.method.server import Downlink


class SendState:
    """A downlink whose payloads end with the state of the server's problem.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> server, node = SimpleNamespace(state=np.array([1.0, 2.0])), SimpleNamespace(state=np.zeros(2))
    >>> downlink = SendState(SimpleNamespace(payload=lambda x, k: x.view(np.uint8)), server)
    >>> receive = ReceiveState(lambda payload: payload.view(np.float64), node)
    >>> receive(downlink.payload(np.array([7.0]), 0)), node.state
    (array([7.]), array([1., 2.]))
    """

    def __init__(self, downlink: Downlink, problem: Stateful) -> None:
        self._downlink = downlink
        self._problem = problem

    def payload(self, x: np.ndarray, iteration: int) -> np.ndarray:
        return np.concatenate([self._downlink.payload(x, iteration), self._problem.state.view(np.uint8)])


class ReceiveState:
    """Takes the state off a payload, gives it to this rank's problem, and hands the rest on to ``receive``."""

    def __init__(self, receive: Callable[[np.ndarray], np.ndarray], problem: Stateful) -> None:
        self._receive = receive
        self._problem = problem

    def __call__(self, payload: np.ndarray) -> np.ndarray:
        if not payload.size:
            return self._receive(payload)
        state = self._problem.state.view(np.uint8)
        end = payload.size - state.size  # a state may be empty
        state[:] = payload[end:]
        return self._receive(payload[:end])
