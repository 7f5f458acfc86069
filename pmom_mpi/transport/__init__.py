"""The only code of a run that speaks MPI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmom_mpi.cluster.environment import launcher
from pmom_mpi.transport.alone import Alone
from pmom_mpi.words.errors import UserError

if TYPE_CHECKING:
    from pmom_mpi.transport.mpi import Group


def connect() -> Alone | Group:
    """The ranks of this job: one process alone unless a launcher started several.

    Raises
    ------
    UserError
        When a launcher started several processes but there is no MPI, or MPI does not see them: each would run the
        whole experiment.
    """
    started = launcher()
    if started is None or started.size == 1:
        return Alone()
    try:
        from pmom_mpi.transport.mpi import Group
    except (ImportError, RuntimeError) as error:  # mpi4py raises either when it finds no library
        reason = str(error).splitlines()[-1]
        raise UserError(f"{started.name} started {started.size} ranks but mpi4py: {reason}; see pmom doctor") from None
    group = Group()
    if group.size == 1:
        library = group.library.split(", package")[0]
        raise UserError(
            f"{started.name} started {started.size} ranks but each sees an MPI world of size 1: launcher and MPI "
            f"library ({library}) do not match; start with the mpirun of that library, or see pmom doctor"
        )
    return group
