"""`pmom trace` of real jobs."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from pmom_mpi.cli import main
from pmom_mpi.words.report import STATIONS

SETTINGS = ("iterations=9", "data.nodes=6", "diagnostics.every=2", "evaluate.every=2", "record.trace=true",
            "record.trace_iterations=5")  # fmt: skip
OVERRIDES = [word for setting in SETTINGS for word in ("-s", setting)]


def traced(file):
    output = file.with_suffix(".json")
    done = CliRunner().invoke(main, ["trace", str(file), "-o", str(output)])
    assert done.exit_code == 0, done.output
    found = json.loads(output.read_text())
    return found, [event for event in found["traceEvents"] if event["ph"] == "X"]


@pytest.fixture(scope="module")
def job(mpirun, tmp_path_factory):
    file = tmp_path_factory.mktemp("traced") / "three.h5"
    done = mpirun(3, ["run", "ridge", *OVERRIDES, "-o", str(file), "-q"])
    assert done.returncode == 0, done.stderr
    return file


def test_intervals_of_a_rank_follow_each_other_within_their_iterations(job):
    found, events = traced(job)
    assert {event["tid"] for event in events} == {0, 1, 2}
    assert {event["args"]["iteration"] for event in events} == set(range(5))
    server = [event for event in events if event["tid"] == 0]
    for k in range(5):
        own = [event for event in server if event["args"]["iteration"] == k]
        begin, end = min(event["ts"] for event in own), max(event["ts"] + event["dur"] for event in own)
        theirs = [event for event in events if event["args"]["iteration"] == k and event["tid"]]
        assert all(begin <= event["ts"] and event["ts"] + event["dur"] <= end for event in theirs)
        assert {event["args"].get("node", -1) for event in theirs} == {-1, *range(6)}
    for rank in range(3):
        mine = sorted((event for event in events if event["tid"] == rank), key=lambda event: event["ts"])
        for first, second in pairwise(mine):
            assert first["ts"] + first["dur"] <= second["ts"] + 1e-3  # microseconds, of rounding
    names = {event["args"]["name"] for event in found["traceEvents"] if event["name"] == "thread_name"}
    assert names == {"rank 0: server", "rank 1: worker", "rank 2: worker"}


def test_they_add_up_to_what_was_recorded(job):
    _, events = traced(job)
    with h5py.File(job) as file:
        for k in range(5):
            for station in STATIONS:
                for worker in range(2):
                    told = [event["dur"] for event in events if event["name"] == station
                            and event["args"]["iteration"] == k and event["tid"] == worker + 1]  # fmt: skip
                    assert sum(told) == pytest.approx(1e6 * file[f"workers/{station}"][k, worker], abs=0.1)
            for station in ("broadcast", "wait", "decode", "momentum", "record"):
                told = [event["dur"] for event in events if event["name"] == station
                        and event["args"]["iteration"] == k and event["tid"] == 0]  # fmt: skip
                assert sum(told) == pytest.approx(1e6 * file[f"metrics/time_{station}"][k], abs=0.1)


def test_one_process_has_two_lanes_and_a_trace_changes_no_result(job, tmp_path):
    runner = CliRunner()
    for name, words in (("on.h5", OVERRIDES), ("off.h5", OVERRIDES[:-4])):
        assert runner.invoke(main, ["run", "ridge", *words, "-o", str(tmp_path / name), "-q"]).exit_code == 0
    _, events = traced(tmp_path / "on.h5")
    assert {event["tid"] for event in events} == {0, 1}
    with h5py.File(tmp_path / "on.h5") as on, h5py.File(tmp_path / "off.h5") as off, h5py.File(job) as three:
        assert "trace" not in off
        np.testing.assert_array_equal(on["final/x"][()], off["final/x"][()])
        np.testing.assert_array_equal(on["final/x"][()], three["final/x"][()])
        assert (on["metrics/overhead_bits"][()] > off["metrics/overhead_bits"][()]).all()
    done = runner.invoke(main, ["trace", str(tmp_path / "off.h5"), "-o", str(tmp_path / "x.json")])
    assert done.exit_code == 2 and "run it again with -s record.trace=true" in done.output


def test_clocks_of_other_hosts(mpirun):
    script = Path(__file__).with_name("clocks_script.py")
    done = mpirun(3, [sys.executable, str(script)], module=False)
    assert done.returncode == 0 and "agree" in done.stdout, done.stderr
