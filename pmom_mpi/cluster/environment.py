"""What the environment says of the launcher that started this process and of the allocation it runs in."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SIZES = (
    ("Open MPI's mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("MVAPICH's mpirun", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"),
    ("mpiexec (PMI)", "PMI_SIZE", "PMI_RANK"),
    ("srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
)
"""Launcher, variable with the job's size, variable with this process's rank; the first that is set counts.

SLURM_NTASKS is not among them: it is also set in a batch script and an salloc shell, which no launcher started.
"""

FIRST_SPECIAL_STEP = 0xFFFFFFF0
"""Slurm numbers the batch script, the interactive step of salloc and others from here up (slurm.h): no srun of ours."""

RANK_PREFIXES = ("OMPI_", "PMIX_", "PMI_", "PRTE_", "MPI_LOCAL", "MV2_COMM_WORLD_", "HYDI_", "HYDRA_")
"""What launchers put into a rank's environment, and what a rank must not hand on to a job that it starts itself."""


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
    """The launcher that started this process, or None when it was started by hand.

    Examples
    --------
    >>> launcher({"PMI_SIZE": "3", "PMI_RANK": "1"})
    Launcher(name='mpiexec (PMI)', size=3, rank=1)
    """
    for name, size, rank in SIZES:
        count = _number(environment, size)
        if count is None or (name == "srun" and (_number(environment, "SLURM_STEP_ID") or 0) >= FIRST_SPECIAL_STEP):
            continue
        return Launcher(name, count, _number(environment, rank) or 0)
    return None


def survives_losses(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the launcher lets the other ranks go on when one dies: Open MPI's ``mpirun --with-ft ulfm``.

    Examples
    --------
    >>> survives_losses({"OMPI_MCA_mpi_ft_enable": "1"}), survives_losses({})
    (True, False)
    """
    return environment.get("OMPI_MCA_mpi_ft_enable", "").lower() in ("1", "true")


@dataclass(frozen=True)
class Allocation:
    """What a batch system has given to this job.

    Attributes
    ----------
    system : str
        ``Slurm``, ``PBS`` or ``LSF``.
    tasks : tuple of int
        Ranks that it foresees, a number a host.
    cpus : tuple of int
        Its CPUs, a number a host.
    """

    system: str
    tasks: tuple[int, ...]
    cpus: tuple[int, ...]

    @property
    def slots(self) -> int:
        """Ranks that it foresees, over all hosts."""
        return sum(self.tasks)

    @property
    def hosts(self) -> int:
        return len(self.tasks)

    def room(self, threads: int, usable: int) -> int:
        """How many ranks of so many threads have cores of their own, where a host has so many usable ones.

        CPUs may be hardware threads, so that a host may have fewer cores than CPUs.

        Examples
        --------
        >>> Allocation("Slurm", (2, 2), (5, 5)).room(2, usable=8), Allocation("Slurm", (9,), (9,)).room(1, usable=4)
        (4, 4)
        """
        return sum(min(count, usable) // threads for count in self.cpus)


def allocation(environment: Mapping[str, str] = os.environ) -> Allocation | None:
    """The batch system's allocation that this process runs in, or None outside of one.

    Examples
    --------
    >>> allocation({"SLURM_JOB_ID": "7", "SLURM_TASKS_PER_NODE": "4(x2),1", "SLURM_JOB_CPUS_PER_NODE": "8(x2),2"})
    Allocation(system='Slurm', tasks=(4, 4, 1), cpus=(8, 8, 2))
    """
    if "SLURM_JOB_ID" in environment:
        tasks = _slurm_counts(environment.get("SLURM_TASKS_PER_NODE", "1"))
        cpus = _slurm_counts(environment.get("SLURM_JOB_CPUS_PER_NODE", ""))
        return Allocation("Slurm", tasks, cpus if len(cpus) == len(tasks) else tasks)
    if "PBS_JOBID" in environment and (listed := _lines(environment.get("PBS_NODEFILE"))):
        counts = tuple(Counter(listed).values())
        return Allocation("PBS", counts, counts)
    if "LSB_JOBID" in environment and (words := environment.get("LSB_MCPU_HOSTS", "").split()):
        counts = tuple(map(int, words[1::2]))
        return Allocation("LSF", counts, counts)
    return None


def _number(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name, "")
    return int(text) if text.isdecimal() else None


def _slurm_counts(text: str) -> tuple[int, ...]:
    """Slurm's ``4(x2),1`` as (4, 4, 1)."""
    found = re.findall(r"(\d+)(?:\(x(\d+)\))?", text)
    return tuple(int(count) for count, times in found for _ in range(int(times or 1)))


def _lines(path: str | None) -> list[str]:
    try:
        return Path(path or "").read_text(encoding="utf-8").split()
    except OSError:
        return []
