"""What a rank of a fault-tolerant job tells the shell that started it (`pmom_mpi/cluster/guard.sh`), if one did."""

from __future__ import annotations

import os
import signal
from contextlib import suppress


def join() -> None:
    """From now on this rank is missed: leaving without `leave`, with whatever status, is a loss."""
    _tell(signal.SIGURG)


def leave() -> None:
    """This rank is about to leave as it should."""
    _tell(signal.SIGWINCH)


def _tell(number: signal.Signals) -> None:
    guard = os.environ.get("PMOM_GUARD", "")
    if guard.isdecimal():
        with suppress(ProcessLookupError, PermissionError):
            os.kill(int(guard), number)
