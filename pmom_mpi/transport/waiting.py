"""How a rank waits: at full speed when it has a core to itself, politely when ranks share cores.

A rank inside a blocking MPI call spins a whole core. That is the fastest way to wait on a core of one's own, and steals
the core from the ranks that still compute where there are more ranks than cores. So every wait polls, and sleeps
between two looks when the machine is oversubscribed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

EAGER_LOOKS = 20
"""Looks without sleep before the first nap: most waits in a running iteration end within them."""

NAP_SECONDS = 0.0005
"""Measured on 2 cores with 3 ranks: sleeping 0.5 ms between looks costs nothing against longer or shorter naps."""


class Waiter:
    """Polls until something is there.

    Parameters
    ----------
    polite : bool
        Sleep between looks.
    between : callable
        Called at every nap (every look, when not polite): where a signal or another rank's failure is noticed.
    """

    def __init__(self, polite: bool, between: Callable[[], None]) -> None:
        self.polite = polite
        self._between = between

    def until(self, look: Callable[[], Any]) -> Any:
        """Call ``look`` until it returns something true, and return that."""
        looks = 0
        while not (found := look()):
            looks += 1
            if looks > EAGER_LOOKS:
                self._between()
                if self.polite:
                    time.sleep(NAP_SECONDS)
        return found


def cores_available() -> frozenset[int]:
    """The cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def oversubscribed(cores_of_local_ranks: list[frozenset[int]]) -> bool:
    """True when the ranks of one host are more than the cores that they may run on together."""
    return len(cores_of_local_ranks) > len(frozenset().union(*cores_of_local_ranks))
