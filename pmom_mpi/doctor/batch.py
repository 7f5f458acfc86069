"""The batch system that this process runs in, and how jobs are started there."""

from __future__ import annotations

import re
import shutil
import subprocess

from pmom_mpi.cluster import mpirun as launchers
from pmom_mpi.cluster.environment import Allocation, allocation, launcher
from pmom_mpi.doctor import jobs
from pmom_mpi.doctor.row import GOOD, NOTE, Row

SECONDS = 5
"""For an answer of Slurm's controller, which may be gone."""
MPIRUN = "inside the job, use 'pmom launch -n RANKS CONFIG' or mpirun"


def check() -> list[Row]:
    """The allocation, and whether srun can start ranks."""
    granted, started = allocation(), launcher()
    rows = preemption()
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


def preemption() -> list[Row]:
    """What Slurm makes of jobs that it preempts, by cluster and partition; nothing where there is no Slurm."""
    if shutil.which("scontrol") is None:
        return []
    what, whole = "preemption", _words(_ask("show", "config")).get("PreemptMode", "")
    if not whole:
        return [Row(what, NOTE, "Slurm's commands are here, but its controller does not answer")]
    lines = [_words(line) for line in _ask("--oneliner", "show", "partition").splitlines()]
    modes = {words["PartitionName"]: words["PreemptMode"] for words in lines if "PreemptMode" in words}
    said = ", ".join(f"{name} {mode}" for name, mode in modes.items() if mode != whole)
    finding = f"Slurm's PreemptMode is {whole}" + (f"; of partitions: {said}" if said else "")
    if any("CANCEL" in mode for mode in (whole, *modes.values())):
        return [Row(what, NOTE, finding, "where it is CANCEL, --requeue has no say: pmom submit --chain N")]
    return [Row(what, GOOD, finding)]


def _ask(*words: str) -> str:
    try:
        return subprocess.run(["scontrol", *words], capture_output=True, text=True, timeout=SECONDS).stdout
    except subprocess.TimeoutExpired:
        return ""


def _words(text: str) -> dict[str, str]:
    """``key=value`` and ``key = value``."""
    return dict(re.findall(r"(\w+)[ \t]*=[ \t]*(\S+)", text))


def slots(granted: Allocation) -> Row:
    """What the batch system has given."""
    finding = f"{granted.system} grants {granted.slots} rank(s) on {granted.hosts} host(s), {sum(granted.cpus)} CPU(s)"
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
