"""What made a run: versions, machine, command line, source."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import h5py

from pmom_mpi import __version__

LIBRARIES = ("numpy", "numba", "h5py", "mpi4py")
GIT_SECONDS = 5
AT_ONCE = "PMOM_RUNS_AT_ONCE"
"""Set by a sweep: how many runs share this machine, so that nobody takes their seconds for those of a run alone."""


def provenance(facts: Mapping[str, str]) -> dict[str, str]:
    """Attributes for /provenance: ``facts``, and what this process can say by itself.

    Examples
    --------
    >>> provenance({"hosts": "a, b"})["hosts"]
    'a, b'
    """
    return {
        "version_pmom_mpi": __version__,
        **{f"version_{name}": _version(name) for name in LIBRARIES},
        "version_hdf5": h5py.version.hdf5_version,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": platform.node(),
        "cpu": _cpu(),
        "command": shlex.join(sys.argv),
        "git_commit": _commit(),
        "runs_at_once": os.environ.get(AT_ONCE, "1"),
        **facts,
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _cpu() -> str:
    """The processor's model, as Linux names it on most machines; its architecture elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _commit() -> str:
    """The commit of the checkout that this package is run from, marked when files differ from it; empty without one.

    Only the package's own checkout counts: an installed package may lie inside somebody else's.
    """
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / ".git").exists():
        return ""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}  # many runs may start at once
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=True, env=environment)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
