"""Signals that end a run, noted when they arrive and acted upon where nothing is left half done.

The first one ends the run between two iterations, with its last row complete. A second one ends it at the next look
inside a wait; a third one kills as usual. SIGUSR1 and SIGUSR2 are for batch jobs: mpirun hands them on to the ranks and
waits, where a SIGTERM lets Open MPI 5 kill them a quarter of a second later.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


Handler = Callable[[int, FrameType | None], object] | int | None
"""What `signal.signal` takes and returns."""


def die_of_interrupts() -> None:
    """Outside of a run's iterations a SIGINT ends a rank at once, as SIGTERM does, and the launcher ends the job.

    Python's KeyboardInterrupt would have MPI finalized as this rank leaves, which waits for all other ranks, while they
    may wait for this one. A handler of the user's own stays.
    """
    at_home = threading.current_thread() is threading.main_thread()
    if at_home and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


class Interrupted(Exception):
    """Two of the signals arrived; ``signal`` is the number of the last."""

    def __init__(self, signal: int) -> None:
        super().__init__(f"interrupted by signal {signal}")
        self.signal = signal


class Signals:
    """Within ``with Signals():`` signals are counted instead of ending the process.

    A worker's signals are for the server to act upon (a launcher sends them to every rank): ``ignore=True``.

    Attributes
    ----------
    arrived : int or None
        The number of the last signal: between two iterations, end the run.
    """

    def __init__(self, ignore: bool = False) -> None:
        self._ignore = ignore
        self.arrived: int | None = None
        self._count = 0
        self._previous: dict[int, Handler] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in HANDLED:
                self._previous[number] = signal.signal(number, signal.SIG_IGN if self._ignore else self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.arrived = number
        self._count += 1
        if self._count > 1:
            signal.signal(number, signal.SIG_DFL)

    def check(self) -> None:
        """Inside a wait: raise `Interrupted` when a second signal has arrived."""
        if self._count > 1 and self.arrived is not None:
            raise Interrupted(self.arrived)
