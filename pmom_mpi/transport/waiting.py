"""How a rank waits: at full speed when it has a core to itself, politely when ranks share cores.

A rank inside a blocking MPI call spins a whole core. That is the fastest way to wait on a core of one's own, and steals
the core from the ranks that still compute where there are more ranks than cores. So every wait polls, and sleeps
between two looks when the machine is oversubscribed.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter, sleep
from typing import TypeVar

T = TypeVar("T")

EAGER_LOOKS = 20
"""Looks without sleep before the first nap: most waits in a running iteration end within them."""

NAP_SHARE, LONGEST_NAP = 0.25, 0.0005
"""A nap lasts a quarter of the wait so far, so that no wait gets much longer by it, and at most 0.5 ms.

Measured on 2 cores with 3 ranks: against longer waits, naps of 0.5 ms cost nothing, and shorter ones are no better.
"""


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

    def until(self, look: Callable[[], T | None]) -> T:
        """Call ``look`` until it returns something true, and return that."""
        looks = 0
        while not (found := look()):
            looks += 1
            if looks == EAGER_LOOKS:
                began = perf_counter()
            elif looks > EAGER_LOOKS:
                self._between()
                if self.polite:
                    sleep(min(LONGEST_NAP, NAP_SHARE * (perf_counter() - began)))
        return found
