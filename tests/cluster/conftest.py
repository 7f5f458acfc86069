"""A Slurm for the tests that need one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).with_name("slurm_here.sh")


@pytest.fixture(scope="session")
def slurm() -> Iterator[None]:
    """PMOM_SLURM=here: one on this machine, started and taken away again; =cluster: the one that is there."""
    wanted = os.environ.get("PMOM_SLURM", "")
    if wanted == "cluster":
        yield
    elif wanted != "here":
        pytest.skip("PMOM_SLURM=here starts a Slurm for it (root, slurm-wlm and munge), =cluster submits to yours")
    elif os.geteuid() != 0 or shutil.which("slurmctld") is None or shutil.which("munged") is None:
        pytest.skip("PMOM_SLURM=here: needs root, and apt-get install --no-install-recommends slurm-wlm munge")
    else:
        try:
            began = subprocess.run([HERE, "start"], capture_output=True, text=True, timeout=120)
            if began.returncode != 0:
                pytest.skip(f"PMOM_SLURM=here: it does not start: {began.stderr.strip()[-500:]}")
            yield
        except subprocess.TimeoutExpired:
            pytest.skip("PMOM_SLURM=here: it has not started after 120 s")
        finally:
            subprocess.run([HERE, "stop"], timeout=60, capture_output=True)
