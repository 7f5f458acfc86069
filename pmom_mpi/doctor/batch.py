"""The batch system that this process runs in, and how jobs are started there."""

from __future__ import annotations

import shutil

from pmom_mpi.cluster import mpirun as launchers
from pmom_mpi.cluster.environment import Allocation, allocation, launcher
from pmom_mpi.doctor import jobs
from pmom_mpi.doctor.row import GOOD, NOTE, Row

MPIRUN = "inside the job, use 'pmom launch -n RANKS CONFIG' or mpirun"


def check() -> list[Row]:
    """The allocation, and whether srun can start ranks."""
    granted, started = allocation(), launcher()
    rows = []
    if started is not None and started.size > 1:
        rows.append(
            Row("this process", NOTE, f"one of {started.size} that {started.name} started", "start pmom doctor once")
        )
    if granted is None:
        submit = "; sbatch is here: jobs/*.sbatch are scripts to submit" if shutil.which("sbatch") else ""
        return [*rows, Row("batch system", GOOD, f"in no allocation{submit}")]
    rows.append(slots(granted))
    if granted.system == "Slurm" and granted.slots > 1 and shutil.which("srun"):
        rows.append(srun())
    return rows


def slots(granted: Allocation) -> Row:
    """What the batch system has given."""
    finding = f"{granted.system} grants {granted.slots} rank(s) on {granted.hosts} host(s)"
    if granted.slots == 1:
        return Row("batch system", NOTE, finding, "ask for more: #SBATCH --ntasks=RANKS, one a rank")
    return Row("batch system", GOOD, finding, MPIRUN)


def srun() -> Row:
    """Whether ranks that srun starts, in its default way, see each other."""
    answer = jobs.ask(["srun", "-n", "2", "--overlap", *jobs.program("hello")], launchers.clean())
    sizes = [report["size"] for report in answer.reports]
    if sizes == [2, 2]:
        return Row("srun", GOOD, "srun starts ranks that see each other")
    finding = "each of srun's ranks sees a world of size 1" if sizes == [1, 1] else answer.trouble or "no answer"
    return Row("srun", NOTE, f"cannot start jobs here: {finding}", f"{MPIRUN}; or try srun --mpi=pmix")
