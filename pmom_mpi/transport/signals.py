"""SIGINT and SIGTERM, noted when they arrive and acted upon where nothing is left half done."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from pmom_mpi.transport.base import Interrupted

HANDLED = (signal.SIGINT, signal.SIGTERM)


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
