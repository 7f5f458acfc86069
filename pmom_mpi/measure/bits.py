"""How many bits a message needs in theory: what coding without any overhead would take."""

from __future__ import annotations

import math

from pmom_mpi.wire.message import Indices, Message


def log2_binomial(n: int, k: int) -> float:
    """log2 of the number of k-subsets of n things: the bits that naming one takes.

    Examples
    --------
    >>> round(log2_binomial(5, 2), 6) == round(math.log2(10), 6)
    True
    """
    return (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)) / math.log(2)


def theory(message: Message) -> float:
    """log2 of the number of supports of this size, and the nominal bits of every value; a drawn support costs nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from pmom_mpi.wire.values import Raw
    >>> message = Message(8, Indices(np.array([3], np.uint32)), Raw(np.ones(1, np.float32)))
    >>> round(theory(message), 9)
    35.0
    """
    values = message.values
    support = log2_binomial(message.dimension, values.count) if isinstance(message.support, Indices) else 0.0
    return support + values.nominal_bits()
