"""--json prints what the table holds, as JSON that every program reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


def printed(*words: str, status: int = 0):
    done = subprocess.run(
        [sys.executable, "-m", "pmom_mpi", *words, "--json"], capture_output=True, text=True, timeout=120,
        env=os.environ | {"PMOM_MPIRUN": "/no/such/mpirun"},
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout, parse_constant=pytest.fail)


def test_validate():
    found = printed("validate", "quickstart", "-s", "seed=4")
    assert found["nodes"] == 10 and found["dimension"] == 8970 and found["data"]["smallest_shard"] == 150
    assert found["output"] == "results/quickstart-4.h5"


def test_bias():
    (found,) = printed("bias", "quickstart", "--nodes", "2", "--repeats", "3")
    assert found["label"] == "top_k 10 %" and len(found["errors"]) == 2


def test_doctor_whose_status_stays():
    rows = printed("doctor", status=1)
    assert {"what": "launcher", "state": "bad"}.items() <= next(
        row for row in rows if row["what"] == "launcher"
    ).items()


def test_bench():
    (found,) = printed("bench", "operators", "--size", "2048", "--repeats", "1")
    assert found["dimension"] == 2048 and {"label", "compress", "decode"} <= set(found["operators"][0])
