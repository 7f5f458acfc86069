"""The only code of a run that speaks MPI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmom_mpi.cluster.environment import launcher
from pmom_mpi.transport.one_process import OneProcess
from pmom_mpi.transport.signals import die_of_interrupts
from pmom_mpi.words.errors import UserError

if TYPE_CHECKING:
    from pmom_mpi.transport.mpi import MpiRanks


def connect() -> OneProcess | MpiRanks:
    """The ranks of this job: one process alone unless a launcher started several.

    Raises
    ------
    UserError
        When a launcher started several processes but there is no MPI, or MPI does not see them: each would run the
        whole experiment.
    """
    started = launcher()
    if started is None or started.size == 1:
        return OneProcess()
    die_of_interrupts()
    try:
        from pmom_mpi.transport.mpi import all_ranks
    except (ImportError, RuntimeError) as error:  # mpi4py raises either when it finds no library
        reason = str(error).splitlines()[-1]
        raise UserError(f"{started.name} started {started.size} ranks but mpi4py: {reason}; see pmom doctor") from None
    ranks = all_ranks()
    if ranks.size == 1:
        library = ranks.library.split(", package")[0]
        raise UserError(
            f"{started.name} started {started.size} ranks but each sees an MPI world of size 1: launcher and MPI "
            f"library ({library}) do not match; start with the mpirun of that library, or see pmom doctor"
        )
    return ranks
