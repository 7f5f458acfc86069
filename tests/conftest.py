"""What all tests share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence

import pytest
from hypothesis import settings

from pmom_mpi.cluster import launch
from pmom_mpi.cluster.mpirun import with_path

# The first call of a kernel compiles it, which no deadline of hypothesis foresees.
settings.register_profile("compiled", deadline=None)
settings.load_profile("compiled")


@pytest.fixture(scope="session")
def mpirun() -> Callable[..., subprocess.CompletedProcess[str]]:
    """``mpirun(ranks, arguments)``: a real job of ``pmom``, or of another program."""

    def start(
        ranks: int, arguments: Sequence[str], module: bool = True, timeout: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        command = launch.launch_command(ranks, launch.pmom(*arguments) if module else arguments)
        environment = with_path(command.words[0]) | dict(command.variables)
        return subprocess.run(command.words, capture_output=True, text=True, timeout=timeout, env=environment)

    return start
