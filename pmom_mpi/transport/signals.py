"""SIGINT, SIGTERM and SIGUSR1, noted when they arrive and acted upon where nothing is left half done.

All three end a run with its file complete. SIGUSR1 is for batch jobs: mpirun hands it on to the ranks and waits, where
a SIGTERM lets Open MPI 5 kill them a quarter of a second later.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from pmom_mpi.transport.base import Interrupted

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Signals:
    """Within ``with Signals():`` the first signal is remembered for `check`; the same signal again kills as usual.

    A worker's signals are for the server to act upon (a launcher sends them to every rank): ``ignore=True``.
    """

    def __init__(self, ignore: bool = False) -> None:
        self._ignore = ignore
        self._arrived: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in HANDLED:
                self._previous[number] = signal.signal(number, signal.SIG_IGN if self._ignore else self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._arrived = number
        signal.signal(number, signal.SIG_DFL)

    def check(self) -> None:
        """Raise `Interrupted` when a signal has arrived."""
        if self._arrived is not None:
            raise Interrupted(self._arrived)
