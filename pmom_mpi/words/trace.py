"""When which rank did what: stretches of time with a name, for `pmom trace`."""

from __future__ import annotations

import numpy as np

from pmom_mpi.words.report import STATIONS

TRACED = (*STATIONS, "broadcast", "wait", "decode", "momentum", "record")
"""The stations of workers and of the server, in the order of ``station`` of an `INTERVAL`."""

SERVER = -1
"""What stands for the server in ``worker``."""

INTERVAL = np.dtype(
    [("iteration", "i8"), ("worker", "i4"), ("node", "i4"), ("station", "i4"), ("start", "f8"), ("stop", "f8")]
)
"""A stretch of time: seconds on the server's clock; node -1 where it is about no single one."""

Interval = tuple[int, int, int, int, float, float]
