"""What all tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest
from hypothesis import settings

from pmom_mpi.cluster import launch
from pmom_mpi.cluster import mpirun as launchers
from pmom_mpi.cluster.cores import cores

# The first call of a kernel compiles it, which no deadline of hypothesis foresees.
settings.register_profile("compiled", deadline=None)
settings.load_profile("compiled")


@pytest.fixture(scope="session")
def mpirun() -> Callable[..., subprocess.CompletedProcess[str]]:
    """``mpirun(ranks, arguments)``: a real job of ``pmom``, or of another program."""
    found = launchers.find()

    def start(
        ranks: int, arguments: Sequence[str], module: bool = True, timeout: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-m", "pmom_mpi", *arguments] if module else list(arguments)
        command = launch.compose(found, ranks, program, 1, cores(), None, os.geteuid() == 0)
        environment = launchers.with_path(found.path) | dict(command.variables)
        return subprocess.run(command.words, capture_output=True, text=True, timeout=timeout, env=environment)

    return start
