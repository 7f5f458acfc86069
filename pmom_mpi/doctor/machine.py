"""Cores, BLAS threads, and where numba keeps compiled kernels."""

from __future__ import annotations

import importlib
from pathlib import Path

from pmom_mpi.cluster.cores import Cores, cores
from pmom_mpi.doctor.row import BAD, GOOD, NOTE, Row


def check() -> list[Row]:
    return [computing(cores()), threads(cores()), kernels()]


def computing(machine: Cores) -> Row:
    """How many ranks can compute at once."""
    finding = f"{machine.physical} core(s), {machine.logical} of the machine's {machine.online} hardware threads"
    if machine.quota is not None and machine.quota < machine.physical:
        return Row(
            "cores", NOTE, f"{finding}, but time for {machine.quota:g} only (the control group's quota)",
            f"more than {machine.usable} ranks slow each other down, though mpirun sees more slots",
        )  # fmt: skip
    shared = f"up to {machine.usable} ranks have a core each; pmom launch lets more of them share, and wait politely"
    return Row("cores", GOOD, f"{finding}; {shared}")


def threads(machine: Cores) -> Row:
    """How many threads BLAS uses in a rank that is started from this environment."""
    import numpy as np  # noqa: F401 - loads its BLAS
    from threadpoolctl import threadpool_info

    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    if not pools:
        return Row("BLAS threads", NOTE, "numpy's BLAS does not say", "set OMP_NUM_THREADS=1 and watch top")
    most = max(pool["num_threads"] for pool in pools)
    finding = f"{most} a rank ({', '.join(str(pool['internal_api']) for pool in pools)})"
    if most > 1:
        return Row(
            "BLAS threads", NOTE, f"{finding}, {machine.usable} core(s)",
            "unset OPENBLAS_NUM_THREADS, OMP_NUM_THREADS and MKL_NUM_THREADS for 1; pmom launch --threads sets them",
        )  # fmt: skip
    return Row("BLAS threads", GOOD, finding)


def kernels() -> Row:
    """Where numba keeps what it has compiled; `pmom_mpi.kernels` sees to it that there is a place."""
    what, remedy = "numba's cache", "export NUMBA_CACHE_DIR=FOLDER, one that all hosts share"
    try:
        lasts = importlib.import_module("pmom_mpi.kernels").CACHE_LASTS
        step = importlib.import_module("pmom_mpi.kernels.momentum").ema_step
    except (OSError, RuntimeError) as error:
        return Row(what, BAD, f"no place can be written to ({str(error).splitlines()[0]})", remedy)
    place = Path(step.stats.cache_path)
    compiled = len(list(place.glob("*.nbi"))) if place.exists() else 0
    finding = f"{place}: {compiled} kernels are compiled" if compiled else f"{place}: empty, so the first run compiles"
    if not lasts:
        return Row(what, NOTE, f"{finding}; the usual places cannot be written", remedy)
    return Row(what, GOOD, finding)
