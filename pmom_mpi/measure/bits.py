"""How many bits a message needs in theory: what coding without any overhead would take."""

from __future__ import annotations

import math

from pmom_mpi.wire.message import Indices, Message
from pmom_mpi.wire.values import FP8, BFloat16, Half, Levels, LowRank, Natural, Raw, Signs, Ternary, Values

_A_VALUE: dict[type[Values], float] = {Half: 16, BFloat16: 16, FP8: 8, Signs: 1, Natural: 9, Ternary: math.log2(3)}


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
    >>> message = Message(8, Indices(np.array([3], np.uint32)), Raw(np.ones(1, np.float32)))
    >>> round(theory(message), 9)
    35.0
    """
    values = message.values
    support = log2_binomial(message.dimension, values.count) if isinstance(message.support, Indices) else 0.0
    return support + _values(values)


def _values(values: Values) -> float:
    if isinstance(values, Raw):
        return 8 * values.array.nbytes
    if isinstance(values, Levels):
        return values.count * math.log2(2 * values.levels + 1) + 8 * values.norms.nbytes
    if isinstance(values, LowRank):
        parts = [part if isinstance(part, tuple) else (part,) for part in values.parts]
        return 8 * sum(array.nbytes for arrays in parts for array in arrays)
    return _A_VALUE[type(values)] * values.count
