"""What the environment says of the launcher that started this process, without asking MPI."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

SIZES = (
    ("Open MPI's mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("mpiexec (PMI)", "PMI_SIZE", "PMI_RANK"),
    ("srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
)
"""Launcher, variable with the job's size, variable with this process's rank; the first that is set counts.

SLURM_NTASKS is not among them: it is also set in a batch script and an salloc shell, which no launcher started.
"""


@dataclass(frozen=True)
class Launcher:
    """Who started this process.

    Attributes
    ----------
    name : str
        For messages.
    size, rank : int
        As the launcher's variables say.
    """

    name: str
    size: int
    rank: int


def launcher(environment: Mapping[str, str] = os.environ) -> Launcher | None:
    """The launcher that started this process, or None when it was started by hand."""
    for name, size, rank in SIZES:
        if environment.get(size, "").isdecimal():
            known = environment.get(rank, "")
            return Launcher(name, int(environment[size]), int(known) if known.isdecimal() else 0)
    return None
