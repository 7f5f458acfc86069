"""What a person sees of a run, on no terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pmom_mpi.runtime import experiment
from pmom_mpi.runtime.progress import Narrator

CONFIG = {
    "name": "told", "iterations": 30, "step_size": 0.1, "problem": {"kind": "mlp", "hidden": [8]},
    "data": {"name": "digits", "nodes": 4}, "evaluate": {"every": 1},
}  # fmt: skip


def told(tmp_path: Path, **changes: object) -> list[str]:
    stream = io.StringIO()
    experiment.run(CONFIG | changes, output=tmp_path / "told.h5", watcher=Narrator(stream))
    return stream.getvalue().splitlines()


def test_a_run_is_told_in_a_few_lines(tmp_path):
    first, *rows, last = told(tmp_path)
    assert first.startswith("told: 4 nodes on one process, d = 610, 30 iterations -> ")
    assert rows[0].startswith(" 1/30") and rows[-1].startswith("30/30")
    assert all("loss " in row and "test accuracy " in row and "ETA" in row for row in rows)
    assert last.startswith("finished after 30 iterations in ")


def test_what_is_hardly_meant_is_said_at_the_beginning(tmp_path):
    lines = told(tmp_path, bias=[{"kind": "ef21"}, {"kind": "rand_k", "fraction": 0.1, "scale": "unbiased"}])
    assert "ef21 needs a contraction" in lines[1]


def test_a_run_that_ends_far_above_its_start_says_so(tmp_path):
    lines = told(tmp_path, step_size=300.0, iterations=5)
    assert lines[-2].startswith("finished") and lines[-1].startswith("note: loss went from ")


@pytest.mark.parametrize("step_size", [0.1])
def test_one_that_does_not_says_nothing(tmp_path, step_size):
    assert told(tmp_path, step_size=step_size)[-1].startswith("finished")
