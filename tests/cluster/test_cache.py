"""Where numba keeps compiled kernels, and what the doctor says of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

KEPT = "from pmom_mpi.kernels import momentum; print(momentum.ema_step.stats.cache_path)"
ROW = """
import dataclasses, json
from pmom_mpi.doctor import machine
print(json.dumps(dataclasses.asdict(machine.kernels())))
"""


def python(script: str, **variables: str) -> str:
    """What a new Python prints."""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"} | variables
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True, env=environment
    )
    return done.stdout.strip()


def test_kernels_are_kept_in_the_users_folder_for_caches(tmp_path):
    place = Path(python(KEPT, XDG_CACHE_HOME=str(tmp_path)))
    assert place.is_relative_to(tmp_path / "pmom_mpi-kernels")
    assert (tmp_path / "pmom_mpi-kernels").stat().st_mode & 0o077 == 0


def test_a_folder_that_the_user_names_goes_before_it(tmp_path):
    named, usual = tmp_path / "named", tmp_path / "usual"
    assert Path(python(KEPT, XDG_CACHE_HOME=str(usual), NUMBA_CACHE_DIR=str(named))).is_relative_to(named)
    assert not usual.exists()


def test_where_the_users_folder_cannot_be_written_numba_chooses(tmp_path):
    assert "pmom_mpi-kernels" not in python(KEPT, XDG_CACHE_HOME="/proc/nowhere")


def test_the_doctor_is_content_with_a_cache_that_lies_below_the_temporary_folder(tmp_path):
    row = json.loads(python(ROW, XDG_CACHE_HOME=str(tmp_path / "cache"), TMPDIR=str(tmp_path)))
    assert row["state"] == "good"
    assert row["finding"] == f"{row['finding'].partition(':')[0]}: empty, so the first run compiles"
    assert row["finding"].startswith(str(tmp_path / "cache"))
