"""Compiling stands in a row of its own: a first run's stations show what a second run's do."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pmom_mpi.analysis import read

STATIONS = ("time_gradient", "time_bias", "time_encode", "time_decode", "time_momentum", "time_evaluate")


@pytest.mark.slow
def test_no_station_of_a_first_run_holds_compiling(tmp_path):
    runs = []
    for name in ("first", "second"):
        subprocess.run(
            [sys.executable, "-m", "pmom_mpi", "run", "ridge", "-s", "iterations=20", "-o", f"{name}.h5"],
            cwd=tmp_path, check=True, capture_output=True, timeout=300,
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "kernels")},
        )  # fmt: skip
        runs.append(read.load(tmp_path / f"{name}.h5"))
    first, second = runs
    compiling = first.facts["warm_up_seconds"] - second.facts["warm_up_seconds"]
    assert compiling > first.facts["warm_up_seconds"] / 3, "the second run compiled too"
    for station in ("time_total", *STATIONS):
        more = first.metrics[station].sum() - second.metrics[station].sum()
        assert more < compiling / 5, f"{station}: {more:.3f} s more, of {compiling:.1f} s compiled"
