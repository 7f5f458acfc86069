"""A dozen random kills, always the same ones; `make torture` makes 200 (`tests/torture.py`)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pmom_mpi.cluster import launch

sys.path.insert(0, str(Path(__file__).parents[1]))

from torture import torture


def test_killed_runs_go_on_bit_for_bit(tmp_path, monkeypatch):
    monkeypatch.setattr("torture.RANKS", (1, 2, 3))
    tally = torture(tmp_path, kills=12, seed=11)
    assert tally.kills == 12


def test_a_launcher_that_does_not_start_is_told_apart_and_begun_again_once(tmp_path, monkeypatch, capfd):
    """An mpirun that fails the first time, as Open MPI does when its folder is another job's."""
    found = launch.find()
    fails_once = tmp_path / "mpirun"
    fails_once.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *--version*) exec {found.path} --version;; esac\n'
        f"if mkdir {tmp_path}/begun 2>/dev/null; then echo listener thread failed to start >&2; exit 213; fi\n"
        f'exec {found.path} "$@"\n'
    )
    fails_once.chmod(0o755)
    monkeypatch.setenv("PMOM_MPIRUN", str(fails_once))
    monkeypatch.setattr("torture.RANKS", (2,))
    tally = torture(tmp_path, kills=1, seed=1)
    assert tally.kills == 1 and tally.legs == 2 and tally.unstarted == 1
    assert "mpirun did not start, once more: exit status 213: listener thread" in capfd.readouterr().err
    monkeypatch.setenv("PMOM_MPIRUN", "/bin/false")
    with pytest.raises(AssertionError, match="did not start 2 times running"):
        torture(tmp_path, kills=1, seed=1)
