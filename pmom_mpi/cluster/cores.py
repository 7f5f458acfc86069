"""The cores that this process may use: affinity, hardware threads, and the CPU quota of a container."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
QUOTA_V2 = Path("/sys/fs/cgroup/cpu.max")
QUOTA_V1 = (Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us"))


@dataclass(frozen=True)
class Cores:
    """What this process may compute on.

    Attributes
    ----------
    online : int
        Hardware threads of the machine.
    logical : int
        Hardware threads in this process's affinity mask.
    physical : int
        Cores behind those; mpirun counts its slots in them.
    quota : float or None
        CPUs' worth of time that the control group grants, None for no limit.
    """

    online: int
    logical: int
    physical: int
    quota: float | None

    @property
    def usable(self) -> int:
        """Ranks that can compute at full speed at once."""
        return self.physical if self.quota is None else max(1, min(self.physical, int(self.quota)))


def cores() -> Cores:
    """Measure this process's cores."""
    online = os.cpu_count() or 1
    mask = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(online))
    return Cores(online, len(mask), len({_siblings(cpu) for cpu in mask}), quota())


def quota() -> float | None:
    """CPUs' worth of time that this process's control group grants (version 2 or 1), None for no limit."""
    try:
        limit, period = QUOTA_V2.read_text().split()
    except (OSError, ValueError):
        try:
            limit, period = (path.read_text().strip() for path in QUOTA_V1)
        except OSError:
            return None
    return None if limit in ("max", "-1") else int(limit) / int(period)


def _siblings(cpu: int) -> str:
    """The hardware threads of this one's core, as the kernel lists them; itself where it does not say."""
    try:
        return Path(TOPOLOGY.format(cpu)).read_text().strip()
    except OSError:
        return str(cpu)
