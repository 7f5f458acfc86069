"""A place that takes no more bytes: what was flushed stays, whole rows only, and the run says so."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest

from pmom_mpi.analysis import read

LIMITED = """
import sys
sys.path.insert(0, sys.argv[2])
from test_recorder import recorder, row
from pmom_mpi.words.errors import UserError
from pmom_mpi.method.ledger import columns
from pmom_mpi.words.report import Metric, Schema
KNOWN = columns(Schema((Metric("loss", ""),), (Metric("kept", ""),), (Metric("loss", ""), Metric("accuracy", ""))))
written = recorder(sys.argv[1], metrics=KNOWN, flush_seconds=0.0)
try:
    for k in range(100000):
        written.append(dict.fromkeys([metric.name for metric in KNOWN], 1) | row(k))
except UserError as error:
    print(error)
written.finish("failed")
"""


def limit(size: int) -> None:
    """No file of this process may grow beyond ``size``; writing more fails, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("size", [300_000, 301_111, 420_000])
def test_only_whole_rows_are_left(tmp_path, size):
    path = tmp_path / "run.h5"
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path), os.path.dirname(__file__)], capture_output=True, text=True,
        timeout=120, preexec_fn=lambda: limit(size),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = read.load(path)
    assert f"its first {run.iterations} rows are safe" in done.stdout and run.iterations > 1000
    assert run.metrics["iteration"].tolist() == list(range(run.iterations))
    for values in run.metrics.values():
        assert np.isfinite(values).all() and (values[1:] != 0).all()


def test_a_run_ends_with_one_line(tmp_path):
    config = tmp_path / "full.yaml"
    config.write_text(
        "iterations: 1000000\nstep_size: 0.1\nproblem: {kind: softmax_regression}\ndata: {name: digits, nodes: 2}\n"
        "record: {flush_seconds: 0.02}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pmom_mpi", "run", str(config), "-q", "-o", str(tmp_path / "full.h5")],
        capture_output=True, text=True, timeout=120, preexec_fn=lambda: limit(400_000),
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("pmom: error: cannot write") and len(done.stderr.splitlines()) == 1
    assert read.load(tmp_path / "full.h5").iterations > 0
