"""Error feedback: what a compressor drops is not lost.

Memories are updated with the values that the receiver will decode, bit for bit, so that they never drift from what it
has; where few coordinates are sent, few are touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from pmom_mpi.bias.base import Compress, Feedback, Numbers, Step
from pmom_mpi.kernels.feedback import difference_in_place, momentum_difference, with_memory
from pmom_mpi.wire.indices import indices_of
from pmom_mpi.wire.message import Everything, Message
from pmom_mpi.wire.values.raw import Raw
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.memory import Memory


@dataclass(frozen=True)
class EF14(Feedback):
    """Sends C(e + g) and remembers the rest: e = e + g - C(e + g), from e = 0.

    Seide, Fu, Droppo, Li, Yu 2014, "1-bit stochastic gradient descent and its application to data-parallel distributed
    training of speech DNNs"; Karimireddy, Rebjock, Stich, Jaggi 2019, "Error feedback fixes SignSGD and other gradient
    compression schemes". Memories hold gradients, not steps: theirs are gamma times these where gamma is constant.

    The memory ``excess`` is -e: the sum of all that was sent minus the sum of all gradients.
    """

    def init(self, layout: Layout, dtype: np.dtype) -> Memory:
        return {"excess": np.zeros(layout.dimension, dtype)}

    def around(self, gradient: np.ndarray, step: Step, compress: Compress) -> tuple[Message, Numbers]:
        excess = step.memory["excess"]
        with_memory(gradient, excess)
        message = compress(gradient)
        _add(message, excess)
        return message, ()


@dataclass(frozen=True)
class EF21(Feedback):
    """Sends C(g - h) and lets both sides follow it: h = h + C(g - h), from h = 0.

    Richtarik, Sokolov, Fatkhullin 2021, "EF21: a new, simpler, theoretically better, and practically faster error
    feedback". The server steps with the mean of all h, to which it adds the mean of what is sent. Both sides keep h in
    float64: in float32 their roundings differ, and the server's mean would drift away from that of the nodes.
    """

    integrates: ClassVar[bool] = True

    def init(self, layout: Layout, dtype: np.dtype) -> Memory:
        return {"h": np.zeros(layout.dimension)}

    def around(self, gradient: np.ndarray, step: Step, compress: Compress) -> tuple[Message, Numbers]:
        h = step.memory["h"]
        difference_in_place(gradient, h)
        message = compress(gradient)
        _add(message, h)
        return message, ()


@dataclass(frozen=True)
class EF21SGDM(Feedback):
    """EF21 on the node's momentum: v = (1 - beta) v + beta g from v^0 = g^0; sends C(v - h), h = h + C(v - h).

    Fatkhullin, Tyurin, Richtarik 2023, "Momentum provably improves error feedback!", where beta is called eta. The same
    as the stages ``local_momentum`` and ``ef21`` one after the other, in one pass less.

    Parameters
    ----------
    beta : float in (0, 1]
        1 is EF21.
    start : {"compressed", "exact"}
        h before the first iteration is 0, so that C(v^0) is sent in it; or, as published, h^0 = v^0: v^0 itself is
        sent, uncompressed, and statistics of the compression are NaN in this iteration.
    """

    beta: Annotated[float, Field(gt=0, le=1)] = 0.1
    start: Literal["compressed", "exact"] = "compressed"
    integrates: ClassVar[bool] = True

    @property
    def sends_uncompressed(self) -> bool:
        return self.start == "exact"

    def init(self, layout: Layout, dtype: np.dtype) -> Memory:
        d = layout.dimension
        return {"v": np.zeros(d, dtype), "h": np.zeros(d), "begun": np.zeros(1, np.bool_)}

    def around(self, gradient: np.ndarray, step: Step, compress: Compress) -> tuple[Message, Numbers]:
        v, h, begun = step.memory["v"], step.memory["h"], step.memory["begun"]
        momentum_difference(v, gradient, h, self.beta if begun[0] else 1.0)
        exact = self.start == "exact" and not begun[0]
        begun[0] = True
        message = Message(gradient.size, Everything(), Raw(gradient)) if exact else compress(gradient)
        _add(message, h)
        return message, ()


def _add(message: Message, total: np.ndarray) -> None:
    """``total += message``, each value as the receiver will decode it."""
    if isinstance(message.support, Everything):
        message.values.add(total)
    else:
        message.values.add_at(indices_of(message.support, message.dimension), total)
