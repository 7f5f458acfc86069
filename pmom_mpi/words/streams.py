"""Named random streams: what is drawn depends on (seed, stream, node, iteration) and on nothing else.

A node's draws are therefore the same whichever rank hosts it, and a resumed run repeats them.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What the randomness is for. The numbers are part of a run's identity: never renumber them."""

    INIT = 0
    PARTITION = 1
    BATCH = 2
    COMPRESSOR = 3
    AUGMENTATION = 4
    EVALUATION = 5
    NOISE = 6
    DATA = 7
    ROLLOUT = 8
    DROPOUT = 9
    REFERENCE = 10


def generator(seed: int, stream: Stream, node: int = 0, iteration: int = 0, *parts: int) -> np.random.Generator:
    """A numpy generator of its own for this (seed, stream, node, iteration), and these parts if there are several.

    Examples
    --------
    >>> a = generator(0, Stream.BATCH, node=3, iteration=7).integers(100, size=4)
    >>> b = generator(0, Stream.BATCH, node=3, iteration=7).integers(100, size=4)
    >>> bool((a == b).all())
    True
    """
    sequence = np.random.SeedSequence([seed, int(stream), node, iteration], spawn_key=parts)
    return np.random.Generator(np.random.Philox(sequence))


def key(seed: int, stream: Stream, node: int = 0, iteration: int = 0, *parts: int) -> np.uint64:
    """A 64-bit key for the counter-based generators in ``kernels``, one for every part where there are several."""
    sequence = np.random.SeedSequence([seed, int(stream), node, iteration], spawn_key=parts)
    return sequence.generate_state(1, np.uint64)[0]
