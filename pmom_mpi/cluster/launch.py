"""Starts a job: the mpirun command with the flags that its MPI, the cores and the user need."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pmom_mpi.cluster import terminal
from pmom_mpi.cluster.cores import Cores, cores
from pmom_mpi.cluster.environment import Allocation, allocation
from pmom_mpi.cluster.mpirun import INTEL, MPICH, OPEN_MPI, UNKNOWN, Mpirun, find, with_path
from pmom_mpi.words.errors import UserError

THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
ULFM = ("--with-ft", "ulfm")
"""Open MPI's flags for a job that survives lost ranks, of which its launcher tells the others.

Its heartbeats (``mpi_ft_detector``) are left off. In a thread of their own, as they must be where ranks compute for
long, they made a rank crash in MPI_Init in one of ten starts on a busy machine, and MPI_Finalize wait forever (5.0.11).
"""
GUARD = ("/bin/sh", str(Path(__file__).with_name("guard.sh")))
"""What starts each rank of such a job, so that the launcher also tells of one that exits with a status."""
ROOT_VARIABLES = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


@dataclass(frozen=True)
class Command:
    """What is executed.

    Attributes
    ----------
    words : tuple of str
        The program and its arguments.
    variables : dict of str to str
        What is added to the environment.
    told : str
        What matters of it in words: launcher, ranks, binding.
    """

    words: tuple[str, ...]
    variables: Mapping[str, str]
    told: str = ""

    def __str__(self) -> str:
        """As one would type it into a shell."""
        set_first = (f"{name}={shlex.quote(value)}" for name, value in self.variables.items())
        return " ".join([*set_first, shlex.join(self.words)])


def launch_command(
    ranks: int, program: Sequence[str], threads: int = 1, alone: bool = True, fault_tolerant: bool = False
) -> Command:
    """The command that starts ``program`` on so many ranks of this machine or allocation.

    Parameters
    ----------
    ranks : int
        MPI processes: the server and its workers.
    program : sequence of str
        What every rank executes.
    threads : int
        BLAS threads a rank.
    alone : bool
        Whether these cores are this job's; ranks of jobs that share them are not bound, lest all take the first ones.
    fault_tolerant : bool
        Whether the other ranks go on when one dies.

    Raises
    ------
    UserError
        When there is no mpirun that belongs to mpi4py's MPI, or it cannot let the others go on.
    """
    return compose(find(), ranks, program, threads, cores(), allocation(), os.geteuid() == 0, alone, fault_tolerant)


def compose(
    mpirun: Mpirun,
    ranks: int,
    program: Sequence[str],
    threads: int,
    machine: Cores,
    granted: Allocation | None,
    root: bool,
    alone: bool = True,
    fault_tolerant: bool = False,
) -> Command:
    """`launch_command` with everything it finds out given.

    Ranks are bound to cores of their own when each has as many as threads; otherwise they are left to the kernel, and
    Open MPI is told that more ranks than slots are meant. In an allocation its CPUs count, but no more than its hosts
    have usable cores (taken to be like this one's): Slurm may count hardware threads. Open MPI's slots are its tasks.
    """
    if fault_tolerant and mpirun.vendor != OPEN_MPI:
        raise UserError(
            f"transport.fault_tolerant: {mpirun.path} is of {mpirun.vendor}; only Open MPI (with ULFM) goes on without "
            "a rank; leave it false, and resume from checkpoints"
        )
    room = machine.usable // threads if granted is None else granted.room(threads, machine.usable)
    fits = alone and ranks <= room
    variables = dict.fromkeys(THREAD_VARIABLES, str(threads))
    if mpirun.vendor == OPEN_MPI:
        flags = [word for name in variables for word in ("-x", name)]
        beyond = ":oversubscribe" if granted is not None and ranks > granted.slots else ""
        binding = ["--map-by", f"slot:pe={threads}{beyond}", "--bind-to", "core"]
        flags += binding if fits else ["--oversubscribe", "--bind-to", "none"]
        if fault_tolerant:
            flags += ULFM
            program = [*GUARD, *program] if ranks > 1 else program
        variables |= ROOT_VARIABLES if root else {}
    elif mpirun.vendor == MPICH:
        flags = ["-bind-to", f"core:{threads}" if fits else "none"]
    elif mpirun.vendor == INTEL:
        flags = []
        variables |= {"I_MPI_PIN": "1" if fits else "0"} | ({"I_MPI_PIN_DOMAIN": str(threads)} if fits else {})
    else:
        flags = []
    there = machine.usable if granted is None else granted.room(1, machine.usable)
    told = _told(mpirun, ranks, threads, fits, there)
    return Command((mpirun.path, "-n", str(ranks), *flags, *program), variables, told)


def _told(mpirun: Mpirun, ranks: int, threads: int, bound: bool, there: int) -> str:
    """Launcher, ranks and binding in a line."""
    many = "1 rank" if ranks == 1 else f"{ranks} ranks"
    many += f" of {threads} threads" if threads > 1 else ""
    own = f"bound to {'a core' if threads == 1 else f'{threads} cores'}" + ("" if ranks == 1 else " each")
    here = "1 core" if there == 1 else f"{there} cores"
    binding = own if bound else f"not bound ({here})"
    if mpirun.vendor == UNKNOWN:
        return f"{mpirun.path} -n {ranks}, an MPI that is not known here: no flags are set"
    return f"{Path(mpirun.path).name} of {mpirun.vendor}: {many}, {binding}"


def pmom(*arguments: str) -> list[str]:
    """The ``pmom`` of this Python with these arguments, as a program to launch."""
    return [sys.executable, "-m", "pmom_mpi", *arguments]


def execute(command: Command) -> None:
    """Become this command: its signals and its exit status are ours."""
    sys.stdout.flush()
    sys.stderr.flush()
    path = command.words[0]
    try:
        os.execve(path, list(command.words), with_path(path) | terminal.variables() | dict(command.variables))
    except OSError as error:
        raise UserError(f"cannot start {path}: {error.strerror}") from None
