"""What made a run: versions, machine, command line, source."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

LIBRARIES = ("pmom_mpi", "numpy", "numba", "h5py", "mpi4py")


def provenance(facts: Mapping[str, str]) -> dict[str, str]:
    """Attributes for /provenance: ``facts``, and what this process can say by itself."""
    return {
        **{f"version_{name}": _version(name) for name in LIBRARIES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "command": shlex.join(sys.argv),
        "git_commit": _commit(),
        **facts,
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """The commit of the checkout that this package is run from, marked when files differ from it; empty without one."""
    folder = Path(__file__).resolve().parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
