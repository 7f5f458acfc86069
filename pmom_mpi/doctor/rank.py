"""A rank of the doctor's own jobs: ``python -m pmom_mpi.doctor.rank hello|survive SECONDS``.

``hello`` prints what this rank sees. In ``survive`` rank 1 is killed, and rank 0 prints how many it can go on with.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

from pmom_mpi.data import library
from pmom_mpi.doctor.jobs import MARK


def hello() -> dict[str, object]:
    """What this rank sees of its job."""
    from mpi4py import MPI

    affinity = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    MPI.COMM_WORLD.Barrier()
    return {
        "size": MPI.COMM_WORLD.size, "host": socket.gethostname(), "cpus": affinity,
        "folder": str(library.cache_directory()), "data": data(),
    }  # fmt: skip


def data() -> dict[str, int]:
    """The data sets that this rank sees on its disks, and their bytes."""
    try:
        folders = [path for path in library.cache_directory().iterdir() if path.is_dir()]
        return {folder.name: sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
                for folder in folders}  # fmt: skip
    except OSError:
        return {}


def survive() -> dict[str, object]:
    """How many of two ranks are left, and can still communicate, when one is killed (ULFM: MPI 5's fault tolerance)."""
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    comm.Set_errhandler(MPI.ERRORS_RETURN)
    comm.Barrier()
    if comm.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        comm.recv(source=1)
    except MPI.Exception:
        comm.Revoke()
        return {"left": comm.Shrink().allreduce(1)}
    return {"left": 0}


if __name__ == "__main__":
    signal.alarm(int(sys.argv[2]))  # no job outlives its doctor, whatever becomes of its launcher
    print(MARK + json.dumps({"hello": hello, "survive": survive}[sys.argv[1]]()), flush=True)
